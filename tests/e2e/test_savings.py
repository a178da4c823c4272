"""Savings: what routing is worth by the live rows, and the switch that turns off a route that loses."""
import json
import re
import xml.etree.ElementTree
from decimal import Decimal

import pytest

from ctl import ctl, ctl_ok
from chains import LARGE_COST, SMALL_COST, ask, series
from harness import chat, eventually, reply
from test_classify import classifier

RULE = classifier(("short", 'max_input_tokens = 2000 tier = "small"'))
LOSING = 'escalate_on = {"length"} '  # small's answers are all cut off
FLOOR = 20
LOSS = SMALL_COST  # of a request that small was asked in vain


@pytest.fixture
def lose(provider, begin_chain):
    """Starts a proxy whose route escalates always."""
    def go(route="", **more):
        f = begin_chain(route=LOSING + route, extra=RULE, **more)
        provider.answer = lambda r, c: reply(c, body=chat("cut", finish="length"))
        return f
    return go


def ask_many(f, count, word="q"):
    """Each another question, so that none comes from the cache."""
    answers = [ask(f, f"{word} {i}") for i in range(count)]
    assert all(a.status == 200 for a in answers)
    return answers


def savings(f, requests, query="?route=r"):
    """The one route's figures, once all rows are in the table."""
    def read():
        (route,) = f.get("/savings" + query)["routes"]
        return route if route["requests"] == requests else None
    return eventually(read, f"{requests} rows in /savings")


def gauge(f, name):
    return series(f, "farthing_route_" + name)['route="r"']


def is_off(f):
    """As metrics and status say; the switch may fall between the two."""
    def both():
        off = gauge(f, "routing_disabled") == 1
        return [off] if f.get("/status")["routes_off"] == ["r"] * off else None
    return eventually(both, "one word of both")[0]


def events(f):
    return [e["event"] for e in f.get("/routes")["events"]]


# ------------------------------------------------------------------------- figures

def test_a_route_that_saves(begin_chain):
    f = begin_chain(extra=RULE)
    ask_many(f, 4)
    route = savings(f, 4)
    net = 4 * (LARGE_COST - SMALL_COST)
    assert Decimal(route["net_saving_usd"]) == net and route["net_saving_share"] == 0.6364
    assert Decimal(route["cost_usd"]) == Decimal(route["always_small_usd"]) == 4 * SMALL_COST
    assert Decimal(route["always_large_usd"]) == 4 * LARGE_COST
    assert (route["escalated"], route["retries"], route["quality"]) == (0, 0, 1)
    assert gauge(f, "net_saving_usd") == float(net) and not is_off(f)
    assert [(t["tier"], t["requests"], t["good"]) for t in route["tiers"]] == [("small", 4, 4), ("large", 0, 0)]


def test_a_route_that_loses(lose):
    f = lose()
    ask_many(f, 3)
    route = savings(f, 3)
    assert Decimal(route["net_saving_usd"]) == -3 * LOSS == Decimal(str(gauge(f, "net_saving_usd")))
    assert Decimal(route["retry_cost_usd"]) == 3 * SMALL_COST
    assert (route["escalated"], route["escalated_share"], route["retries"], route["quality"]) == (3, 1, 3, 1)
    assert [(t["good_share"], t["answered"]) for t in route["tiers"]] == [(0, 0), (None, 3)]
    assert {p["policy"]: p["quality"] for p in route["points"]} == {"always_small": 0, "routed": 1, "always_large": 1}


def test_what_a_client_chose_is_not_routing(begin_chain):
    f = begin_chain(extra=RULE)
    ask(f, "one", model="big/large")
    ask(f, "two", model="small")
    ask(f, "three")
    ask(f, "three")  # from the cache
    f.rows(4)
    assert savings(f, 1)["requests"] == 1


def test_a_canary_and_a_shadow(begin_chain):
    f = begin_chain(route='canary { tier = "large" percent = 100 }\n'
                          'shadow { tier = "small" percent = 100 budget = "1 usd" }', extra=RULE)
    ask_many(f, 3)
    eventually(lambda: [s["requests"] for s in savings(f, 3)["shadows"]] == [3], "the shadows' rows")
    route = savings(f, 3)
    (shadow,), (canary, rest) = route["shadows"], route["arms"]
    assert (shadow["tier"], shadow["good"], Decimal(shadow["cost_usd"])) == ("small", 3, 3 * SMALL_COST)
    assert (canary["arm"], canary["requests"], canary["good"]) == ("canary", 3, 3) and rest["requests"] == 0
    assert Decimal(route["cost_usd"]) == 3 * LARGE_COST and Decimal(route["net_saving_usd"]) == 0
    assert route["points"][0]["quality_from"] == "shadows"
    shown = ctl_ok(f, "savings", "--route", "r")
    for line in [r"canary +3 +3 +100\.0 %", r"rest +0 +0 +-", r"small +3 +3 +100\.0 % +0\.00012"]:
        assert re.search(f"^{line}$", shown, re.M), shown


