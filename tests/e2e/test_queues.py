"""Limits beside the tenant's: of each key, of a route, of a provider; and whose turn it is."""
import threading

import pytest

from harness import answer_as_asked, eventually, http_request, key, key_text, question, read_all, tenant

CLOSE = "Connection: close\r\n"


class Gate:
    """A provider that answers as many as it is told to, one after the other."""

    def __init__(self, provider):
        self.provider = provider
        self.permits = threading.Semaphore(0)
        provider.answer = self.answer

    def answer(self, request, connection):
        assert self.permits.acquire(timeout=20)
        answer_as_asked(output_tokens=3)(request, connection)

    def let(self, count):
        self.permits.release(count)

    def arrived(self, count):
        """Waits for so many requests, and says what they said."""
        eventually(lambda: len(self.provider.requests) >= count, f"{count} requests at the provider")
        return [r.json["messages"][0]["content"] for r in self.provider.requests]


@pytest.fixture
def gate(provider):
    g = Gate(provider)
    yield g
    g.let(1000)


def send(f, text, who="a", n=0, headers=""):
    connection = f.connect()
    request = http_request(question(text), headers=CLOSE + headers)
    connection.sendall(request.replace(b"client-key", key_text(who, n).encode()))
    return connection


def status(connection):
    return int(read_all(connection).split()[1])


def limits(f, kind, name=None):
    return next(x for x in f.get("/limits")["limits"] if x["kind"] == kind and name in (None, x["name"]))


def post(f, text, who="a", n=0, **headers):
    return f.post(body=question(text), headers={**key(who, n), **headers})


# ------------------------------------------------------------------- keys and routes

