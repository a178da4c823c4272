"""How much a tenant may do: at once, in its queue, and in a minute."""
import json
import urllib.request

from harness import chat, eventually, key, question, read_all, read_until, reply, send, tenant


def queued(f, name="a"):
    line = f'farthing_queue_depth{{tenant="{name}"}} '
    return int(f.metrics().split(line)[1].split("\n")[0])


def test_requests_wait_in_their_order_for_a_place(held, start):
    f = start(extra=tenant("a", "concurrency = 1 queue = 5"))
    connections = [send(f, "held 0")]
    eventually(lambda: held.provider.requests, "the first")
    for i in range(1, 4):
        connections.append(send(f, f"held {i}"))
        eventually(lambda: queued(f) == i, "its place in the queue")
    assert len(held.provider.requests) == 1
    held.go_on.set()
    for connection in connections:
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")
    said = [r.json["messages"][0]["content"] for r in held.provider.requests]
    assert said == [f"held {i}" for i in range(4)]
    rows = f.rows(4)
    assert all(r["success"] for r in rows) and queued(f) == 0
    assert rows[0]["queue_ms"] <= min(r["queue_ms"] for r in rows[1:])


def test_a_full_queue_refuses(held, start):
    f = start(extra=tenant("a", "concurrency = 1 queue = 1") + tenant("b"))
    running = send(f, "held")
    eventually(lambda: held.provider.requests, "the first")
    waiting = send(f, "waits")
    eventually(lambda: queued(f) == 1, "the queue")
    refused = f.post(body=question("too many"), headers=key("a"))
    assert refused.status == 429 and refused.json["error"]["code"] == "concurrency_limited"
    assert int(refused.headers["Retry-After"]) >= 1 and refused.headers["x-should-retry"] is None
    assert "1 requests at once" in refused.json["error"]["message"]
    assert f.post(body=question("another tenant's"), headers=key("b")).status == 200
    held.go_on.set()
    for connection in (running, waiting):
        assert b" 200 " in read_all(connection)[:20]
    row = next(r for r in f.rows(4) if not r["success"])
    assert (row["status"], row["error_code"], row["cost_usd"], row["attempts"]) == \
        (429, "concurrency_limited", "0", [])


def test_without_a_queue_nobody_waits(held, start):
    f = start(extra=tenant("a", "concurrency = 1"))
    running = send(f, "held")
    eventually(lambda: held.provider.requests, "the first")
    assert f.post(headers=key("a")).status == 429
    held.go_on.set()
    read_all(running)
    eventually(lambda: f.post(headers=key("a")).status == 200, "the free place")


def test_waiting_has_an_end(held, start):
    f = start(extra=tenant("a", 'concurrency = 1 queue = 5 queue_timeout = "50ms"'))
    running = send(f, "held")
    eventually(lambda: held.provider.requests, "the first")
    refused = f.post(headers=key("a"))
    assert refused.status == 429 and refused.json["error"]["code"] == "queue_timeout"
    assert refused.headers["Retry-After"]
    row = f.rows()[0]
    assert row["error_code"] == "queue_timeout" and row["attempts"] == []
    running.close()


def test_who_leaves_the_queue_frees_its_seat(held, start):
    f = start(extra=tenant("a", "concurrency = 1 queue = 1"))
    running = send(f, "held")
    eventually(lambda: held.provider.requests, "the first")
    waiting = send(f, "leaves")
    eventually(lambda: queued(f) == 1, "the queue")
    waiting.close()
    eventually(lambda: queued(f) == 0, "the free seat")
    row = f.rows()[0]
    assert (row["status"], row["ended_by"], row["cost_usd"]) == (499, "client", "0")
    after = send(f, "stays")
    eventually(lambda: queued(f) == 1, "the seat")
    held.go_on.set()
    assert b" 200 " in read_all(after)[:20] and b" 200 " in read_all(running)[:20]
    assert len(held.provider.requests) == 2


def test_who_leaves_while_running_frees_its_place(held, start):
    f = start(extra=tenant("a", "concurrency = 1 queue = 1"))
    running = send(f, "held")
    eventually(lambda: held.provider.requests, "the first")
    waiting = send(f, "next")
    eventually(lambda: queued(f) == 1, "the queue")
    running.close()
    assert b" 200 " in read_all(waiting)[:20]


