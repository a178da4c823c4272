"""Single flight: identical requests that are under way at once are one purchase."""
import json
import time

import pytest

from gates import ask, following, parse
from harness import chat, chat_events, eventually, hang_up, read_all, read_until, reply


def inflight(f, count):
    eventually(lambda: f'farthing_inflight{{tenant="default"}} {count}\n' in f.metrics(), f"{count} in flight")


@pytest.mark.parametrize("workers", [1, 4])
def test_identical_requests_are_bought_once(gate, start, workers):
    f = start(server=f"workers = {workers}")
    connections = [ask(f, f"x-farthing-feature: f{i}\r\n") for i in range(12)]
    following([f], 11)
    gate.release()
    answers = [parse(read_all(c)) for c in connections]
    assert {a[0] for a in answers} == {200} and len({a[2] for a in answers}) == 1
    assert len(gate.provider.requests) == 1
    caches = [a[1]["x-farthing-cache"] for a in answers]
    assert caches.count("miss") == 1 and set(caches) <= {"miss", "coalesced"}
    rows = f.rows(12)
    assert {r["feature"] for r in rows} == {f"f{i}" for i in range(12)}
    bought = [r for r in rows if r["cache"] == "miss"]
    assert len(bought) == 1 and bought[0]["cost_usd"] == "0.0000033"
    for r in rows:
        if r["cache"] == "coalesced":
            assert (r["cost_usd"], r["saved_usd"]) == ("0", {"coalesce": "0.0000033"})
            assert (r["attempts"], r["usage_source"], r["output_tokens"]) == ([], "cache", 3)
            assert (r["provider"], r["model"], r["success"]) == ("openai", "gpt-4o-mini", True)
    assert f.post().cache == "hit"


def test_other_requests_are_other_purchases(gate, farthing):
    connections = [ask(farthing, text="a"), ask(farthing, text="b"),
                   ask(farthing, "x-farthing-cache: bypass\r\n", text="a"),
                   ask(farthing, "x-farthing-cache: refresh\r\n", text="a"),
                   ask(farthing, text="a", temperature=1)]
    eventually(lambda: len(gate.provider.requests) == 5, "five purchases")
    gate.release()
    assert all(parse(read_all(c))[0] == 200 for c in connections)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_stream_is_followed_live_and_from_its_beginning(gate, start, workers):
    f = start(server=f"workers = {workers}")
    leader = ask(f, stream=True)
    gate.begin.set()
    led = read_until(leader, b"Hello")
    followers = [ask(f, stream=True) for _ in range(4)]
    followed = [read_until(c, b"Hello") for c in followers]  # while the provider waits
    gate.go_on.set()
    expected = b"".join(chat_events(include_usage=False))
    assert parse(read_all(leader, led))[2:] == (expected, True)
    for connection, received in zip(followers, followed):
        status, headers, body, whole = parse(read_all(connection, received))
        assert (status, headers["x-farthing-cache"], whole, body) == (200, "coalesced", True, expected)
        assert headers["x-farthing-model"] == "openai/gpt-4o-mini" and headers["x-farthing-cost-usd"] == "0"
    assert len(gate.provider.requests) == 1
    coalesced = [r for r in f.rows(5) if r["cache"] == "coalesced"]
    assert len(coalesced) == 4 and {r["saved_usd"]["coalesce"] for r in coalesced} == {"0.000003"}
    assert all(r["ttft_ms"] is not None and r["output_tokens"] == 3 for r in coalesced)


def test_streams_and_whole_answers_mix(gate, farthing):
    usage = {"stream_options": {"include_usage": True}}
    for leader in ({"stream": True}, {}, {"stream": True, **usage}):
        text = json.dumps(leader)
        gate.begin.clear()
        gate.go_on.clear()
        before = len(gate.provider.requests)
        connections = [ask(farthing, text=text, **leader)]
        eventually(lambda: len(gate.provider.requests) == before + 1, "the purchase")
        connections += [ask(farthing, text=text), ask(farthing, text=text, stream=True),
                        ask(farthing, text=text, stream=True, **usage)]
        following([farthing], 3)
        gate.release()
        answers = [parse(read_all(c)) for c in connections]
        assert [a[0] for a in answers] == [200] * 4 and all(a[3] for a in answers)
        assert json.loads(answers[1][2])["choices"][0]["message"]["content"] == "Hello there."
        for at, has_usage in ((2, False), (3, True)):
            assert answers[at][2].endswith(b"data: [DONE]\n\n")
            assert (b'"completion_tokens"' in answers[at][2]) == has_usage
        assert len(gate.provider.requests) == before + 1


def test_a_leader_whose_client_left_goes_on_for_its_followers(gate, farthing):
    leader = ask(farthing)
    eventually(lambda: gate.provider.requests, "the purchase")
    followers = [ask(farthing) for _ in range(2)]
    following([farthing], 2)
    leader.close()
    time.sleep(0.05)  # it would be cancelled by then
    followers.append(ask(farthing))
    following([farthing], 3)
    gate.release()
    assert [parse(read_all(c))[0] for c in followers] == [200] * 3
    assert len(gate.provider.requests) == 1
    assert sorted(r["cache"] for r in farthing.rows(4)) == ["coalesced"] * 3 + ["miss"]


