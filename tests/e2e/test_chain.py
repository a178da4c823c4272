"""Chains: when a model gives no answer the next one of the route is asked, and what that cost is told."""
from decimal import Decimal

import openai
import pytest

from chains import LARGE_COST, ONCE, SHORT, SMALL_COST, ask, escalations, raw, reasons, said, sleep, status
from harness import (answer_as_asked, budget, chat_events, chunk, eventually, free_port, hang_up, http_request, key,
                     question, reply, row_of, stream_answer, tenant)

# --------------------------------------------------------------------- what goes on

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
FAULTS = {  # what small does, the attempt's reason, and that of the escalation
    "500": (status(500), "status", "error"),
    "503": (status(503), "status", "error"),
    "408": (status(408), "status", "error"),
    "409": (status(409), "status", "error"),
    "429": (status(429), "status", "error"),
    "reset": (lambda r, c: hang_up(c, reset=True), "reset", "error"),
    "closed": (lambda r, c: hang_up(c), "closed", "error"),
    "garbage": (raw(b"nonsense\r\n\r\n"), "bad_answer", "error"),
    "no JSON": (lambda r, c: reply(c, body=b"<html>"), "not_json", "error"),
    "error in 200": (lambda r, c: reply(c, body={"error": {"message": "bad luck"}}), "error_in_200", "error"),
    "too slow": (raw(b"", sleep), "first_byte_timeout", "timeout"),
    "slow amid it": (raw(HEAD + b"{", sleep), "idle_timeout", "timeout"),
    "cut": (raw(HEAD + b'{"choices": ['), "truncated", "error"),
    "stream without events": (raw(EVENTS), "truncated", "error"),
    "stream of an error": (raw(EVENTS + b'data: {"error":{"message":"bad luck"}}\n\n'), "error_in_200", "error"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULTS)
def test_the_second_answers(provider, large, begin_chain, name, stream):
    provider.answer, reason, why = FAULTS[name]
    f = begin_chain(provider_more=SHORT + ONCE)
    got = ask(f, stream=stream)
    assert got.status == 200 and said(got) == "large answer"
    assert (len(provider.requests), len(large.requests)) == (1, 1)
    told = {n: got.headers["x-farthing-" + n] for n in ("tier", "model", "attempts", "route")}
    assert told == {"tier": "large", "model": "big/large", "attempts": "2", "route": "r"}
    (row,) = f.rows()
    assert (row["tier"], row["provider"], row["model"], row["status"]) == ("large", "big", "large", 200)
    assert row["success"] and row["requested_model"] == "auto" and row["error_code"] is None
    assert [(a["provider"], a["model"], a["tier"]) for a in row["attempts"]] == \
        [("openai", "small", "small"), ("big", "large", "large")]
    if not (name == "closed" and row["attempts"][0]["reason"] == "reset"):  # as the kernel sees it
        assert reasons(row)[0] == reason
    assert row["retry_cost_usd"] == "0" and row["input_tokens"] == 10
    assert Decimal(row["cost_usd"]) == Decimal(row["attempts"][1]["cost_usd"]) > 0
    assert escalations(f) == {why: 1}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_refused_connection(large, begin_chain, stream):
    f = begin_chain(url=f"http://127.0.0.1:{free_port()}/v1")
    assert said(ask(f, stream=stream)) == "large answer"
    assert reasons(f.rows()[0]) == ["connect_failed", "ok"]


def test_what_has_begun_is_never_mixed(provider, large, begin_chain):
    provider.answer = stream_answer(chat_events(("small", " begins"))[:3], cut=True)
    f = begin_chain()
    got = ask(f, stream=True)
    assert b"small" in got.body and b"large" not in got.body and b'"error"' in got.body
    assert large.requests == [] and reasons(f.rows()[0]) == ["truncated"]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_the_requests_own_fault_goes_nowhere(provider, large, begin_chain, code):
    provider.answer = status(code)
    got = ask(begin_chain())
    assert (got.status, got.json["error"]["message"], large.requests) == (code, "no", [])


TOO_LONG = {
    "code": status(400, code="context_length_exceeded"),
    "words": status(400, message="prompt is too long: 9 tokens > 8 maximum"),
    "413": status(413, message="This model's maximum context length is 8 tokens"),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_too_long_goes_to_the_larger_window(provider, large, begin_chain, name):
    provider.answer = TOO_LONG[name]
    f = begin_chain(models=("context_window = 8000", "context_window = 16000"))
    assert said(ask(f)) == "large answer" and escalations(f) == {"context": 1}


def test_too_long_does_not_go_to_the_same_window(provider, large, begin_chain):
    provider.answer = TOO_LONG["code"]
    f = begin_chain(models=("context_window = 8000", "context_window = 8000"))
    got = ask(f)
    assert (got.status, got.code, large.requests) == (400, "context_length_exceeded", [])


def test_without_the_word_nothing_goes_on(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain('escalate_on = {"timeout"}')
    assert ask(f).status == 500 and large.requests == []


# ---------------------------------------------------------------------- how far

@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_all_fail(provider, large, begin_chain, stream):
    provider.answer, large.answer = status(500), lambda r, c: hang_up(c, reset=True)
    f = begin_chain()
    got = ask(f, stream=stream)
    assert (got.status, got.code) == (502, "all_models_failed")
    assert "openai/small: status 500; big/large: reset" in got.json["error"]["message"]
    (row,) = f.rows()
    assert (row["status"], row["error_code"], row["success"]) == (502, "all_models_failed", False)
    assert (row["ended_by"], row["cost_usd"], len(row["attempts"])) == ("provider", "0", 2)


ERROR_EVENT = b'data: {"error":{"message":"bad luck"}}\n\n'


def test_a_stream_of_an_error_as_the_last(provider, large, begin_chain):
    provider.answer, large.answer = status(500), raw(EVENTS + ERROR_EVENT)
    f = begin_chain()
    got = ask(f, stream=True)
    assert (got.status, got.code) == (502, "all_models_failed")
    (row,) = f.rows()
    assert reasons(row) == ["status", "error_in_200"] and row["cost_usd"] == "0"


def test_an_error_before_the_first_word(provider, begin_chain):
    provider.answer = raw(EVENTS + chunk({"role": "assistant", "content": ""}) + ERROR_EVENT)
    f = begin_chain()
    assert said(ask(f, stream=True)) == "large answer"
    assert (f.rows()[0]["retry_cost_usd"], reasons(f.rows()[0])) == ("0", ["error_in_200", "ok"])


def test_a_stream_of_an_error_is_retried(provider, large, begin_chain):
    small = provider.answer
    provider.answer = lambda r, c: (small if len(provider.requests) > 1 else raw(EVENTS + ERROR_EVENT))(r, c)
    f = begin_chain(provider_more='retry { attempts = 2 backoff = "1ms" }')
    assert said(ask(f, stream=True)) == "small answer" and large.requests == []
    (row,) = f.rows()
    assert reasons(row) == ["error_in_200", "ok"] and (row["retry_cost_usd"], row["output_tokens"]) == ("0", 3)


def test_the_same_model_first(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain(provider_more='retry { attempts = 2 backoff = "1ms" budget_percent = 100 }')
    got = ask(f)
    assert (len(provider.requests), len(large.requests), got.headers["x-farthing-attempts"]) == (2, 1, "3")
    assert [a["model"] for a in f.rows()[0]["attempts"]] == ["small", "small", "large"]


def test_retries_begin_anew_with_each_model(provider, large, begin_chain):
    provider.answer = large.answer = status(500)
    again = 'retry { attempts = 2 backoff = "1ms" budget_percent = 100 }'
    f = begin_chain(provider_more=again, large_more=again)
    assert ask(f).code == "all_models_failed"
    assert (len(provider.requests), len(large.requests)) == (2, 2)


@pytest.mark.parametrize("most,expected", [(1, (1, 0)), (2, (2, 0)), (3, (2, 1)), (4, (2, 2)), (9, (2, 2))])
def test_most_attempts(provider, large, begin_chain, most, expected):
    provider.answer = large.answer = status(500)
    again = 'retry { attempts = 2 backoff = "1ms" budget_percent = 100 }'
    f = begin_chain(f"max_attempts = {most}", provider_more=again, large_more=again)
    assert ask(f).status >= 500
    assert (len(provider.requests), len(large.requests)) == expected


@pytest.mark.parametrize("how", ["route", "header"])
def test_the_deadline_is_of_the_whole_chain(provider, large, begin_chain, how):
    provider.answer = large.answer = raw(b"", sleep)
    f = begin_chain('deadline = "1500ms"' if how == "route" else "",
                    provider_more='first_byte_timeout = "400ms" ' + ONCE)
    got = ask(f, headers={"x-farthing-deadline-ms": "1500"} if how == "header" else None)
    assert (got.status, got.code, len(large.requests)) == (504, "upstream_timeout", 1)
    (row,) = f.rows()
    assert row["ended_by"] == "deadline" and reasons(row) == ["first_byte_timeout", "total_timeout"]


@pytest.mark.parametrize("model", ["openai/small", "small"])
def test_a_named_model_is_the_first(provider, large, begin_chain, model):
    f = begin_chain()
    assert said(ask(f, model=model)) == "small answer" and large.requests == []
    provider.answer = status(500)
    assert said(ask(f, "again", model=model)) == "large answer"
    assert said(ask(f, "large", model="big/large")) == "large answer" and len(provider.requests) == 2


def test_a_named_models_fallbacks_are_the_routes_tiers(provider, large, begin_chain):
    large.answer = status(500)
    assert said(ask(begin_chain(), model="big/large")) == "small answer" and len(large.requests) == 1


def test_another_dialect_is_passed_over(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain(large_more=ONCE + ' dialect = "anthropic"')
    assert ask(f).status == 500 and large.requests == []


# ---------------------------------------------------------------- what the second is asked

def test_what_the_second_is_asked(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain("fallback_temperature = 0.2 fallback_max_output_tokens = 77")
    sent = {"temperature": 0.9, "max_tokens": 100, "user": "u"}
    assert said(ask(f, **sent)) == "large answer"
    first, second = provider.requests[0].json, large.requests[0].json
    assert first == {**question(**sent), "model": "small"}
    assert second == {**first, "model": "large", "temperature": 0.2, "max_tokens": 77}
    assert provider.requests[0].headers["authorization"] == "Bearer provider-key"
    assert large.requests[0].headers["authorization"] == "Bearer big-key"


def test_nothing_else_is_changed(provider, large, begin_chain):
    provider.answer = status(500)
    body = b'{ "model":"auto", "x": 1.50, "messages" : [{"role":"user","content":"\\u00e9"}] }'
    f = begin_chain("fallback_explain = true")  # there is no violation to explain
    assert f.post(body=body).status == 200
    assert large.requests[0].body == body.replace(b'"auto"', b'"large"')


# ----------------------------------------------------------------------- money, cache

def test_savings(provider, large, begin_chain):
    f = begin_chain()
    by_small = row_of(f, ask(f))
    provider.answer = status(500)
    by_large = row_of(f, ask(f, "again"))
    named = row_of(f, ask(f, "named", model="openai/small"))
    assert (by_small["cost_usd"], by_small["baseline_cost_usd"]) == (str(SMALL_COST), str(LARGE_COST))
    assert Decimal(by_small["saved_usd"]["route"]) == LARGE_COST - SMALL_COST
    assert by_large["cost_usd"] == by_large["baseline_cost_usd"] and by_large["saved_usd"] == {}
    assert Decimal(named["saved_usd"]["route"]) == SMALL_COST - LARGE_COST  # it cost more than what was asked for


def test_the_run_counts_each_answer_once(provider, large, begin_chain):
    """Of 13 tokens, and of what the next may use."""
    f = begin_chain(extra=tenant("a", "run { max_tokens = 150 }"))
    headers = {**key("a"), "x-farthing-run": "r"}
    codes = [ask(f, f"hello {i}", headers=headers, max_tokens=20).code for i in range(12)]
    paid = codes.index("run_budget_exceeded")
    assert 13 * paid <= 150 < 13 * paid + 20 + 40


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_nothing_stays_reserved(provider, large, begin_chain, stream):
    provider.answer = status(500)
    f = begin_chain(extra=tenant("a", budget(1)))
    assert said(ask(f, headers=key("a"), stream=stream)) == "large answer"
    f.nothing_reserved()
    assert f.budget()["spent"] == Decimal(f.rows()[0]["cost_usd"]) > 0


def test_a_budget_that_cannot_bear_the_second(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain(extra=tenant("a", budget("0.0015")))
    got = ask(f, headers=key("a"), max_tokens=100)  # about 0.001 USD of small, 0.002 of large
    assert (got.code, large.requests) == ("budget_exceeded", [])
    f.nothing_reserved()
    (row,) = f.rows()
    assert (row["cost_usd"], row["refused_by"], reasons(row)) == ("0", "budget:daily", ["status"])


def test_the_answer_of_the_second_is_kept(provider, large, begin_chain):
    provider.answer = status(500)
    f = begin_chain()
    bought, again, stream = ask(f), ask(f), ask(f, stream=True)
    assert (bought.cache, again.cache, stream.cache) == ("miss", "hit", "hit")
    assert again.body == bought.body and said(stream) == "large answer" and len(large.requests) == 1
    assert (again.headers["x-farthing-tier"], again.headers["x-farthing-model"]) == ("large", "big/large")
    hit = row_of(f, again)
    assert (hit["tier"], hit["model"]) == ("large", "large")
    assert hit["saved_usd"] == {"cache": row_of(f, bought)["cost_usd"]}


def test_what_the_fallbacks_cap_cut_is_nobody_elses(provider, large, begin_chain):
    large.answer = answer_as_asked(finish="length")
    provider.answer = status(500)
    f = begin_chain("fallback_max_output_tokens = 7")
    assert [ask(f).cache for _ in range(2)] == ["miss"] * 2 and len(large.requests) == 2
    large.answer = answer_as_asked()  # this one is whole
    assert [ask(f).cache for _ in range(2)] == ["miss", "hit"]


def test_a_client_that_has_gone_buys_no_second(provider, large, begin_chain):
    f = begin_chain()
    provider.answer = raw(b"", sleep)
    connection = f.connect()
    connection.sendall(http_request(question(model="auto")))
    eventually(lambda: provider.requests, "the purchase")
    connection.close()
    assert f.rows()[0]["status"] == 499 and large.requests == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_sdk_sees_one_answer(provider, begin_chain, stream):
    provider.answer = status(500)
    client = openai.OpenAI(base_url=begin_chain().url, api_key="k", max_retries=0)
    answer = client.chat.completions.create(model="auto", stream=stream, messages=[{"role": "user", "content": "x"}])
    text = "".join(e.choices[0].delta.content or "" for e in answer if e.choices) if stream \
        else answer.choices[0].message.content
    assert text == "large answer"
