"""Canaries and shadows: a share of a route's requests tries another tier, seen or unseen by its clients."""
import json
import signal
import threading
import time
from decimal import Decimal

import openai
import pytest

from chains import ONCE, SMALL_COST, answer_of, ask, said, status
from harness import WAIT, answer_as_asked, budget, chat, eventually, key, reply, row_of, tenant

SHADOW = 'shadow { tier = "small" percent = 100 budget = "%s usd" }'
# auto begins with large, and small is its shadow
ALWAYS_LARGE = 'classifier { default_tier = "large" }\n'


def with_shadow(begin_chain, amount="1", extra="", route="", **kwargs):
    return begin_chain(route=SHADOW % amount + route, extra=ALWAYS_LARGE + extra, **kwargs)


def rows_of_shadows(f, count):
    def found():
        rows = [r for r in f.rows() if r["experiment"] == "shadow"]
        return rows if len(rows) >= count else None
    return eventually(found, f"{count} rows of shadows")


# ------------------------------------------------------------------------ canaries

def tiers_of(f, count, headers):
    """Which tier each of so many different questions went to."""
    answers = [ask(f, f"question {i}", headers=headers(i)) for i in range(count)]
    tiers = {a.headers["x-farthing-request-id"]: a.headers["x-farthing-tier"] for a in answers}
    row_of(f, answers[-1])
    rows = [r for r in f.rows(count) if r["request_id"] in tiers]
    assert all(tiers[r["request_id"]] == r["tier"] for r in rows)
    assert all((r["experiment"] == "canary") == (r["tier"] == "large") for r in rows)
    assert all(r["classifier_rule"] == "default" for r in rows)  # the choice was the proxy's
    return list(tiers.values())


def canary(percent, more=""):
    return f'canary {{ tier = "large" percent = {percent} {more} }}'


@pytest.mark.parametrize("percent,tiers", [("100", {"large"}), ("0.001", {"small"})])
def test_all_or_next_to_none(begin_chain, percent, tiers):
    f = begin_chain(route=canary(percent))
    assert set(tiers_of(f, 20, lambda i: {})) == tiers


def test_about_its_share(begin_chain):
    f = begin_chain(route=canary(50))
    assert 15 <= tiers_of(f, 60, lambda i: {}).count("large") <= 45  # missed once in 30,000 runs


@pytest.mark.parametrize("what", ["user", "run", "feature"])
def test_it_sticks(begin_chain, what):
    f = begin_chain(route=canary(50, f'sticky = "{what}"'))
    tiers = tiers_of(f, 60, lambda i: {f"x-farthing-{what}": f"name-{i % 20}"})
    assert tiers[:20] == tiers[20:40] == tiers[40:] and set(tiers[:20]) == {"small", "large"}


def test_it_sticks_to_a_tenant(begin_chain):
    f = begin_chain(route=canary(50, 'sticky = "tenant"'), extra="".join(tenant(f"t{i}") for i in range(12)))
    tiers = [tiers_of(f, 3, lambda _, i=i: key(f"t{i}")) for i in range(12)]
    assert all(len(set(t)) == 1 for t in tiers) and len({t[0] for t in tiers}) == 2


@pytest.mark.parametrize("asked", [{"model": "small"}, {"model": "openai/small"},
                                   {"headers": {"x-farthing-tier": "small"}}])
def test_who_chooses_is_in_no_canary(begin_chain, asked):
    f = begin_chain(route=canary(100))
    row = row_of(f, ask(f, **asked))
    assert (row["tier"], row["experiment"]) == ("small", None)


def test_a_canary_beside_the_chain_falls_back_to_it(begin_chain, provider):
    new = 'model "openai/new" { input_price = "1 usd" output_price = "1 usd" }\ntier "new" { models = {"openai/new"} }\n'
    provider.answer = lambda r, c: (status(500) if r.json["model"] == "new" else
                                    lambda r, c: answer_of("small", r, c))(r, c)
    f = begin_chain(route='canary { tier = "new" percent = 100 } escalate_on = {"error"}', extra=new)
    got = ask(f)
    row = row_of(f, got)
    assert said(got) == "small answer" and [a["tier"] for a in row["attempts"]] == ["new", "small"]
    assert (row["experiment"], row["tier"]) == ("canary", "small")


