"""Two instances with one Redis: what a tenant may do at once and in a minute it may do with both together."""
import signal

import pytest

from harness import WAIT, eventually, key, question, read_all, send, tenant
from redis_servers import is_up, know_each_other, needs_redis
from test_limits import queued

pytestmark = needs_redis


@pytest.fixture
def fleet(start, redis):
    redis.start()

    def go(limits, count=2, failure=""):
        return [start(store=f"{redis.store} {failure}", extra=tenant("a", limits)) for _ in range(count)]
    return go


def test_places_are_of_both(held, fleet):
    one, two = fleet("concurrency = 2 queue = 5")
    running = [send(one, "held 1"), send(two, "held 2")]
    eventually(lambda: len(held.provider.requests) == 2, "both")
    waiting = [send(one, "held 3"), send(two, "held 4")]
    eventually(lambda: queued(one) == queued(two) == 1, "those who wait")
    assert len(held.provider.requests) == 2
    held.go_on.set()
    for connection in running + waiting:
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_without_a_queue_either_has_the_last_place(held, fleet):
    one, two = fleet("concurrency = 1")
    running = send(one, "held")
    eventually(lambda: held.provider.requests, "the first")
    refused = two.post(headers=key("a"))
    assert (refused.status, refused.code) == (429, "concurrency_limited")
    held.go_on.set()
    assert read_all(running).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: two.post(headers=key("a")).status == 200, "the place")


def test_requests_a_minute_are_of_both(fleet):
    one, two = fleet('requests = "12/min"')
    answers = [(one, two)[i % 2].post(body=question(f"n {i}"), headers=key("a")) for i in range(16)]
    refused = [a for a in answers if a.status != 200]
    assert 3 <= len(refused) <= 7 and {a.code for a in refused} == {"rate_limited"}
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    remaining = [int(a.headers["x-ratelimit-remaining-requests"]) for a in answers if a.status == 200]
    assert remaining[0] == 11 and remaining[-1] <= 3


def test_the_steps_of_a_run_are_of_both(held, fleet):
    one, two = fleet("run { max_steps = 3 }")
    headers = {**key("a"), "x-farthing-run": "r1"}
    answers = [(one, two)[i % 2].post(body=question(f"n {i}"), headers=headers) for i in range(5)]
    assert [a.code for a in answers] == ["ok"] * 3 + ["run_budget_exceeded"] * 2
    assert "has taken 3" in answers[3].json["error"]["message"]
    run, = eventually(lambda: (runs := two.get("/runs")["runs"]) and not runs[0]["running"] and runs, "its end")
    assert run["steps"] == 3
    other = {**headers, "x-farthing-run": "r2"}
    at_once = [send(f, f"held {i}", metadata={"farthing_run": "r3"}) for i, f in enumerate([one, two] * 3)]
    eventually(lambda: len(held.provider.requests) == 6, "three of six")
    held.go_on.set()
    ends = [read_all(connection).split(b" ")[1] for connection in at_once]
    assert sorted(ends) == [b"200"] * 3 + [b"429"] * 3
    assert two.post(body=question("another run's"), headers=other).status == 200


def test_places_of_a_killed_one_come_back(held, fleet):
    one, two = fleet('concurrency = 2 queue = 5 queue_timeout = "60s"')
    running = [send(one, f"held {i}") for i in range(2)]
    eventually(lambda: len(held.provider.requests) == 2, "both places")
    waiting = send(two, "next")
    eventually(lambda: queued(two) == 1, "the one who waits")
    one.process.send_signal(signal.SIGKILL)
    one.process.wait(WAIT)
    assert all(read_all(connection) == b"" for connection in running)
    assert read_all(waiting).startswith(b"HTTP/1.1 200 ")


def test_without_redis_each_has_an_even_share(fleet, redis):
    one, two = fleet('requests = "12/min"')
    know_each_other([one, two])
    assert one.post(body=question("first"), headers=key("a")).status == 200
    assert two.post(body=question("first"), headers=key("a")).status == 200
    redis.stop()
    for f in (one, two):
        eventually(lambda f=f: not is_up(f), "that Redis is gone")
        answers = [f.post(body=question(f"n {i}"), headers=key("a")) for i in range(9)]
        assert 4 <= sum(a.status == 200 for a in answers) <= 8
        assert answers[-1].code == "rate_limited"
        assert "farthing_limits_alone_total 1" in f.metrics()
    redis.start()
    for f in (one, two):
        eventually(lambda f=f: is_up(f), "that Redis is back")
        assert f.post(body=question("back"), headers=key("a")).status in (200, 429)


def test_closed_without_redis(fleet, redis):
    one, = fleet('requests = "12/min"', 1, 'on_store_failure { limits = "closed" }')
    assert one.post(headers=key("a")).status == 200
    redis.stop()
    eventually(lambda: not is_up(one), "that Redis is gone")
    answers = [one.post(body=question(f"n {i}"), headers=key("a")) for i in range(3)]
    assert (answers[-1].status, answers[-1].code) == (503, "store_unavailable")
    assert int(answers[-1].headers["Retry-After"]) >= 1
    redis.start()
    eventually(lambda: one.post(body=question("back"), headers=key("a")).status == 200, "that Redis is back")
