"""The classifier: which tier a request begins with, and why, as its row says."""
import json
import subprocess

import pytest

from chains import answer_of, ask, said, status
from harness import FARTHING, eventually, row_of

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def classifier(*rules, default=""):
    return "classifier {\n" + "\n".join(f'  rule "{n}" {{ {r} }}' for n, r in rules) + f"\n{default} }}\n"


def answer_to(f, text="hello", headers=None, **more):
    """Which model answered, and what the row says of the choice."""
    got = ask(f, text, headers=headers, **more)
    assert got.status == 200, got.body
    row = row_of(f, got)
    assert row["tier"] == got.headers["x-farthing-tier"] == said(got).split()[0]
    return row["tier"], row["classifier_rule"]


CODE = "```\n" + "x = 1\n" * 50 + "```"
FITS = {  # what the rule says, what fits it, and what does not
    "keywords": ('keywords = {"OWASP", "CVE-"}', {"text": "the owasp list"}, {"text": "owaspx"}),
    "contains": ('contains = {"owasp"}', {"text": "xOWASPx"}, {"text": "wasp"}),
    "patterns": ('patterns = {"(?i)\\\\binvoice \\\\d+"}', {"text": "Invoice 12"}, {"text": "invoice x"}),
    "features": ('features = {"mail_*"}', {"headers": {"x-farthing-feature": "mail_x"}},
                 {"headers": {"x-farthing-feature": "chat"}, "text": "other"}),
    "prompt versions": ('prompt_versions = {"v2*"}', {"headers": {"x-farthing-prompt-version": "v2.1"}}, {}),
    "input": ("min_input_tokens = 200", {"text": "many words " * 300}, {"text": "few"}),
    "no tools": ("no_tools = true", {}, {"tools": [TOOL]}),
    "tools": ("no_tools = false", {"tools": [TOOL]}, {}),
    "code": ("min_code_lines = 40", {"text": CODE}, {"text": "x = 1\n" * 50}),
    "questions": ("min_questions = 2", {"text": "Why? How?"}, {"text": "Why?"}),
    "scripts": ('scripts = {"cyrillic"}', {"text": "Привет"}, {"text": "hello"}),
    "json": ("json = true", {"response_format": {"type": "json_object"}}, {}),
    "output": ("min_output_tokens = 100", {"max_tokens": 200}, {"max_tokens": 20}),
    "deadline": ("max_deadline_ms = 5000", {"headers": {"x-farthing-deadline-ms": "5000"}},
                 {"headers": {"x-farthing-deadline-ms": "60000"}, "text": "other"}),
    "both": ('keywords = {"a"} min_questions = 1', {"text": "a?"}, {"text": "a"}),
}


@pytest.mark.parametrize("name", FITS)
def test_rules(begin_chain, name):
    says, fits, fits_not = FITS[name]
    f = begin_chain(extra=classifier(("hard", says + ' tier = "large"')))
    assert answer_to(f, **fits) == ("large", "hard")
    assert answer_to(f, **fits_not) == ("small", "default")


def test_the_first_that_fits_decides(begin_chain):
    f = begin_chain(extra=classifier(("one", 'keywords = {"one"} tier = "small"'),
                                     ("two", 'keywords = {"two"} tier = "large"'),
                                     ("three", 'keywords = {"one", "three"} tier = "large"'),
                                     default='default_tier = "small"'))
    asked = ["one two", "two", "one three", "three", "none"]
    assert [answer_to(f, text) for text in asked] == [
        ("small", "one"), ("large", "two"), ("small", "one"), ("large", "three"), ("small", "default")]
    counted = {n: f'farthing_classifier_rule_total{{rule="{n}"}} {c}\n' in f.metrics()
               for n, c in (("one", 2), ("two", 1), ("three", 1))}
    assert all(counted.values())


def test_system_messages_do_not_count(begin_chain):
    f = begin_chain(extra=classifier(("hard", 'keywords = {"prove"} tier = "large"')))
    system = {"role": "system", "content": "prove"}
    assert answer_to(f, messages=[system, {"role": "user", "content": "hi"}])[0] == "small"
    assert answer_to(f, messages=[system, {"role": "user", "content": "prove it"}])[0] == "large"


def test_the_signals_are_in_the_row(begin_chain):
    f = begin_chain(extra=classifier(("code", 'min_code_lines = 40 tier = "large"')))
    ask(f, f"{CODE}\nWhy? {'word ' * 20}", tools=[TOOL])
    signals = f.rows()[0]["signals"]
    signals = json.loads(signals) if isinstance(signals, str) else signals
    assert (signals["code_blocks"], signals["code_lines"], signals["questions"], signals["tools"]) == (1, 50, 1, 1)
    assert signals["turns"] == 1 and signals["input_tokens"] > 50 and "images" not in signals


def test_default_tier(begin_chain):
    f = begin_chain(extra=classifier(default='default_tier = "large"'))
    assert answer_to(f) == ("large", "default")


def test_the_chain_goes_on_from_there(provider, large, begin_chain):
    large.answer = status(500)
    f = begin_chain(extra=classifier(("hard", 'keywords = {"hard"} tier = "large"')))
    assert ask(f, "hard").status == 500 and provider.requests == []  # nothing is behind the last
    provider.answer, large.answer = status(500), large_answer
    assert answer_to(f, "easy") == ("large", "default")


def large_answer(request, connection):
    answer_of("large", request, connection)


