"""What one request may cost: its worst case, its ceiling, and a cap that is lowered to fit."""
from decimal import Decimal

import pytest

from harness import PRICED, answer_as_asked, ask_anew, budget, chat, key, question, reply, tenant

FEATURE = "x-farthing-feature"
LOWER = 'route "r" { budget_fit = "lower_cap" }\n'
ERROR = {"error": {"message": "bad luck", "code": None}}
MESSAGES = [{"role": "user", "content": "hello"}]


# --------------------------------------------------------------- one request's ceiling

CEILINGS = {
    "of the route": ('route "r" { max_cost = "0.0005 usd" }', {}, "0.0005"),
    "of the request": ("", {"x-farthing-max-cost-usd": "0.0005"}, "0.0005"),
    "the request's is lower": ('route "r" { max_cost = "0.0005 usd" }', {"x-farthing-max-cost-usd": "0.0002"},
                               "0.0002"),
    "the route's is lower": ('route "r" { max_cost = "0.0005 usd" }', {"x-farthing-max-cost-usd": "1"},
                             "0.0005"),
    "of the task": ('task "x" { max_cost = "0.0005 usd" }', {FEATURE: "x"}, "0.0005"),
}


@pytest.mark.parametrize("name", CEILINGS)
def test_what_one_request_may_cost(begin_priced, provider, name):
    section, headers, ceiling = CEILINGS[name]
    f = begin_priced(section + "\n" + tenant("a"))
    refused = ask_anew(f, headers=headers)
    assert (refused.status, refused.code) == (400, "max_cost_exceeded") and not provider.requests
    assert f"at most {ceiling} USD" in refused.json["error"]["message"]
    tokens = refused.fits
    assert 16 <= tokens < Decimal(ceiling) * 100_000
    assert ask_anew(f, tokens + 3, headers=headers).code == "max_cost_exceeded"
    assert ask_anew(f, tokens, headers=headers).code == "ok"  # exactly what it said
    row = f.rows(3)[0]
    assert (row["refused_by"], row["ended_by"], row["cost_usd"]) == ("max_cost", "limit", "0")
    assert Decimal(f.rows(3)[2]["cost_usd"]) <= Decimal(ceiling)


@pytest.mark.parametrize("word", ["much", "-1", "1 eur", ""])
def test_a_ceiling_that_is_none(begin_priced, word):
    answer = ask_anew(begin_priced(tenant("a")), headers={"x-farthing-max-cost-usd": word})
    assert answer.status == 200 if word == "" else answer.code == "invalid_request"


# ---------------------------------------------------------------------- a lower cap

ANTHROPIC = 'provider "anthropic" {{ dialect = "anthropic" base_url = "{}" api_key = "k" }}\n' \
            'model "anthropic/claude" {{ input_price = "1 usd" output_price = "10 usd" }}\n'