# ------------------------------------------------------------------------- shadows

@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_shadow_asks_the_same_again(begin_chain, provider, large, stream):
    f = with_shadow(begin_chain)
    got = ask(f, "Why?", stream=stream, temperature=0.5, headers={
        "x-farthing-feature": "mail", "x-farthing-user": "u", "x-farthing-run": "r",
        "x-farthing-prompt-version": "v3", "Idempotency-Key": "k", "OpenAI-Beta": "x=1"})
    assert said(got) == "large answer"
    (shadow,) = rows_of_shadows(f, 1)
    first = row_of(f, got)
    assert shadow["shadow_of"] == first["request_id"] and first["experiment"] is None
    assert (shadow["tenant_id"], shadow["feature"], shadow["route"]) == ("farthing", "shadow:r", "r")
    assert (shadow["tier"], shadow["status"], shadow["success"]) == ("small", 200, True)
    assert (shadow["user_id"], shadow["prompt_version"], shadow["run_id"]) == ("u", "v3", None)
    assert (shadow["cache"], shadow["stream"], shadow["saved_usd"]) == ("bypass", False, {})
    assert Decimal(shadow["cost_usd"]) == SMALL_COST and first["tier"] == "large"
    (sent,), (original,) = provider.requests, large.requests
    assert sent.json == {"model": "small", "messages": original.json["messages"], "temperature": 0.5}
    assert sent.headers["openai-beta"] == "x=1" and "idempotency-key" not in sent.headers
    assert not any(name.startswith("x-farthing") for name in sent.headers)


def test_a_shadow_leaves_nothing_behind(begin_chain, provider, large):
    f = with_shadow(begin_chain)
    ask(f, metadata={"farthing_feature": "mail", "farthing_run": "r", "mine": "1"}, store=True)
    (shadow,) = rows_of_shadows(f, 1)
    assert large.requests[0].json["metadata"] == {"mine": "1"} and large.requests[0].json["store"] is True
    assert not {"metadata", "store"} & set(provider.requests[0].json)
    assert (shadow["feature"], shadow["run_id"]) == ("shadow:r", None)


def test_responses(begin_chain, provider, large):
    provider.answer = large.answer = answer_as_asked()
    f = with_shadow(begin_chain)
    for more in {"input": "1"}, {"conversation": "c"}, {"background": True}, {"input": "2", "stream": False}:
        assert f.post("/responses", {"model": "auto", "input": "hi", **more}).status == 200
    assert len(rows_of_shadows(f, 2)) == 2
    f.stop(signal.SIGTERM)
    assert sorted(r.json["input"] for r in provider.requests) == ["1", "2"]
    assert all({**r.json, "input": ""} == {"model": "small", "input": "", "store": False} for r in provider.requests)


def test_a_key_of_the_client_pays_for_no_shadow(begin_chain, provider, large):
    f = with_shadow(begin_chain, provider_more=ONCE + ' api_key = "passthrough"')
    ask(f)
    rows_of_shadows(f, 1)
    assert "authorization" not in provider.requests[0].headers


def test_the_sdk_does_not_notice(begin_chain):
    f = with_shadow(begin_chain)
    client = openai.OpenAI(base_url=f.url, api_key="client-key")
    messages = [{"role": "user", "content": "hi"}]
    assert client.chat.completions.create(model="auto", messages=messages).choices[0].message.content == "large answer"
    pieces = client.chat.completions.create(model="auto", messages=messages, stream=True, temperature=1)
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == "large answer"
    assert len(rows_of_shadows(f, 2)) == 2


