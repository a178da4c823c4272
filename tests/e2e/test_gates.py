"""Gates: an answer that is not good enough is bought again from the next model, and never shown."""
import threading
from decimal import Decimal

import openai
import pytest

from gates import CLOSE, following, parse
from chains import ask, escalations, reasons, said, series, status
from harness import (budget, chat, chunk, eventually, hang_up, http_request, key, question, read_all, reply,
                     stream_answer, tenant)

LONG = "This is a whole answer, and it is long enough for whoever asked for it. "
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {
    "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}


def call(name, arguments):
    return {"content": None, "finish": "tool_calls", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}]}


GOOD = {"content": LONG}
# reason: gate section, what is asked, the bad answer, a good one
REASONS = {
    "length": ("", {}, {"content": LONG, "finish": "length"}, GOOD),
    "content_filter": ("", {}, {"content": "I", "finish": "content_filter"}, GOOD),
    "empty": ("", {}, {"content": " \n"}, GOOD),
    "refusal": ("", {}, {"content": "I'm sorry, but I can't help with that."}, GOOD),
    "json": ("", {"response_format": {"type": "json_object"}}, {"content": '{"a": '}, {"content": '{"a": 1}'}),
    "json_schema": ("", {"response_format": SCHEMA}, {"content": '{"a": "x"}'}, {"content": '{"a": 1}'}),
    "tools": ("", {"tools": TOOLS}, call("add", '{"b": 1}'), call("add", '{"a": 1}')),
    "pattern": ('gate { must_match = {"whole"} }', {}, {"content": "Something else."}, GOOD),
    "too_short": ("gate { min_characters = 20 }", {}, {"content": "Short."}, GOOD),
    "language": ('gate { scripts = {"latin"} }', {},
                 {"content": "Это ответ на другом языке, и довольно длинный."}, GOOD),
    "repetition": ("", {}, {"content": "again and again " * 200}, GOOD),
}


def streamed(content="", finish="stop", usage=None, tool_calls=()):
    """The same answer as events, its text in pieces of 20 characters."""
    pieces = [content[i:i + 20] for i in range(0, len(content or ""), 20)]
    calls = [{"index": i, **c} for i, c in enumerate(tool_calls)]
    events = [chunk({"role": "assistant", "content": ""})] + [chunk({"content": p}) for p in pieces]
    events += [chunk({"tool_calls": calls})] if calls else []
    return [*events, chunk({}, finish), chunk(choices=[], usage={"prompt_tokens": 10, "completion_tokens": 3}),
            b"data: [DONE]\n\n"]


def answers(given):
    """Gives this answer, in the form that is asked for."""
    def answer(request, connection):
        if request.json.get("stream"):
            stream_answer(streamed(**given))(request, connection)
        else:
            reply(connection, body=chat(**given))
    return answer


def both(provider, large, first, second):
    provider.answer, large.answer = answers(first), answers(second)


def on(*words):
    listed = ", ".join(f'"{w}"' for w in words)
    return f"escalate_on = {{{listed}}} "


def model_of(answer):
    return answer.headers["x-farthing-model"]


# ---------------------------------------------------------------------- whole answers

@pytest.mark.parametrize("reason", REASONS)
def test_a_bad_answer_is_bought_again(provider, large, begin_chain, reason):
    gate, asked, bad, good = REASONS[reason]
    both(provider, large, bad, good)
    f = begin_chain(on(reason) + gate)
    got = ask(f, **asked)
    assert got.status == 200 and model_of(got) == "big/large" and got.json["choices"] == chat(**good)["choices"]
    (row,) = f.rows()
    assert reasons(row) == [reason, "ok"] and escalations(f) == {reason: 1}
    assert [a["status"] for a in row["attempts"]] == [200, 200]
    assert [Decimal(a["cost_usd"]) for a in row["attempts"]] == [Decimal("0.00004"), Decimal("0.00011")]
    assert (row["cost_usd"], row["retry_cost_usd"]) == ("0.00015", "0.00004")
    assert (row["input_tokens"], row["output_tokens"], row["success"]) == (20, 6, True)
    assert got.headers["x-farthing-cost-usd"] == "0.00015" and row["finish_reason"] == good.get("finish", "stop")
    again = ask(f, **asked)
    assert (again.cache, model_of(again), len(large.requests)) == ("hit", "big/large", 1)


@pytest.mark.parametrize("reason", REASONS)
def test_the_last_bad_answer_is_given_and_not_kept(provider, large, begin_chain, reason):
    gate, asked, bad, _ = REASONS[reason]
    both(provider, large, bad, bad)
    f = begin_chain(on(reason) + gate)
    for _ in range(2):
        got = ask(f, **asked)
        assert (got.status, got.cache, model_of(got)) == (200, "miss", "big/large")
        assert got.json["choices"] == chat(**bad)["choices"]
    assert len(large.requests) == 2
    row = f.rows(2)[0]
    assert reasons(row) == [reason, reason] and row["cost_usd"] == "0.00015"