def test_the_rate_of_each_key(provider, start):
    f = start(extra=tenant("a", 'requests = "4/min" each_key { requests = "2/min" }', keys=3))
    answers = [post(f, str(i), n=n) for i, n in enumerate((0, 0, 0, 1, 1, 2))]
    assert [a.status for a in answers] == [200, 200, 429, 200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=4;w=60, "key-requests";q=2;w=60'
    assert answers[0].headers["RateLimit"].startswith('"requests";r=3;t=')
    assert ', "key-requests";r=1;t=' in answers[0].headers["RateLimit"]
    of_key, of_tenant = (a.json["error"]["message"] for a in (answers[2], answers[5]))
    assert "Each key of tenant a may make 2 requests a minute" in of_key
    assert "Tenant a may make 4 requests a minute" in of_tenant
    assert [r["refused_by"] for r in f.rows(6)] == [None, None, "key.requests", None, None, "tenant.requests"]
    # What the key's limit refused, the tenant's has not counted.
    assert [a.headers["x-ratelimit-remaining-requests"] for a in answers] == ["3", "2", "2", "1", "0", "0"]
    assert len(provider.requests) == 4 and all(int(a.headers["Retry-After"]) >= 1
                                               for a in answers if a.status == 429)


def test_the_rate_of_a_route_is_everybodys(provider, start):
    f = start(extra='route "r" { match { features = {"x"} } requests = "2/min" tokens = "1000/min" }\n'
              + tenant("a", 'requests = "50/min" each_key { requests = "9/min" }') + tenant("b"))
    feature = {"x-farthing-feature": "x"}
    answers = [post(f, str(i), who=who, **feature) for i, who in enumerate("aba")]
    assert [a.status for a in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == (
        '"requests";q=50;w=60, "key-requests";q=9;w=60, "route-requests";q=2;w=60, '
        '"route-tokens";q=1000;w=60')
    assert answers[1].headers["x-ratelimit-limit-requests"] is None  # the tenant's own, and b has none
    assert "Route r may make 2 requests a minute" in answers[2].json["error"]["message"]
    assert f.rows(3)[2]["refused_by"] == "route.requests"
    assert post(f, "elsewhere").headers["x-ratelimit-remaining-requests"] == "48"


def test_the_tokens_of_a_route(provider, start):
    f = start(extra='route "r" { tokens = "500/min" }\n' + tenant("a"))
    refused = f.post(body=question("x", max_tokens=2000), headers=key("a"))
    assert refused.status == 429 and refused.headers["x-should-retry"] == "false"
    assert "Route r may use 500 tokens a minute" in refused.json["error"]["message"]
    assert f.rows()[0]["refused_by"] == "route.tokens"


def test_the_places_of_each_key(gate, start):
    f = start(extra=tenant("a", "concurrency = 3 queue = 5 each_key { concurrency = 1 }", keys=2))
    running = [send(f, "0", n=0), send(f, "1", n=1)]
    gate.arrived(2)
    refused = post(f, "too much")
    assert refused.json["error"]["code"] == "concurrency_limited"
    assert "Each key of tenant a may run 1 requests at once" in refused.json["error"]["message"]
    assert f.rows()[0]["refused_by"] == "key.concurrency"
    gate.let(2)
    assert [status(c) for c in running] == [200, 200]


@pytest.mark.parametrize("kind,extra", [
    ("tenant", tenant("a", "concurrency = 1 queue = 5")),
    ("key", tenant("a", "each_key { concurrency = 1 queue = 5 }")),
    ("route", 'route "r" { concurrency = 1 queue = 5 }\n' + tenant("a")),
], ids=["tenant", "key", "route"])
def test_who_waits_says_for_what(gate, start, kind, extra):
    f = start(extra=extra)
    first = send(f, "first")
    gate.arrived(1)
    second = send(f, "second")
    eventually(lambda: limits(f, kind)["queued"] == 1, "the queue")
    gate.let(2)
    assert (status(first), status(second)) == (200, 200)
    rows = sorted(f.rows(2), key=lambda r: r["queue_ms"])
    assert [r["queued_for"] for r in rows] == [None, kind]


@pytest.mark.parametrize("kind,extra", [
    ("key", tenant("a", 'each_key { concurrency = 1 queue = 5 queue_timeout = "50ms" }')),
    ("route", 'route "r" { concurrency = 1 queue = 5 queue_timeout = "50ms" }\n' + tenant("a")),
], ids=["key", "route"])
def test_waiting_in_vain(gate, start, kind, extra):
    f = start(extra=extra)
    first = send(f, "first")
    gate.arrived(1)
    refused = post(f, "second")
    assert refused.status == 429 and refused.json["error"]["code"] == "queue_timeout"
    row = f.rows()[0]
    assert (row["refused_by"], row["queued_for"], row["ended_by"]) == (f"{kind}.queue_timeout", kind, "limit")
    gate.let(1)
    assert status(first) == 200


def test_who_leaves_the_queue_of_a_route_frees_everything(gate, start):
    f = start(extra='route "r" { concurrency = 1 queue = 1 }\n' + tenant("a", "concurrency = 2"))
    running = send(f, "runs")
    gate.arrived(1)
    leaver = send(f, "leaves")
    eventually(lambda: limits(f, "route")["queued"] == 1, "the queue")
    leaver.close()
    eventually(lambda: limits(f, "route")["queued"] == 0 and limits(f, "tenant")["running"] == 1, "the end")
    last = send(f, "stays")
    eventually(lambda: limits(f, "route")["queued"] == 1, "the seat")
    gate.let(2)
    assert (status(running), status(last)) == (200, 200) and gate.arrived(2)[1] == "stays"


# ---------------------------------------------------------------------------- whose turn

def fill(f, requests, queued):
    """Sends requests, each when the one before has its place in the queue."""
    connections = []
    for i, (who, text) in enumerate(requests):
        connections.append(send(f, text, who))
        eventually(lambda: queued() == i + 1, "its place in the queue")
    return connections


def in_turn(gate, count):
    """Who comes when places become free one after the other: the letters of `count` requests."""
    for i in range(count):
        gate.let(1)
        gate.arrived(i + 2)
    return "".join(text[0] for text in gate.arrived(count + 1)[1:])


def test_a_route_is_shared_by_priority(gate, start):
    f = start(extra='route "r" { concurrency = 1 queue = 40 }\n'
              + tenant("a", "priority = 30") + tenant("b", "priority = 10"))
    connections = [send(f, "holds")]
    gate.arrived(1)
    flood = [("a", f"a{i}") for i in range(12)] + [("b", f"b{i}") for i in range(4)]
    connections += fill(f, flood, lambda: limits(f, "route")["queued"])
    turns = in_turn(gate, 16)
    for i in (4, 8, 12, 16):  # three of four, all along
        assert abs(turns[:i].count("b") - i // 4) <= 1, turns
    said = gate.arrived(17)
    for who in "ab":  # first come, first served
        own = [text for text in said if text.startswith(who)]
        assert own == sorted(own, key=lambda text: int(text[1:]))
    gate.let(1)
    assert {status(c) for c in connections} == {200}


def test_who_floods_a_route_does_not_keep_others_out(gate, start):
    f = start(extra='route "r" { concurrency = 1 queue = 4 }\n' + tenant("a") + tenant("b"))
    connections = [send(f, "holds")]
    gate.arrived(1)
    connections += fill(f, [("a", f"a{i}") for i in range(4)], lambda: limits(f, "route")["queued"])
    assert post(f, "a more").status == 429  # all seats are his
    late = send(f, "b0", "b")  # one of his is another's
    refused = status(connections.pop())
    assert refused == 429 and in_turn(gate, 4).index("b") <= 1
    gate.let(1)
    assert {status(c) for c in connections + [late]} == {200}


def test_a_provider_is_shared_by_priority(gate, start):
    f = start(provider="max_inflight = 1", extra=tenant("a", "priority = 30") + tenant("b", "priority = 10"))
    connections = [send(f, "holds")]
    gate.arrived(1)
    flood = [("a", f"a{i}") for i in range(9)] + [("b", f"b{i}") for i in range(3)]
    connections += fill(f, flood, lambda: f.get("/providers")["providers"][0]["waiting"])
    turns = in_turn(gate, 12)
    for i in (4, 8, 12):
        assert abs(turns[:i].count("b") - i // 4) <= 1, turns
    gate.let(1)
    assert {status(c) for c in connections} == {200}
    rows = f.rows(13)
    assert sorted({r["queued_for"] for r in rows}, key=str) == [None, "provider"]


def test_who_leaves_the_queue_of_a_provider(gate, start):
    f = start(provider="max_inflight = 1", extra=tenant("a"))
    connections = [send(f, "holds")]
    gate.arrived(1)
    connections += fill(f, [("a", "leaves"), ("a", "stays")],
                        lambda: f.get("/providers")["providers"][0]["waiting"])
    connections.pop(1).close()
    eventually(lambda: f.get("/providers")["providers"][0]["waiting"] == 1, "the free seat")
    gate.let(2)
    assert [status(c) for c in connections] == [200, 200] and gate.arrived(2) == ["holds", "stays"]
    gone = next(r for r in f.rows(3) if r["ended_by"] == "client")
    assert gone["cost_usd"] == "0"