SPELLINGS = {
    "chat, max_tokens": ("/chat/completions", {"messages": MESSAGES}, "max_tokens", 100),
    "chat, max_completion_tokens": ("/chat/completions", {"messages": MESSAGES}, "max_completion_tokens", 100),
    "chat, not said": ("/chat/completions", {"messages": MESSAGES}, "max_tokens", None),
    "completions": ("/completions", {"prompt": "hello"}, "max_tokens", 100),
    "responses": ("/responses", {"input": "hello"}, "max_output_tokens", 100),
    "messages": ("/messages", {"messages": MESSAGES, "model": "anthropic/claude"}, "max_tokens", 100),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_cap_is_lowered_to_what_is_left(begin_priced, provider, name):
    path, body, field, said = SPELLINGS[name]
    body = {"model": "openai/gpt-4o-mini", **body, **({field: said} if said else {})}
    f = begin_priced(LOWER + tenant("a", budget("0.0005")), models=PRICED + ANTHROPIC.format(provider.url))
    assert f.post(path, body, key("a")).status == 200
    sent = provider.requests[0].json[field]
    assert 16 <= sent < 50
    row = f.rows()[0]
    assert row["capped"] == {"max_output_tokens": [said, sent]}
    assert Decimal(row["cost_usd"]) <= Decimal(row["reserved_usd"]) <= Decimal("0.0005")
    again = f.post(path, body, {**key("a"), "x-farthing-cache": "bypass"})
    assert again.status == 429  # 16 tokens do not fit any more
    assert len(provider.requests) == 1


@pytest.mark.parametrize("finish,cache", [("length", "miss"), ("stop", "hit")])
def test_what_money_has_cut_is_nobody_elses(begin_priced, provider, finish, cache):
    provider.answer = answer_as_asked(output_tokens=40, finish=finish)
    f = begin_priced(LOWER + tenant("a", budget("0.0009")))
    body = question(max_tokens=100)
    assert f.post(body=body, headers=key("a")).status == 200 and provider.requests[0].json["max_tokens"] < 100
    f.config.write_text(f.config.read_text().replace("0.0009 usd", "1 usd"))
    f.reload()
    again = f.post(body=body, headers=key("a"))
    assert again.cache == cache
    if cache == "miss":
        assert provider.requests[1].json["max_tokens"] == 100


def test_a_ceiling_lowers_the_cap_too(begin_priced, provider):
    f = begin_priced('route "r" { max_cost = "0.0005 usd" budget_fit = "lower_cap" }\n' + tenant("a"))
    assert ask_anew(f).code == "ok" and 16 <= provider.requests[0].json["max_tokens"] < 50
    assert ask_anew(f, headers={"x-farthing-max-cost-usd": "0.0001"}).code == "max_cost_exceeded"


# --------------------------------------------------------------------- the worst case

# What a request says, and the tokens of output that it may then cost.
WORST = {
    "one": ({"max_tokens": 100}, 100),
    "the higher of two spellings": ({"max_tokens": 100, "max_completion_tokens": 300}, 300),
    "choices": ({"max_tokens": 100, "n": 3}, 300),
    "a number in a text": ({"max_tokens": "100"}, 100),
    "a float": ({"max_tokens": 1e2}, 100),
    "nothing": ({}, 16384),
    "null": ({"max_tokens": None}, 16384),
    "prompts of completions": ({"prompt": ["a", "b", "c"], "max_tokens": 100}, 300),
    "completions, nothing": ({"prompt": "a"}, 16),
    "the best of some": ({"prompt": "a", "max_tokens": 100, "n": 2, "best_of": 5}, 500),
    "responses": ({"input": "hello", "max_output_tokens": 100}, 100),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_case(begin_priced, provider, name):
    more, tokens = WORST[name]
    path = "/completions" if "prompt" in more else "/responses" if "input" in more else "/chat/completions"
    body = {"model": "openai/gpt-4o-mini", **more}
    if path == "/chat/completions":
        body["messages"] = MESSAGES
    provider.answer = lambda r, c: reply(c, 400, ERROR)
    f = begin_priced(tenant("a", budget("1")))
    assert f.post(path, body, key("a")).status == 400
    reserved = Decimal(f.rows()[0]["reserved_usd"])
    assert 0 < reserved - tokens * Decimal("0.00001") < Decimal("0.00005")
    assert f.budget()["spent"] == f.budget()["reserved"] == 0


@pytest.mark.parametrize("field,value", [
    ("max_tokens", 10 ** 18), ("max_tokens", 10 ** 30), ("max_tokens", 1e300), ("max_tokens", -1),
    ("max_tokens", "lots"), ("n", 10 ** 18), ("n", "many")])
def test_what_has_no_bound_fits_no_budget(begin_priced, provider, field, value):
    f = begin_priced(tenant("a", budget("1000000")))
    refused = f.post(body=question(**{"max_tokens": 100, field: value}), headers=key("a"))
    assert refused.code in ("budget_exceeded", "invalid_request") and not provider.requests
    assert (f.budget()["reserved"], f.budget()["remaining"]) == (0, 1000000)


@pytest.mark.parametrize("window,tokens", [("", 128000), ("context_window = 5000", 5000)])
def test_input_that_lies_at_the_provider(begin_priced, provider, window, tokens):
    f = begin_priced(tenant("a", budget("1")), models=PRICED.replace("{ input", f"{{ {window} input"))
    body = {"model": "openai/gpt-4o-mini", "input": "hello", "max_output_tokens": 100,
            "previous_response_id": "resp_0"}
    assert f.post("/responses", body, key("a")).status == 200
    assert Decimal(f.rows()[0]["reserved_usd"]) >= tokens * Decimal("0.000001")
    f.nothing_reserved()


def test_what_cannot_be_priced_afterwards_is_booked_at_its_worst(begin_priced, provider):
    f = begin_priced(tenant("a", budget("1")), models="")  # the catalogue's price, and none of this class
    provider.answer = lambda r, c: reply(c, body={**chat(), "service_tier": "extraordinary"})
    assert ask_anew(f).status == 200
    row = f.rows()[0]
    assert row["cost_usd"] is None and f.budget()["spent"] == Decimal(row["reserved_usd"]) > 0


# ----------------------------------------------------------------------------- prices

NO_PRICE = 'model "openai/secret-model" { }\n'


def test_without_a_price_nothing_is_borne(begin_priced, provider):
    f = begin_priced(tenant("a", budget("1")) + tenant("b"), models=PRICED + NO_PRICE)
    refused = ask_anew(f, model="openai/secret-model")
    assert refused.code == "budget_exceeded" and "has no price" in refused.json["error"]["message"]
    assert refused.headers["x-should-retry"] == "false" and not provider.requests
    assert f.rows()[0]["refused_by"] == "unpriced"
    assert ask_anew(f, model="openai/secret-model", who="b").code == "ok"  # no budget, no question


def test_without_a_price_where_that_is_allowed(begin_priced):
    f = begin_priced(tenant("a", 'unpriced = "allow" ' + budget("0.001005")), models=PRICED + NO_PRICE)
    assert [ask_anew(f, model="openai/secret-model").code for _ in range(2)] == ["ok", "ok"]
    f.nothing_reserved()
    assert f.budget()["spent"] == 0 and f.rows(2)[0]["cost_usd"] is None
    assert ask_anew(f, 99).code == "ok" and ask_anew(f, model="openai/secret-model").code == "ok"
    f.config.write_text(f.config.read_text().replace("0.001005 usd", "0 usd"))
    f.reload()
    assert ask_anew(f, model="openai/secret-model").code == "budget_exceeded"  # nothing is left


def test_a_price_of_zero_is_a_price(begin_priced):
    free = 'model "openai/free" { input_price = "0 usd" output_price = "0 usd" }\n'
    f = begin_priced(tenant("a", budget("0")), models=PRICED + free)
    assert ask_anew(f, model="openai/free").code == "ok" and f.rows()[0]["cost_usd"] == "0"
    assert ask_anew(f).code == "budget_exceeded"
