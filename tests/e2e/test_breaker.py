"""Circuit breakers and retry budgets: a provider that is down costs next to nothing, and is not asked more for it."""
import concurrent.futures
import time

import pytest

from chains import ONCE, SHORT, ask, raw, reasons, said, series, sleep, status
from harness import chat, eventually, hang_up, reply, row_of

FOREVER, SOON = 'open_for = "1h"', 'open_for = "200ms"'
FLOOR = 3  # retries that are always there


def breaker(failures=3, more=FOREVER, retry=ONCE):
    return f"{retry} breaker {{ failures = {failures} {more} }} "


def ask_many(f, count, text="hello", **more):
    return [ask(f, f"{text} {i}", **more) for i in range(count)]


def begin_alone(begin_chain, provider_more):
    """A proxy in which a named model has no fallback."""
    return begin_chain('max_attempts = 9 escalate_on = {"context"}', provider_more=provider_more)


DOWN = {"500": status(500), "reset": lambda r, c: hang_up(c, reset=True), "cut": raw(b"HTTP/1.1 200 OK\r\n")}


@pytest.mark.parametrize("name", DOWN)
def test_it_opens(provider, begin_chain, name):
    provider.answer = DOWN[name]
    f = begin_alone(begin_chain, breaker())
    answers = ask_many(f, 8)
    assert len(provider.requests) == 3
    for got in answers[3:]:
        assert (got.status, got.code) == (503, "upstream_error") and 3000 < int(got.headers["Retry-After"]) <= 3601
        assert "failed again and again" in got.json["error"]["message"]
    row = row_of(f, answers[-1])
    assert reasons(row) == ["breaker_open"] and (row["status"], row["ended_by"], row["cost_usd"]) == (503, "provider", "0")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_with_a_fallback_nobody_notices(provider, large, begin_chain, stream):
    provider.answer = status(500)
    f = begin_chain(provider_more=breaker())
    assert [said(a) for a in ask_many(f, 8, stream=stream)] == ["large answer"] * 8
    assert (len(provider.requests), len(large.requests)) == (3, 8)
    assert sorted(reasons(r) for r in f.rows(8)) == [["breaker_open", "ok"]] * 5 + [["status", "ok"]] * 3


def test_timeouts_open_it(provider, large, begin_chain):
    provider.answer = raw(b"", sleep)
    f = begin_chain(provider_more=SHORT + breaker())
    assert [said(a) for a in ask_many(f, 6)] == ["large answer"] * 6 and len(provider.requests) == 3


def test_slow_calls_open_it(provider, large, begin_chain):
    f = begin_chain(provider_more=breaker(more='open_for = "1h" slow_call = "1ms"'))
    answer = provider.answer
    provider.answer = lambda r, c: (sleep_a_little(), answer(r, c))
    assert [said(a) for a in ask_many(f, 6)] == ["small answer"] * 3 + ["large answer"] * 3


def sleep_a_little():
    time.sleep(0.02)


@pytest.mark.parametrize("code", [400, 401, 404, 429])
def test_what_is_not_its_fault_does_not_open_it(provider, begin_chain, code):
    provider.answer = status(code)
    f = begin_alone(begin_chain, breaker())
    assert {a.status for a in ask_many(f, 6)} == {code} and len(provider.requests) == 6


def test_all_are_open(provider, large, begin_chain):
    provider.answer = large.answer = status(500)
    f = begin_chain(provider_more=breaker(), large_more=breaker())
    answers = ask_many(f, 6)
    assert {a.code for a in answers} == {"all_models_failed"}
    assert "openai/small: breaker_open; big/large: breaker_open" in answers[-1].json["error"]["message"]
    assert len(provider.requests) == len(large.requests) == 3


def test_each_model_has_its_own(provider, begin_chain):
    def answer(request, connection):
        ok = request.json["model"] != "small"
        reply(connection, 200 if ok else 500, chat() if ok else {"error": {"message": "no"}})

    provider.answer = answer
    f = begin_alone(begin_chain, breaker())
    assert [a.status for a in ask_many(f, 4)] == [500] * 3 + [503]
    assert ask(f, model="openai/other").status == 200