@pytest.mark.parametrize("reason", REASONS)
def test_what_is_not_named_is_given(provider, large, begin_chain, reason):
    gate, asked, bad, good = REASONS[reason]
    both(provider, large, bad, good)
    others = [r for r in REASONS if r != reason and (reason, r) != ("json", "json_schema")]
    f = begin_chain(on(*(others if reason != "json" else ["too_short"])) + gate)
    got = ask(f, **asked)
    assert got.json["choices"] == chat(**bad)["choices"] and large.requests == []


def test_the_clients_own_cap(provider, large, begin_chain):
    both(provider, large, {"content": LONG, "finish": "length"}, GOOD)
    f = begin_chain(on("length", "too_short") + "max_output_tokens = 50 gate { min_characters = 500 }")
    assert model_of(ask(f, max_tokens=20)) == "openai/small"
    assert model_of(ask(f, max_tokens=80)) == "big/large"  # this one is Farthing's
    assert provider.requests[1].json["max_tokens"] == 50


def test_the_next_model_is_told_what_was_wrong(provider, large, begin_chain):
    gate, asked, bad, good = REASONS["json_schema"]
    both(provider, large, bad, good)
    f = begin_chain(on("json_schema") + "fallback_explain = true fallback_temperature = 0")
    assert model_of(ask(f, **asked)) == "big/large"
    first, second = provider.requests[0].json, large.requests[0].json
    assert len(first["messages"]) == 1 and "temperature" not in first
    instruction, *rest = second["messages"]
    assert rest == first["messages"] and instruction["role"] in ("system", "developer")
    assert "An earlier answer to this was not accepted" in instruction["content"] and second["temperature"] == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_rejected_answers_are_paid_by_the_budget(provider, large, begin_chain, stream):
    both(provider, large, {"content": ""}, GOOD)
    f = begin_chain(on("empty") + 'gate_streams = "buffer"', extra=tenant("a", budget(1)))
    assert model_of(ask(f, headers=key("a"), stream=stream)) == "big/large"
    f.nothing_reserved()
    assert f.budget()["spent"] == Decimal(f.rows()[0]["cost_usd"]) == Decimal("0.00015")
    assert sum(series(f, "farthing_retry_cost_usd_total").values()) == pytest.approx(0.00004)


def test_a_budget_that_cannot_bear_another(provider, large, begin_chain):
    both(provider, large, {"content": ""}, GOOD)
    f = begin_chain(on("empty"), extra=tenant("a", budget("0.0015")))
    got = ask(f, headers=key("a"), max_completion_tokens=100)
    assert large.requests == [] and got.code == "budget_exceeded"
    f.nothing_reserved()
    (row,) = f.rows()
    assert f.budget()["spent"] == Decimal(row["cost_usd"]) == Decimal(row["retry_cost_usd"]) == Decimal("0.00004")
    assert reasons(row) == ["empty"] and row["refused_by"] == "budget:daily"


def test_then_the_second_fails(provider, large, begin_chain):
    both(provider, large, {"content": ""}, GOOD)
    large.answer = status(500)
    f = begin_chain(on("empty", "error"))
    got = ask(f)
    assert got.code == "all_models_failed" and "openai/small: empty; big/large: status 500" in str(got.json)
    assert f.rows()[0]["cost_usd"] == "0.00004"


# ---------------------------------------------------------------------------- streams

HELD = ['"buffer"', '"head 20"']
AT_ONCE = {"refusal": 20, "language": 100, "repetition": 400}  # what a beginning of so many tokens shows


@pytest.mark.parametrize("reason", REASONS)
def test_a_buffered_stream_is_judged(provider, large, begin_chain, reason):
    gate, asked, bad, good = REASONS[reason]
    both(provider, large, bad, good)
    f = begin_chain(on(reason) + gate + ' gate_streams = "buffer"')
    got = ask(f, stream=True, stream_options={"include_usage": True}, **asked)
    assert model_of(got) == "big/large" and got.body == b"".join(streamed(**good))
    (row,) = f.rows()
    assert reasons(row) == [reason, "ok"] and (row["cost_usd"], row["retry_cost_usd"]) == ("0.00015", "0.00004")
    assert 0 <= row["ttft_ms"] <= row["latency_ms"]
    assert ask(f, **asked).cache == "hit"


@pytest.mark.parametrize("how", ["buffer", "head"])
@pytest.mark.parametrize("reason", AT_ONCE)
def test_a_bad_beginning(provider, large, begin_chain, reason, how):
    gate, asked, bad, good = REASONS[reason]
    bad = {"content": (bad["content"] + " ") * 4}
    both(provider, large, bad, good)
    held = how if how == "buffer" else f"head {AT_ONCE[reason]}"
    f = begin_chain(on(reason) + gate + f' gate_streams = "{held}"')
    got = ask(f, stream=True, **asked)
    assert model_of(got) == "big/large" and said(got) == good["content"]
    row = f.rows()[0]
    assert reasons(row) == [reason, "ok"] and Decimal(row["retry_cost_usd"]) > 0
    assert Decimal(row["cost_usd"]) == sum(Decimal(a["cost_usd"]) for a in row["attempts"])