def test_when_all_have_left_it_is_cancelled(gate, farthing):
    connections = [ask(farthing)]
    eventually(lambda: gate.provider.requests, "the purchase")
    connections += [ask(farthing), ask(farthing)]
    following([farthing], 2)
    for connection in connections:
        connection.close()
    rows = farthing.rows(3)
    assert {r["status"] for r in rows} == {499} and {r["ended_by"] for r in rows} == {"client"}
    inflight(farthing, 0)


def test_followers_leave_without_harm(gate, farthing):
    leader = ask(farthing, stream=True)
    gate.begin.set()
    received = read_until(leader, b"Hello")
    for i in range(3):
        follower = ask(farthing, stream=True)
        read_until(follower, b"Hello")
        follower.close()
    inflight(farthing, 1)
    gate.go_on.set()
    assert parse(read_all(leader, received))[3]
    assert [r["status"] for r in farthing.rows(4)] == [200] + [499] * 3
    assert {r["cost_usd"] for r in farthing.rows(4)[1:]} == {"0"}


def test_a_leader_that_fails_hands_over_to_one(gate, start):
    f = start(provider="retry { attempts = 1 }")
    gate.answers = [lambda r, c: reply(c, 500, {"error": {"message": "bad luck"}}),
                    lambda r, c: reply(c, body=chat("second"))]
    connections = [ask(f) for _ in range(5)]
    following([f], 4)
    gate.release()
    answers = [parse(read_all(c)) for c in connections]
    assert sorted(a[0] for a in answers) == [200] * 4 + [500]
    assert len(gate.provider.requests) == 2
    assert sorted(r["cache"] for r in f.rows(5)) == ["coalesced"] * 3 + ["miss"] * 2


def test_what_is_wrong_with_the_request_is_told_to_all(gate, farthing):
    gate.answers = [lambda r, c: reply(c, 400, {"error": {"message": "no such thing", "code": "c"}})]
    connections = [ask(farthing) for _ in range(4)]
    following([farthing], 3)
    gate.release()
    for connection in connections:
        status, _, body, _ = parse(read_all(connection))
        assert status == 400 and json.loads(body)["error"]["code"] == "c"
    assert len(gate.provider.requests) == 1
    assert {(r["status"], r["success"], r["cost_usd"]) for r in farthing.rows(4)} == {(400, False, "0")}


def test_a_stream_that_breaks_breaks_for_all_who_read_of_it(gate, farthing):
    def broken(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[1])
        assert gate.go_on.wait(20)
        hang_up(connection)

    gate.answers = [broken]
    leader = ask(farthing, stream=True)
    gate.begin.set()
    received = [read_until(leader, b"Hello")]
    follower = ask(farthing, stream=True)
    received.append(read_until(follower, b"Hello"))
    gate.go_on.set()
    for connection, start_of in zip((leader, follower), received):
        raw = read_all(connection, start_of)
        assert b'"code":"upstream_error"' in raw and b"[DONE]" not in raw and not raw.endswith(b"0\r\n\r\n")
    rows = farthing.rows(2)
    assert [r["success"] for r in rows] == [False, False]
    assert sorted(r["cost_usd"] == "0" for r in rows) == [False, True]  # the leader's was bought
    inflight(farthing, 0)


def test_a_follower_has_its_own_deadline(gate, farthing):
    leader = ask(farthing)
    eventually(lambda: gate.provider.requests, "the purchase")
    late = farthing.post(headers={"x-farthing-deadline-ms": "50"})
    assert late.status == 504 and late.json["error"]["param"] == "x-farthing-deadline-ms"
    assert farthing.rows()[0]["ended_by"] == "deadline"
    gate.release()
    assert parse(read_all(leader))[0] == 200


def test_a_slow_follower_does_not_slow_the_others(gate, farthing):
    big = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"' + b"x" * 60000 + b'"}}]}\n\n'

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[1])
        assert gate.go_on.wait(20)
        for _ in range(300):
            connection.sendall(big)
        connection.sendall(b"".join(chat_events(include_usage=False)[-2:]))
        hang_up(connection)

    gate.answers = [answer]
    leader = ask(farthing, stream=True)
    gate.begin.set()
    received = read_until(leader, b"Hello")
    slow = ask(farthing, stream=True)
    read_until(slow, b"Hello")  # and nothing more
    gate.go_on.set()
    body, whole = parse(read_all(leader, received))[2:]
    assert whole and body.count(b"x" * 60000) == 300
    slow.close()
    inflight(farthing, 0)


def test_the_end_of_the_process_ends_all(gate, start):
    f = start(server='drain_timeout = "100ms"')
    connections = [ask(f) for _ in range(3)]
    following([f], 2)
    assert f.stop() == 0
    assert {(r["ended_by"], r["status"]) for r in f.rows(3)} == {("shutdown", 503)}
    assert all(read_all(c).startswith(b"HTTP/1.1 503 ") for c in connections)
