"""Caps and context budgets: what the provider really gets, and what a refusal says."""
import json
import re
from decimal import Decimal

import openai
import pytest

from harness import PRICED, answer_as_asked, chunk, key, question, reply, stream_answer, tenant

MESSAGES = [{"role": "user", "content": "hello"}]
CHAT, TEXT, RESPONSES, ANTHROPIC = "/chat/completions", "/completions", "/responses", "/messages"
BODIES = {
    CHAT: {"model": "openai/gpt-4o-mini", "messages": MESSAGES},
    TEXT: {"model": "openai/gpt-4o-mini", "prompt": "hello"},
    RESPONSES: {"model": "openai/gpt-4o-mini", "input": "hello"},
    ANTHROPIC: {"model": "anthropic/claude-x", "messages": MESSAGES},
}


@pytest.fixture
def begin(provider, start):
    provider.answer = answer_as_asked(output_tokens=3)

    def go(extra, **kwargs):
        second = (f'provider "anthropic" {{ dialect = "anthropic" base_url = "{provider.url}" api_key = "k" }}\n'
                  'model "anthropic/claude-x" { input_price = "1 usd" output_price = "10 usd" }\n')
        return start(provider.url, extra=extra, **{"models": PRICED + second, **kwargs})
    return go


def ask(f, path=CHAT, headers=None, **more):
    return f.post(path, {**BODIES[path], **more}, {**key("a"), **(headers or {})})


def error(answer):
    return answer.status, answer.json["error"]["code"], answer.json["error"]["message"]


# --------------------------------------------------------------- caps on the output

def capped_at(n):
    """The four places where a cap of n may stand."""
    cap = f"max_output_tokens = {n}"
    return {"route": f'route "r" {{ {cap} }}\n' + tenant("a"),
            "task": f'task "chat_*" {{ {cap} }}\n' + tenant("a"),
            "tenant": tenant("a", cap),
            "model": tenant("a")}


@pytest.mark.parametrize("where", ["route", "task", "tenant", "model"])
def test_whose_cap_it_is(begin, provider, where):
    models = PRICED.replace("{ input", "{ max_output_tokens = 100 input") if where == "model" else PRICED
    f = begin(capped_at(100)[where], models=models)
    ask(f, headers={"x-farthing-feature": "chat_x"}, max_tokens=500)
    assert provider.requests[0].json["max_tokens"] == 100
    if where == "task":  # not for other features
        ask(f, headers={"x-farthing-feature": "other"}, max_tokens=500)
        assert provider.requests[1].json["max_tokens"] == 500


def test_the_lowest_cap_counts(begin, provider):
    f = begin('route "r" { max_output_tokens = 300 }\n task "*" { max_output_tokens = 200 }\n'
              + tenant("a", "max_output_tokens = 250"))
    ask(f, headers={"x-farthing-feature": "x"}, max_tokens=500)
    assert provider.requests[0].json["max_tokens"] == 200


# What is asked for under a cap of 100, and what the provider gets of it.
LOWERED = {
    "chat": (CHAT, {"max_tokens": 500}, {"max_tokens": 100}),
    "chat, newer": (CHAT, {"max_completion_tokens": 500}, {"max_completion_tokens": 100}),
    "chat, both": (CHAT, {"max_tokens": 500, "max_completion_tokens": 50},
                   {"max_tokens": 100, "max_completion_tokens": 50}),
    "chat, streamed": (CHAT, {"max_tokens": 500, "stream": True}, {"max_tokens": 100}),
    "completions": (TEXT, {"max_tokens": 500}, {"max_tokens": 100}),
    "responses": (RESPONSES, {"max_output_tokens": 500}, {"max_output_tokens": 100}),
    "messages": (ANTHROPIC, {"max_tokens": 500}, {"max_tokens": 100}),
    "chat, nothing": (CHAT, {}, {"max_tokens": 100}),
    "chat of a reasoning model": (CHAT, {"model": "openai/o3-mini"}, {"max_completion_tokens": 100}),
    "responses, nothing": (RESPONSES, {}, {"max_output_tokens": 100}),
    "no limit, by a number below zero": (CHAT, {"max_tokens": -1}, {"max_tokens": 100}),
    "null": (CHAT, {"max_tokens": None}, {"max_tokens": 100}),
}