def test_a_bad_beginning_is_not_read_to_its_end(provider, large, begin_chain):
    both(provider, large, GOOD, GOOD)
    provider.answer = stream_answer(streamed("I'm sorry, but I can't help with that. " * 50), pause=0.02)
    f = begin_chain(on("refusal") + 'gate_streams = "head 20"')
    assert said(ask(f, stream=True)) == LONG
    eventually(lambda: provider.gone, "the end of the first attempt")


@pytest.mark.parametrize("how", HELD)
def test_the_last_bad_stream_is_given_and_not_kept(provider, large, begin_chain, how):
    bad = {"content": "I'm sorry, but I can't help with that. " * 5}
    both(provider, large, bad, bad)
    f = begin_chain(on("refusal") + f"gate_streams = {how}")
    for _ in range(2):
        got = ask(f, stream=True)
        assert model_of(got) == "big/large" and said(got) == bad["content"] and got.cache == "miss"
    assert [r["success"] for r in f.rows(2)] == [True] * 2 and reasons(f.rows()[0]) == ["refusal"] * 2


@pytest.mark.parametrize("how", ['"off"'] + HELD)
def test_good_streams_pass_as_they_are(provider, large, begin_chain, how):
    both(provider, large, GOOD, GOOD)
    f = begin_chain(on("refusal", "empty", "error") + f"gate_streams = {how} fallback_explain = true")
    got = ask(f, stream=True, stream_options={"include_usage": True})
    assert got.body == b"".join(streamed(**GOOD)) and large.requests == []
    assert ask(f).cache == "hit"


def test_without_it_streams_are_given_and_the_bad_ones_not_kept(provider, large, begin_chain):
    both(provider, large, {"content": ""}, GOOD)
    f = begin_chain(on("empty"))
    assert (said(ask(f, stream=True)), large.requests) == ("", [])
    assert reasons(f.rows()[0]) == ["empty"]
    assert said(ask(f)) == LONG  # this one is judged


def test_a_head_explains_only_where_it_shall(provider, large, begin_chain):
    both(provider, large, {"content": "I'm sorry, but I can't help with that. " * 5}, GOOD)
    f = begin_chain(on("refusal") + 'gate_streams = "head 20"')
    ask(f, stream=True)
    assert len(large.requests[0].json["messages"]) == 1


@pytest.mark.parametrize("how", HELD)
def test_what_breaks_while_it_is_held(provider, large, begin_chain, how):
    large.answer = answers(GOOD)
    provider.answer = stream_answer(streamed("Some words")[:2], cut=True)
    f = begin_chain(on("empty", "error") + f"gate_streams = {how}")
    got = ask(f, stream=True)
    assert said(got) == LONG and reasons(f.rows()[0]) == ["truncated", "ok"]
    assert Decimal(f.rows()[0]["retry_cost_usd"]) > 0  # what was said is paid


@pytest.mark.parametrize("how", ['"off"'] + HELD)
def test_the_sdk_reads_them(provider, large, begin_chain, how):
    bad = {"content": "I'm sorry, but I can't help with that. " * 5}
    both(provider, large, bad, GOOD)
    f = begin_chain(on("refusal") + f"gate_streams = {how}")
    client = openai.OpenAI(base_url=f.url, api_key="k", max_retries=0)
    events = list(client.chat.completions.create(model="auto", stream=True, stream_options={"include_usage": True},
                                                 messages=[{"role": "user", "content": "x"}]))
    text = "".join(e.choices[0].delta.content or "" for e in events if e.choices)
    assert text == (bad if how == '"off"' else GOOD)["content"] and events[-1].usage.completion_tokens == 3


@pytest.mark.parametrize("how", ['"off"'] + HELD)
def test_who_shares_a_bad_stream_gets_all_of_it(provider, large, begin_chain, how):
    """It is the last of the chain, so it is given; those who came for the same have had its beginning."""
    go_on, bad = threading.Event(), streamed("I'm sorry, but I can't help with that. " * 5)

    def answer(_request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + b"".join(bad[:7]))
        assert go_on.wait(20)
        connection.sendall(b"".join(bad[7:]))
        hang_up(connection)

    provider.answer = answer
    f = begin_chain(on("refusal") + f'gate_streams = {how} max_attempts = 1')
    connections = []
    for _ in range(2):
        connections.append(f.connect())
        connections[-1].sendall(http_request(question(model="auto", stream=True), headers=CLOSE))
        eventually(lambda: provider.requests, "the purchase")
    following([f], 1)
    go_on.set()
    for connection in connections:
        _, headers, body, whole = parse(read_all(connection))
        assert whole and body.endswith(b"data: [DONE]\n\n") and b"error" not in body