def test_the_rate_of_requests(provider, start):
    f = start(extra=tenant("a", 'requests = "3/min"') + tenant("b"))
    answers = [f.post(body=question(str(i)), headers=key("a")) for i in range(4)]
    assert [a.status for a in answers] == [200, 200, 200, 429]
    assert [a.headers["x-ratelimit-remaining-requests"] for a in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=3;w=60'
    assert answers[0].headers["RateLimit"].startswith('"requests";r=2;t=')
    refused = answers[3]
    assert refused.json["error"]["code"] == "rate_limited" and "3 requests a minute" in \
        refused.json["error"]["message"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert len(provider.requests) == 3
    assert f.post(headers=key("b")).headers["RateLimit"] is None


def test_the_rate_of_tokens_is_settled_with_what_was_used(provider, start):
    f = start(extra=tenant("a", 'tokens = "1000/min"'))
    answers = [f.post(body=question(str(i), max_tokens=600), headers=key("a")) for i in range(4)]
    # 600 and some are reserved each time, and 13 used.
    assert [a.status for a in answers] == [200] * 4
    assert answers[-1].headers["x-ratelimit-limit-tokens"] == "1000"
    refused = f.post(body=question("x", max_tokens=985), headers=key("a"))
    assert refused.status == 429 and refused.json["error"]["code"] == "rate_limited"
    assert "tokens a minute" in refused.json["error"]["message"] and refused.headers["Retry-After"]
    never = f.post(body=question("x", max_tokens=2000), headers=key("a"))
    assert never.status == 429 and never.headers["x-should-retry"] == "false"
    assert never.headers["Retry-After"] is None


def test_the_providers_own_limits_are_not_the_tenants(provider, start):
    provider.answer = lambda r, c: reply(c, body=chat(), headers={"x-ratelimit-remaining-requests": "77",
                                                                  "x-ratelimit-limit-tokens": "88"})
    f = start(extra=tenant("a", 'requests = "3/min"') + tenant("b"))
    limited = f.post(headers=key("a"))
    assert limited.headers["x-ratelimit-remaining-requests"] == "2"
    assert limited.headers["x-ratelimit-limit-tokens"] is None
    free = f.post(headers=key("b"))
    assert free.headers["x-ratelimit-remaining-requests"] == "77"


def test_limits_hold_over_all_workers(held, start):
    f = start(server="workers = 4", extra=tenant("a", "concurrency = 3 queue = 40"))
    connections = [send(f, f"held {i}") for i in range(20)]
    eventually(lambda: queued(f) == 17 and len(held.provider.requests) == 3, "the queue")
    held.go_on.set()
    assert all(b" 200 " in read_all(c)[:20] for c in connections)
    assert len({r["request_id"] for r in f.rows(20)}) == 20


def test_a_reload_changes_the_limits(held, start):
    f = start(extra=tenant("a", "concurrency = 1 queue = 5"))
    connections = [send(f, f"held {i}") for i in range(3)]
    eventually(lambda: queued(f) == 2, "the queue")
    f.config.write_text(f.config.read_text().replace("concurrency = 1", "concurrency = 3"))
    f.reload()
    eventually(lambda: len(held.provider.requests) == 3, "those who waited")
    held.go_on.set()
    assert all(b" 200 " in read_all(c)[:20] for c in connections)


def test_a_drain_ends_who_waits(held, start):
    # With several, the place of the first may go to the second before its loop ends, too.
    f = start(server='workers = 1 drain_timeout = "100ms"', extra=tenant("a", "concurrency = 1 queue = 5"))
    connections = [send(f, "held")]
    eventually(lambda: held.provider.requests, "the first")
    connections.append(send(f, "waits"))
    eventually(lambda: queued(f) == 1, "the queue")
    assert f.stop() == 0
    assert {r["ended_by"] for r in f.rows(2)} == {"shutdown"}
    for connection in connections:
        connection.close()


def test_status_shows_the_limits(held, start):
    f = start(extra=tenant("a", 'concurrency = 2 queue = 5 requests = "6/min"'))
    connection = send(f, "held")
    eventually(lambda: held.provider.requests, "the first")
    with urllib.request.urlopen(f.admin + "/status") as answer:
        limits = json.loads(answer.read())["limits"]["a"]
    assert (limits["running"], limits["concurrency"], limits["queued"]) == (1, 2, 0)
    assert limits["requests"]["limit"] == 6 and limits["requests"]["remaining"] == 5
    held.go_on.set()
    read_until(connection, b"200")


def test_a_tenant_with_a_list_of_routes_has_nothing_else(provider, start):
    f = start(extra='route "support" { match { features = {"support_*"} } }\n'
                    'route "other" { match { features = {"other"} } }\n'
                    + tenant("a", 'routes = {"sup*"}') + tenant("b", 'routes = {"*"}') + tenant("c"))

    def status(name, feature):
        answer = f.post(headers={**key(name), "x-farthing-feature": feature})
        assert answer.status == 200 or answer.json["error"]["code"] == "route_forbidden"
        return answer.status

    assert [status("a", x) for x in ("support_x", "other", "nothing")] == [200, 403, 403]
    for name in ("b", "c"):
        assert [status(name, x) for x in ("support_x", "other", "nothing")] == [200, 200, 200]