@pytest.mark.parametrize("name", LOWERED)
def test_every_spelling_is_lowered(begin, provider, name):
    path, more, expected = LOWERED[name]
    f = begin(tenant("a", "max_output_tokens = 100"))
    assert ask(f, path, **more).status == 200
    sent = provider.requests[0].json
    fields = {k: v for k, v in sent.items() if k.startswith("max_")}
    assert fields == expected and {k: sent[k] for k in BODIES[path] if k != "model"} == \
        {k: v for k, v in BODIES[path].items() if k != "model"}
    before, after = f.rows()[0]["capped"]["max_output_tokens"]
    assert after == 100 and (before is None or before >= 500)


NOT_LOWERED = {
    "chat, less": (CHAT, {"max_tokens": 5}),
    "chat, as much": (CHAT, {"max_completion_tokens": 100}),
    "responses, less": (RESPONSES, {"max_output_tokens": 5}),
    "completions, whose default is less": (TEXT, {}),
    "messages, less": (ANTHROPIC, {"max_tokens": 5}),
}


@pytest.mark.parametrize("name", NOT_LOWERED)
def test_a_cap_never_raises(begin, provider, name):
    path, more = NOT_LOWERED[name]
    f = begin(tenant("a", "max_output_tokens = 100"))
    body = {**BODIES[path], **more, "odd": [1.50, {"x": "\u00e9"}]}
    text = json.dumps(body, ensure_ascii=False, indent=1).encode()
    assert f.post(path, text, key("a")).status == 200
    model = body["model"].encode()
    assert provider.requests[0].body == text.replace(model, model.split(b"/")[1])  # byte for byte
    assert f.rows()[0]["capped"] is None


def test_the_file_says_how_a_provider_spells_it(begin, provider):
    f = begin(tenant("a", "max_output_tokens = 100"), provider='output_cap_field = "max_completion_tokens"')
    ask(f)
    assert provider.requests[0].json["max_completion_tokens"] == 100


def test_without_caps_nothing_is_touched(begin, provider):
    f = begin(tenant("a"))
    body = b'{ "model":"gpt-4o-mini" , "max_tokens": 1e3,"messages":[{"role":"user","content":"hi"}] }'
    assert f.post(body=body, headers=key("a")).status == 200
    assert provider.requests[0].body == body and f.rows()[0]["capped"] is None


# ------------------------------------------------------------------ concise, effort

TEXT_OF = "Be brief, please."
CONCISE = f'route "r" {{ concise = true concise_text = "{TEXT_OF}" }}\n' + tenant("a")


def test_the_instruction_to_be_concise(begin, provider):
    f = begin(CONCISE)
    said = [{"role": "system", "content": "Speak like a sailor."}] + MESSAGES
    assert ask(f, messages=said).status == 200
    sent = provider.requests[0].json["messages"]
    assert sent == [said[0], {"role": "system", "content": TEXT_OF}, said[1]]
    assert ask(f, RESPONSES, instructions="Rhyme.").status == 200
    assert provider.requests[1].json["instructions"] == "Rhyme.\n\n" + TEXT_OF
    assert ask(f, ANTHROPIC, max_tokens=9).status == 200
    assert provider.requests[2].json["system"] == TEXT_OF
    assert [r["capped"] for r in f.rows(3)] == [{"concise": [False, True]}] * 3
    assert ask(f, TEXT).status == 200 and "capped" in f.rows(4)[3] and f.rows(4)[3]["capped"] is None


def test_the_usual_instruction(begin, provider):
    f = begin('route "r" { concise = true }\n' + tenant("a"))
    ask(f)
    assert provider.requests[0].json["messages"][0]["content"].startswith("Answer directly and concisely")