def test_a_probe_closes_it(provider, large, begin_chain):
    answer, provider.answer = provider.answer, status(500)
    f = begin_chain(provider_more=breaker(more=SOON))
    ask_many(f, 4)
    provider.answer = answer
    eventually(lambda: said(ask(f, "probe", headers={"x-farthing-cache": "bypass"})) == "small answer", "the probe")
    asked = len(provider.requests)
    assert [said(a) for a in ask_many(f, 8, "again")] == ["small answer"] * 8
    assert len(provider.requests) == asked + 8


def test_a_bad_probe_keeps_it_open(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain(provider_more=breaker(more=SOON))
    ask_many(f, 3)
    eventually(lambda: ask(f, headers={"x-farthing-cache": "bypass"}) and len(provider.requests) == 4, "a probe")
    assert said(ask(f, headers={"x-farthing-cache": "bypass"})) == "large answer" and len(provider.requests) <= 5


def test_under_load(provider, large, begin_chain):
    """All loops know it; those that were under way when it opened may be a few more."""
    provider.answer = status(500)
    f = begin_chain(provider_more=breaker())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: said(ask(f, f"hello {i}")), range(100)))
    assert answers == ["large answer"] * 100 and 3 <= len(provider.requests) <= 3 + 8


def test_a_retry_stops_when_it_opens(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain(provider_more=breaker(2, retry='retry { attempts = 5 backoff = "1ms" budget_percent = 100 }'))
    assert said(ask(f)) == "large answer" and len(provider.requests) == 2
    assert reasons(f.rows()[0]) == ["status", "status", "breaker_open", "ok"]


def test_fewer_failures_do_not_open_it(provider, begin_chain):
    provider.answer = status(500)
    assert {a.status for a in ask_many(begin_alone(begin_chain, breaker(1000)), 12)} == {500}
    assert len(provider.requests) == 12


def test_its_state_is_shown(provider, large, begin_chain):
    answer, provider.answer = provider.answer, status(500)
    f = begin_chain(provider_more=breaker(more=SOON))

    def state():
        return {figure for labels, figure in series(f, "farthing_breaker_state").items() if "small" in labels}

    assert state() <= {0}
    ask_many(f, 3)
    assert state() <= {1, 2} and state()
    provider.answer = answer
    eventually(lambda: ask(f, headers={"x-farthing-cache": "bypass"}) and state() == {0}, "its recovery")


# ------------------------------------------------------------------- retry budgets

RETRIES = 'retry { attempts = 2 backoff = "1ms" backoff_max = "1ms" budget_percent = %d } breaker { failures = 1000 }'


@pytest.mark.parametrize("percent,retries", [(20, FLOOR), (100, FLOOR), (0, 0)])
def test_an_outage_is_not_multiplied(provider, begin_chain, percent, retries):
    provider.answer = status(500)
    f = begin_alone(begin_chain, RETRIES % percent)
    ask_many(f, 30)
    assert len(provider.requests) == 30 + retries


@pytest.mark.parametrize("good,retries", [(0, 3), (10, 5), (20, 7)])
def test_what_went_well_earns_retries(provider, begin_chain, good, retries):
    """20 % of it; a second is too short to forget any."""
    f = begin_alone(begin_chain, RETRIES % 20)
    ask_many(f, good, "good")
    provider.answer = status(500)
    ask_many(f, 20)
    made = len(provider.requests) - good - 20
    assert retries - 1 <= made <= retries + 1


def test_clients_retries_are_paid_from_it(provider, begin_chain):
    provider.answer = status(500)
    f = begin_alone(begin_chain, RETRIES % 20)
    ask_many(f, FLOOR, headers={"x-stainless-retry-count": "1"})
    assert len(provider.requests) == FLOOR + 1  # of the first; then there is nothing left
    ask_many(f, 5)
    assert len(provider.requests) == FLOOR + 1 + 5


def test_a_chain_goes_on_without_a_retry(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain(provider_more=RETRIES % 0)
    assert said(ask(f)) == "large answer" and len(provider.requests) == 1