def test_a_rule_sends_to_another_route(begin_chain):
    other = 'route "never" { match { features = {"never"} } tiers = {"large"} max_output_tokens = 7 }\n'
    f = begin_chain(extra=other + classifier(("mail", 'keywords = {"mail"} route = "never"')))
    assert answer_to(f, "mail")[0] == "large"
    row = f.rows()[0]
    assert (row["route"], row["classifier_rule"]) == ("never", "mail")


def test_the_other_routes_caps_hold(large, begin_chain):
    other = 'route "never" { match { features = {"never"} } tiers = {"large"} max_output_tokens = 7 }\n'
    f = begin_chain(extra=other + classifier(("mail", 'keywords = {"mail"} route = "never"')))
    ask(f, "mail", max_tokens=100)
    assert large.requests[0].json["max_tokens"] == 7


def test_a_tier_outside_of_the_chain_is_passed_over(begin_chain):
    extra = classifier(("no", 'keywords = {"x"} tier = "large"'), ("yes", 'keywords = {"x"} tier = "small"'))
    f = begin_chain(extra='route "one" { match { features = {"one"} } tiers = {"small"} }\n' + extra)
    # The first route matches everything: this asks for the other by its name.
    assert answer_to(f, "x", {"x-farthing-route": "one"}) == ("small", "yes")


QUALITY = [("best", "large", "quality"), ("economy", "small", "quality"), ("balanced", "large", "default")]


@pytest.mark.parametrize("word,tier,by", QUALITY)
def test_quality(begin_chain, word, tier, by):
    f = begin_chain(extra=classifier(default='default_tier = "large"'))
    assert answer_to(f, headers={"x-farthing-quality": word}) == (tier, by)


@pytest.mark.parametrize("word,tier", [("best", "large"), ("economy", "small"), ("balanced", "small")])
def test_quality_without_a_classifier(begin_chain, word, tier):
    assert answer_to(begin_chain(), headers={"x-farthing-quality": word})[0] == tier


def test_a_rules_tier_beats_quality(begin_chain):
    f = begin_chain(extra=classifier(("easy", 'keywords = {"easy"} tier = "small"')))
    assert answer_to(f, "easy", {"x-farthing-quality": "best"}) == ("small", "easy")


def test_another_quality_is_refused(provider, begin_chain):
    got = ask(begin_chain(extra=classifier(default='default_tier = "large"')), headers={"x-farthing-quality": "good"})
    assert (got.status, got.code, got.json["error"]["param"]) == (400, "invalid_request", "x-farthing-quality")
    assert provider.requests == []


@pytest.mark.parametrize("tier", ["small", "large"])
def test_the_clients_own_word_beats_all(begin_chain, tier):
    f = begin_chain(extra=classifier(("all", f'no_tools = true tier = "{"large" if tier == "small" else "small"}"')))
    headers = {"x-farthing-tier": tier, "x-farthing-quality": "best"}
    assert answer_to(f, headers=headers) == (tier, None)
    assert answer_to(f, model=tier, text="named") == (tier, None)


def test_a_named_model_is_not_classified(begin_chain):
    f = begin_chain(extra=classifier(("all", 'no_tools = true tier = "large"')))
    assert answer_to(f, model="openai/small") == ("small", None)


def test_unless_the_route_decides(begin_chain):
    f = begin_chain("override_model = true", extra=classifier(("hard", 'keywords = {"hard"} tier = "large"')))
    assert answer_to(f, "hard", model="openai/small") == ("large", "hard")
    assert answer_to(f, "easy", model="big/large") == ("small", "default")


# ------------------------------------------------------------------- files that are bad

BAD = classifier(("bad", 'patterns = {"(unclosed"} tier = "large"'))


def checked(f):
    return subprocess.run([FARTHING, "-t", "-c", str(f.config)], capture_output=True, text=True)


@pytest.mark.parametrize("section", [BAD, 'route "bad" { tiers = {"small"} escalate_on = {"pattern"} '
                                     'gate { must_match = {"(unclosed"} } }\n'], ids=["rule", "gate"])
def test_a_bad_pattern(begin_chain, section):
    f = begin_chain(extra=classifier(("hard", 'keywords = {"hard"} tier = "large"')))
    good = f.config.read_text()
    bad = good.replace("log {", section + "log {")
    f.config.write_text(bad)
    lines = [n for n, text in enumerate(bad.split("\n"), 1) if "(unclosed" in text]
    result = checked(f)
    assert result.returncode != 0 and f"{f.config}:{lines[0]}: " in result.stderr + result.stdout
    f.reload()
    eventually(lambda: f"{f.config}:{lines[0]}: " in f.log(), "the reason")
    assert answer_to(f, "hard") == ("large", "hard")  # the old one


def test_a_reload_takes_the_new_rules(begin_chain):
    f = begin_chain(extra=classifier(("old", 'keywords = {"hard"} tier = "large"')))
    assert answer_to(f, "hard") == ("large", "old")
    f.config.write_text(f.config.read_text().replace('rule "old"', 'rule "new"'))
    f.reload()
    assert answer_to(f, "hard again") == ("large", "new")


def test_rules_that_never_fire_are_told(begin_chain):
    f = begin_chain()
    section = classifier(("no", 'min_turns = 3 max_turns = 2 tier = "large"'))
    f.config.write_text(f.config.read_text().replace("log {", section + "log {"))
    result = checked(f)
    assert result.returncode == 0 and "warning" in result.stderr + result.stdout