EFFORT = {
    "lowered": (CHAT, "o3-mini", {"reasoning_effort": "high"}, {"reasoning_effort": "low"}, ["high", "low"]),
    "less already": (CHAT, "o3-mini", {"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}, None),
    "not said": (CHAT, "o3-mini", {}, {"reasoning_effort": "low"}, [None, "low"]),
    "not said, and it does not reason": (CHAT, "gpt-4o-mini", {}, {"reasoning_effort": None}, None),
    "responses": (RESPONSES, "o3-mini", {"reasoning": {"effort": "high", "summary": "auto"}},
                  {"reasoning": {"effort": "low", "summary": "auto"}}, ["high", "low"]),
    "a word that is not known": (CHAT, "o3-mini", {"reasoning_effort": "heroic"},
                                 {"reasoning_effort": "heroic"}, None),
}


@pytest.mark.parametrize("name", EFFORT)
def test_the_effort_of_reasoning(begin, provider, name):
    path, model, more, expected, capped = EFFORT[name]
    f = begin('route "r" { max_reasoning_effort = "low" }\n' + tenant("a"))
    assert ask(f, path, model=f"openai/{model}", **more).status == 200
    assert {k: provider.requests[0].json.get(k) for k in expected} == expected
    assert f.rows()[0]["capped"] == ({"reasoning_effort": capped} if capped else None)


# -------------------------------------------------------------------- what is refused

def tools(count):
    return [{"type": "function", "function": {"name": f"f{i}", "parameters": {}}} for i in range(count)]


LONG = "word " * 200
# The cap; what is refused, with which code and words; what passes.
REFUSED = {
    "max_n": ("max_n = 2", {"n": 3}, "invalid_request", "At most 2 choices .* this asks for 3", {"n": 2}),
    "max_tools": ("max_tools = 1", {"tools": tools(2)}, "invalid_request",
                  "At most 1 tools .* this offers 2", {"tools": tools(1)}),
    "max_tools, none": ("max_tools = 0", {"tools": tools(1)}, "invalid_request",
                        "At most 0 tools .* this offers 1", {}),
    "max_input_tokens": ("max_input_tokens = 100", {"messages": [{"role": "user", "content": LONG}]},
                         "context_budget_exceeded", r"At most 100 input tokens .* has about [12]\d\d\.", {}),
}
OWNERS = {"on route r": 'route "r" {{ {} }}\n', "for the task chat_*": 'task "chat_*" {{ {} }}\n',
          "for tenant a": ""}


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_much_is_refused(begin, provider, name, owner):
    cap, more, code, words, passing = REFUSED[name]
    f = begin(OWNERS[owner].format(cap) + tenant("a", "" if OWNERS[owner] else cap))
    headers = {"x-farthing-feature": "chat_x"}
    status, said, message = error(ask(f, headers=headers, **more))
    assert (status, said) == (400, code) and re.search(words, message) and owner in message, message
    assert not provider.requests
    row = f.rows()[0]
    assert (row["refused_by"], row["ended_by"], row["cost_usd"]) == (name.split(",")[0], "limit", "0")
    assert ask(f, headers=headers, **passing).status == 200


def test_what_does_not_fit_the_model(begin, provider):
    f = begin(tenant("a"), models=PRICED.replace("{ input", "{ context_window = 100 input"))
    status, code, message = error(ask(f, messages=[{"role": "user", "content": LONG}]))
    assert (status, code) == (400, "context_budget_exceeded") and "fit the model" in message
    assert f.rows()[0]["refused_by"] == "context_window" and ask(f).status == 200


def test_the_sdk_sees_a_bad_request(begin, provider):
    f = begin(tenant("a", "max_input_tokens = 100"))
    client = openai.OpenAI(base_url=f.url, api_key="key-of-a", max_retries=4)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": LONG}])
    assert caught.value.code == "context_budget_exceeded" and len(f.rows()) == 1 and not provider.requests


# ---------------------------------------------------------------------------- the key

@pytest.mark.parametrize("one,other", [
    ("max_output_tokens = 100", "max_output_tokens = 200"),
    ("concise = true", ""),
    ("concise = true", 'concise = true concise_text = "Short!"'),
    ('max_reasoning_effort = "low"', 'max_reasoning_effort = "high"'),
    ('context "history" { max_tokens = 50 action = "trim_oldest" }', ""),
])
def test_what_one_route_has_cut_is_not_served_on_another(begin, provider, one, other):
    match = 'match { models = {"nothing"} }'
    f = begin(f'route "one" {{ {one} {match} }} route "other" {{ {other} {match} }}\n' + tenant("a"))
    caches = [ask(f, headers={"x-farthing-route": name}, max_tokens=500, model="openai/o3-mini").cache
              for name in ("one", "other", "one", "other")]
    assert caches == ["miss", "miss", "hit", "hit"] and len(provider.requests) == 2


# -------------------------------------------------------------------- context budgets

def call(n):
    return [{"role": "assistant", "content": None, "tool_calls": [
                {"id": f"call_{n}", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": f"call_{n}", "content": f"result {n} " + "found " * 30}]


def turn(n, with_call=False):
    return ([{"role": "user", "content": f"question {n} " + "please " * 30}]
            + (call(n) if with_call else [])
            + [{"role": "assistant", "content": f"answer {n} " + "indeed " * 30}])


SYSTEM = {"role": "system", "content": "You are kind. " + "Always. " * 20}
LAST = {"role": "user", "content": "And now?"}
# Six turns of some 70 tokens, the even ones with a tool call and its result.
HISTORY = [turn(n, with_call=n % 2 == 0) for n in range(6)]
CONVERSATION = [SYSTEM] + sum(HISTORY, []) + [LAST]


def context(part, tokens, more=""):
    return f'route "r" {{ context "{part}" {{ max_tokens = {tokens} {more} }} }}\n' + tenant("a")


TRIM = 'action = "trim_oldest"'


@pytest.mark.parametrize("part,tokens,keep", [("history", 250, 2), ("total", 400, 2), ("history", 350, 4),
                                              ("history", 30, 1)])
def test_the_oldest_turns_are_left_out_whole(begin, provider, part, tokens, keep):
    f = begin(context(part, tokens, f"{TRIM} keep_turns = {keep}"))
    answer = ask(f, messages=CONVERSATION)
    assert answer.status == 200
    sent = provider.requests[0].json["messages"]
    kept = (len(HISTORY) - k for k in range(len(HISTORY) + 1)
            if sent == [SYSTEM] + sum(HISTORY[k:], []) + [LAST])
    turns = next(kept, None)
    assert turns is not None and keep - 1 <= turns < len(HISTORY)
    raw = provider.requests[0].body  # what is kept, is kept as it was written
    for message in sent:
        assert json.dumps(message).encode() in raw
    dropped = len(CONVERSATION) - len(sent)
    assert answer.headers["x-farthing-trimmed-messages"] == str(dropped)
    row = f.rows()[0]
    assert row["trimmed_tokens"] == int(answer.headers["x-farthing-trimmed-tokens"]) > 20 * dropped
    assert Decimal(row["saved_usd"]["cap"]) > 0
    assert re.search(rf'farthing_context_over_budget_total{{route="r",part="{part}",action="trimmed"}} 1\n',
                     f.metrics())


def test_what_fits_is_not_trimmed(begin, provider):
    f = begin(context("history", 5000, TRIM))
    answer = ask(f, messages=CONVERSATION)
    assert answer.headers["x-farthing-trimmed-messages"] is None
    assert provider.requests[0].json["messages"] == CONVERSATION
    assert f.rows()[0]["trimmed_tokens"] in (None, 0)


def test_what_trimming_cannot_make_fit_is_refused(begin, provider):
    f = begin(context("history", 60, f"{TRIM} keep_turns = 5"))
    status, code, message = error(ask(f, messages=CONVERSATION))
    assert (status, code) == (400, "context_budget_exceeded") and "not enough" in message
    assert not provider.requests and f.rows()[0]["refused_by"] == "context"


DEVELOPER = {"role": "developer", "content": "Be exact. " * 40}
RETRIEVED = {"role": "user", "content": "<document id=1> " + "fact " * 80}
PARTS = {
    "system": ([SYSTEM, LAST], 10, ""),
    "developer": ([DEVELOPER, LAST], 10, ""),
    "history": (CONVERSATION, 50, ""),
    "retrieved": ([RETRIEVED, LAST], 10, 'markers = {"<document"}'),
    "tool_results": ([{"role": "user", "content": "look"}] + call(1), 10, ""),
    "total": (CONVERSATION, 50, ""),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_too_long_is_rejected(begin, provider, part):
    messages, tokens, more = PARTS[part]
    f = begin(context(part, tokens, more))
    status, code, message = error(ask(f, messages=messages))
    assert (status, code) == (400, "context_budget_exceeded")
    word = "input" if part == "total" else part
    assert re.search(rf"At most {tokens} tokens of {word} on route r; this has about \d+", message), message
    assert f'part="{part}",action="rejected"}} 1\n' in f.metrics() and not provider.requests
    assert ask(f).status == 200  # a short one


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_too_long_is_warned_about(begin, provider, part):
    messages, tokens, more = PARTS[part]
    f = begin(context(part, tokens, 'action = "warn" ' + more))
    answer = ask(f, messages=messages)
    warning = answer.headers["x-farthing-context-warning"]
    assert answer.status == 200 and re.fullmatch(rf"{part}: about \d+ of {tokens} tokens", warning)
    assert provider.requests[0].json["messages"] == messages
    assert f.rows()[0]["context_warning"] == warning
    assert f'part="{part}",action="warned"}} 1\n' in f.metrics()


def test_several_budgets_and_other_routes(begin, provider):
    f = begin(f'route "r" {{ match {{ features = {{"x"}} }} context "history" {{ max_tokens = 250 {TRIM} }}\n'
              'context "total" { max_tokens = 5000 } }\n' + tenant("a"))
    assert ask(f, messages=CONVERSATION).headers["x-farthing-trimmed-messages"] is None
    trimmed = ask(f, messages=CONVERSATION, headers={"x-farthing-feature": "x"})
    assert trimmed.status == 200 and int(trimmed.headers["x-farthing-trimmed-messages"]) > 0


def test_trimming_and_a_cap_and_an_instruction_at_once(begin, provider):
    f = begin(f'route "r" {{ concise = true concise_text = "Short." max_output_tokens = 7\n'
              f'context "history" {{ max_tokens = 250 {TRIM} }} }}\n' + tenant("a"))
    provider.answer = stream_answer([chunk({"content": "x"}), chunk({}, "stop"), b"data: [DONE]\n\n"])
    assert ask(f, messages=CONVERSATION, stream=True, max_tokens=90).status == 200
    sent = provider.requests[0].json
    assert sent["max_tokens"] == 7 and sent["messages"][:2] == [SYSTEM, {"role": "system", "content": "Short."}]
    assert sent["messages"][2]["role"] == "user" and sent["messages"][-1] == LAST
    assert sent["stream_options"] == {"include_usage": True}
    capped = f.rows()[0]["capped"]
    assert capped == {"concise": [False, True], "max_output_tokens": [90, 7]}


def test_trimming_of_other_endpoints(begin, provider):
    f = begin(context("history", 200, TRIM))
    turns = [[{"role": "user", "content": f"question {n} " + "please " * 40},
              {"role": "assistant", "content": f"answer {n} " + "indeed " * 40}] for n in range(6)]
    for path, field in ((ANTHROPIC, "messages"), (RESPONSES, "input")):
        assert ask(f, path, **{field: sum(turns, []) + [LAST]}, max_tokens=9).status == 200
        sent = provider.requests[-1].json[field]
        assert len(sent) < 13 and sent[0]["role"] == "user" and sent == (sum(turns, []) + [LAST])[-len(sent):]


def test_a_provider_that_refuses_is_heard(begin, provider):
    f = begin(tenant("a", "max_output_tokens = 100"))
    provider.answer = lambda r, c: reply(c, 400, {"error": {"message": "no such field"}})
    refused = f.post(body=question(max_tokens=500), headers=key("a"))
    assert refused.status == 400 and refused.json["error"]["message"] == "no such field"
    assert f.rows()[0]["capped"] == {"max_output_tokens": [500, 100]}