def test_what_is_not_shadowed(begin_chain, provider, large):
    f = with_shadow(begin_chain)
    ask(f)
    rows_of_shadows(f, 1)
    ask(f)  # from the cache
    ask(f, "by its tier", headers={"x-farthing-tier": "small"})  # that is the shadow's own
    large.answer = status(400)
    ask(f, "refused")
    large.answer = lambda r, c: answer_of("large", r, c)
    ask(f, "the last")
    assert len(rows_of_shadows(f, 2)) == 2
    f.stop(signal.SIGTERM)
    assert [r["experiment"] for r in f.rows()].count("shadow") == 2


def test_a_gate_judges_it(begin_chain, provider):
    provider.answer = lambda r, c: reply(c, body=chat("short"))
    f = with_shadow(begin_chain, route=' escalate_on = {"too_short"} gate { min_characters = 8 }')
    assert said(ask(f)) == "large answer"
    (shadow,) = rows_of_shadows(f, 1)
    assert (shadow["success"], shadow["tier"], len(shadow["attempts"])) == (False, "small", 1)
    assert shadow["attempts"][0]["reason"] == "too_short" and Decimal(shadow["cost_usd"]) == SMALL_COST


def test_its_failure_is_its_own(begin_chain, provider):
    provider.answer = status(500)
    f = with_shadow(begin_chain, route=' escalate_on = {"error"}')
    assert said(ask(f)) == "large answer"
    (shadow,) = rows_of_shadows(f, 1)
    assert (shadow["success"], shadow["status"], shadow["cost_usd"]) == (False, 500, "0")
    assert [a["tier"] for a in shadow["attempts"]] == ["small"]  # no chain


def test_its_budget_holds(begin_chain):
    # One shadow's worst case: some input and 16 tokens of output.
    f = with_shadow(begin_chain, amount="0.0005")
    for i in range(12):
        assert said(ask(f, f"q{i}", max_tokens=16)) == "large answer"
    rows = rows_of_shadows(f, 12)
    f.nothing_reserved()
    spent = sum(Decimal(r["cost_usd"]) for r in rows)
    counter = f.budget("shadow:r")
    assert counter["spent"] == spent <= Decimal("0.0005")
    refused = [r for r in rows if r["error_code"] == "budget_exceeded"]
    assert refused and all(r["refused_by"] == "budget:shadow:r" for r in refused)
    assert len(refused) + sum(r["success"] for r in rows) == len(rows)


def test_tenants_do_not_pay_for_it(begin_chain):
    f = with_shadow(begin_chain, extra=tenant("acme", budget("1") + ' concurrency = 1 queue = 0 requests = "3/min"'))
    rows = []
    for i in range(3):
        rows.append(row_of(f, ask(f, f"q{i}", headers=key("acme"))))
        rows_of_shadows(f, i + 1)
    assert f.budget("daily")["spent"] == sum(Decimal(r["cost_usd"]) for r in rows)
    assert f.budget("shadow:r")["spent"] == 3 * SMALL_COST
    assert ask(f, "the fourth", headers=key("acme")).status == 429
    assert f.post(headers={"Authorization": "Bearer farthing"}).status == 401  # it has no key


def test_a_slow_shadow_keeps_nobody_waiting(begin_chain, provider):
    answered = threading.Event()

    def late(request, connection):
        answered.wait(WAIT)
        answer_of("small", request, connection)
    provider.answer = late
    f = with_shadow(begin_chain)
    for i in range(5):
        assert said(ask(f, f"q{i}")) == "large answer"
    assert not any(r["experiment"] for r in f.rows(5))
    answered.set()
    assert all(r["success"] for r in rows_of_shadows(f, 5))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_proxy_ends_amid_one(begin_chain, provider, how):
    def slow(request, connection):
        time.sleep(0.5)
        answer_of("small", request, connection)
    provider.answer = slow
    f = with_shadow(begin_chain)
    ask(f)
    eventually(lambda: provider.requests, "the shadow's request")
    code = f.stop(how)
    assert code == (0 if how == signal.SIGTERM else -signal.SIGKILL)
    f.start()
    f.nothing_reserved()
    f.stop()
    rows = [json.loads(line) for line in f.cost_log.read_text().splitlines()]
    if how == signal.SIGTERM:
        assert [(r["experiment"], r["success"]) for r in rows] == [(None, True), ("shadow", True)]