# -------------------------------------------------------------------- auto_disable

def test_a_losing_route_is_switched_off(provider, large, lose):
    f = lose("auto_disable = true")
    ask_many(f, FLOOR)
    eventually(lambda: is_off(f), "the switch")
    assert len(provider.requests) == FLOOR
    after = ask_many(f, 3, "after")
    assert {a.headers["x-farthing-tier"] for a in after} == {"large"} and len(provider.requests) == FLOOR
    rows = f.rows(FLOOR + 3)[-3:]
    assert {r["classifier_rule"] for r in rows} == {"auto_disable"} and {len(r["attempts"]) for r in rows} == {1}
    assert savings(f, FLOOR)["while_off"] == 3
    eventually(lambda: events(f) == ["off"], "the event")
    (line,) = re.findall(r'level=warning msg="route .*', f.log())
    assert 'net saving in USD -0.0008 (baseline 0.0022, cost 0.003, retries among it 0.0008, classifier 0)' in line
    shown = ctl_ok(f, "routes")
    assert re.search(r"^r +20 +0\.0022 +0\.003 +0 +-0\.0008 +24h00m +yes +20\S+Z$", shown, re.M)


def test_one_loss_does_not_switch(lose):
    f = lose("auto_disable = true")
    ask_many(f, FLOOR - 1)
    savings(f, FLOOR - 1)
    assert not is_off(f) and events(f) == []


def test_without_auto_disable_it_goes_on_losing(provider, lose):
    f = lose()
    ask_many(f, FLOOR + 1)
    savings(f, FLOOR + 1)
    assert not is_off(f) and len(provider.requests) == FLOOR + 1
    assert gauge(f, "net_saving_usd") == float(-(FLOOR + 1) * LOSS)


def test_a_restart_and_a_reload(provider, lose):
    f = lose("auto_disable = true")
    ask_many(f, FLOOR)
    eventually(lambda: is_off(f), "the switch")
    since, before = f.get("/routes")["routes"][0]["off_since"], gauge(f, "net_saving_usd")
    assert f.stop() == 0
    f.start()
    assert is_off(f) and gauge(f, "net_saving_usd") == before
    assert f.get("/routes")["routes"][0]["off_since"] == since and events(f) == ["off"]
    assert ask(f, "after").headers["x-farthing-tier"] == "large" and len(provider.requests) == FLOOR
    f.config.write_text(f.config.read_text().replace("auto_disable = true", ""))
    f.reload()
    assert not is_off(f) and events(f) == ["on", "off"]
    ask(f, "again")
    assert len(provider.requests) == FLOOR + 1


# ---------------------------------------------------------------------------- ctl

def test_ctl(lose, tmp_path):
    f = lose()
    ask_many(f, 2)
    savings(f, 2)
    shown = ctl_ok(f, "savings", "--route", "r", "--window", "1h")
    for line in [r"route r: for 2 requests Farthing chose the tier",
                 r"net saving -0\.00008 USD, -36\.4 % of always large; paid for rejected answers 0\.00008 USD, for the "
                 r"classifier 0 USD; 100\.0 % escalated, 2 attempts beyond the first",
                 r"always_small +0\.00008 +36\.4 % +0\.0 % +gates",
                 r"routed +0\.0003 +136\.4 % +100\.0 % +gates",
                 r"always_large +0\.00022 +100\.0 % +100\.0 % +gates",
                 r"small +2 +2 +0\.0 % +0", r"large +0 +0 +- +2"]:
        assert re.search(f"^{line}$", shown, re.M), shown
    assert json.loads(ctl_ok(f, "savings", "--json")) ["routes"][0]["route"] == "r"
    picture = tmp_path / "savings.svg"
    ctl_ok(f, "savings", "--route", "r", "--svg", str(picture))
    drawn = xml.etree.ElementTree.parse(picture).getroot()
    assert len(drawn.findall("{*}circle")) == 3
    assert {"routed", "always small", "always large"} <= {t.text for t in drawn.findall("{*}text")}


def test_ctl_says_what_is_wrong(begin_chain, tmp_path):
    f = begin_chain(route='}\nroute "other" { match { features = {"x"} }')
    for words, code, said in [
            (["--route", "othr"], 1, 'There is no route "othr"; did you mean "other"?'),
            (["--window", "soon"], 1, '"window" must be a duration of at most 366d, such as 7d, not "soon".'),
            (["--svg", str(tmp_path / "a.svg")], 1, "--svg draws one route: name it with --route"),
            (["--route", "other", "--svg", str(tmp_path / "a.svg")], 1, "there is nothing to draw"),
            (["--route", "other"], 0, "in this window there is no request for which Farthing chose the tier"),
            (["--tenant", "a"], 2, '"savings" takes no --tenant'),
            (["word"], 2, "usage: farthingctl savings")]:
        done = ctl(f, "savings", *words)
        assert (done.returncode, said in done.stderr) == (code, True), (words, done)
    assert ctl(f, "routes", "--route", "r").returncode == 2
    assert not (tmp_path / "a.svg").exists()
