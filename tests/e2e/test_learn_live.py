"""Learning from live traffic: outcomes of gates, shadows and feedback are kept, train makes a model of
them, a reload routes by it; and past success sends what fails too often elsewhere."""
import json
import os
import signal
import stat
import urllib.error
import urllib.request

import pytest

from chains import ask
from harness import WAIT, chat, eventually, reply, row_of
from learning import ctl, ctl_ok, made_up

GATE = 'escalate_on = {"pattern"} gate { must_match = {"FINE"} }'
SHADOW = 'shadow { tier = "small" percent = 100 budget = "1 usd" }'


def says(content):
    return lambda r, c: reply(c, body=chat(content))


def small_answer(request, connection):
    """The small model cannot do integrals."""
    prompt = request.json["messages"][-1]["content"]
    reply(connection, body=chat("no idea" if "integral" in prompt else "FINE"))


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "state" / "outcomes.jsonl"


@pytest.fixture
def live(provider, large, begin_chain, kept):
    """Starts a proxy with a gate on both tiers, that keeps outcomes."""
    def go(route=GATE, classifier="", capture=True, **kwargs):
        where = f'capture = "{kept}"' if capture else ""
        f = begin_chain(route=route, extra=f"classifier {{ {where} {classifier} }}\n", **kwargs)
        provider.answer, large.answer = small_answer, says("FINE")
        return f
    return go


def lines_of(path, count):
    """At least so many lines; waits for them."""
    def read():
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines] if len(lines) >= count else None
    return eventually(read, f"{count} outcomes")


def tell(f, answer, word, *more):
    """farthingctl feedback, of an answer whose row is written."""
    row_of(f, answer)
    return ctl_ok("--admin", f.admin.removeprefix("http://"), "feedback", id_of(answer), word, *more)


def id_of(answer):
    return answer.headers["x-farthing-request-id"]


def begins_with(f, text, feature):
    """The tier that such a request begins with."""
    answer = ask(f, text, headers={"x-farthing-feature": feature})
    return row_of(f, answer)["attempts"][0]["tier"]


# ------------------------------------------------------------------------ what is kept

def test_an_escalation_is_kept(live, kept):
    f = live()
    headers = {"x-farthing-feature": "maths"}
    answers = [ask(f, "hello", headers=headers), ask(f, "an integral", headers=headers)]
    easy, hard = sorted(lines_of(kept, 2), key=lambda line: line["prompt"], reverse=True)
    assert easy["prompt"] == "hello" and easy["outcomes"] == [
        {"tier": "small", "place": 0, "places": 2, "ok": True}]
    assert hard == {
        "request_id": id_of(answers[1]), "ts": row_of(f, answers[1])["ts"], "route": "r", "feature": "maths",
        "prompt": "an integral",
        "outcomes": [{"tier": "small", "place": 0, "places": 2, "ok": False, "reason": "pattern"},
                     {"tier": "large", "place": 1, "places": 2, "ok": True}]}


def test_what_users_say_is_kept_and_nothing_else(live, kept):
    f = live()
    messages = [{"role": "system", "content": "secret instructions"}, {"role": "user", "content": "one"},
                {"role": "assistant", "content": "an answer"}, {"role": "user", "content": "two"}]
    f.post(body={"model": "auto", "messages": messages})
    (line,) = lines_of(kept, 1)
    assert line["prompt"] == ["one", "two"]
    assert not any(word in kept.read_text() for word in ("secret", "an answer", "client-key", "FINE"))
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600


def test_nothing_is_kept_unless_asked_for(live, kept):
    f = live(capture=False)
    row_of(f, ask(f, "an integral"))
    assert f.stop() == 0 and not kept.exists()


def test_errors_are_no_outcomes(live, provider, large, kept):
    f = live()
    provider.answer = large.answer = lambda r, c: reply(c, 500, {"error": {"message": "no"}})
    row_of(f, ask(f))
    provider.answer = large.answer = says("FINE")
    answer = ask(f, "after")
    (line,) = lines_of(kept, 1)
    assert line["request_id"] == id_of(answer)


def test_a_renamed_file_is_left(live, kept):
    f = live()
    ask(f, "first")
    lines_of(kept, 1)
    kept.rename(kept.with_suffix(".1"))
    f.process.send_signal(signal.SIGHUP)
    eventually(kept.exists, "the new file")
    ask(f, "second")
    assert [line["prompt"] for line in lines_of(kept, 1)] == ["second"]


def test_what_is_on_its_way_is_written_at_the_end(live, kept):
    f = live()
    for i in range(20):
        ask(f, f"question {i}")
    assert f.stop() == 0
    assert len(lines_of(kept, 20)) == 20


def test_another_file_needs_a_restart(live, kept):
    f = live()
    f.config.write_text(f.config.read_text().replace("outcomes.jsonl", "others.jsonl"))
    f.reload()
    eventually(lambda: "capture change with a restart" in f.log(), "the warning")
    ask(f)
    lines_of(kept, 1)
    assert not kept.with_name("others.jsonl").exists()


def test_a_file_that_cannot_be_opened_is_told_at_the_start(live, tmp_path):
    (tmp_path / "state").write_text("in the way")
    f = live(wait=False)
    assert f.process.wait(WAIT) == 1
    assert "outcomes.jsonl" in f.log()


# ------------------------------------------------------------------------ feedback

def test_feedback_is_kept_with_its_reason(live, kept):
    f = live()
    answer = ask(f)
    told = tell(f, answer, "bad", "--reason", "too short").stdout
    assert "small" in told
    line = lines_of(kept, 2)[1]
    assert line.pop("ts") and line == {"request_id": id_of(answer), "feedback": False, "reason": "too short"}
    assert 'farthing_feedback_total{result="bad"} 1\n' in f.metrics()


def test_feedback_is_checked(live):
    f = live()
    admin = f.admin.removeprefix("http://")
    done = ctl("--admin", admin, "feedback", "no-such-request", "good")
    assert done.returncode == 1 and "no row of a request" in done.stderr
    assert ctl("--admin", admin, "feedback", "x", "fine").returncode == 2
    assert ctl("--admin", admin, "feedback", "x").returncode == 2
    request = urllib.request.Request(f.admin + "/feedback", data=b'{"request_id": "x", "ok": "yes"}')
    request.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=WAIT)
    assert refused.value.code == 400


# ------------------------------------------------------------------------ the whole circle

def test_from_traffic_to_a_model(live, kept, tmp_path):
    f = live(route=f"{GATE} {SHADOW}", classifier='default_tier = "large"')
    prompts = [row["prompt"] for row in made_up(60)]
    answers = [ask(f, prompt) for prompt in prompts]
    assert {a.headers["x-farthing-tier"] for a in answers} == {"large"}
    lines = lines_of(kept, 120)
    shadows = {line["shadow_of"]: line["outcomes"] for line in lines if "shadow_of" in line}
    assert set(shadows) == {id_of(a) for a in answers}
    tell(f, answers[0], "bad")
    tell(f, answers[1], "good")
    lines_of(kept, 122)

    told = json.loads(ctl_ok("train", "--json", "--out", tmp_path / "model", kept).stdout)
    assert (told["rows"], told["unused"], told["assumed"]) == (60, 0, 0)
    assert (told["small_ok"], told["large_ok"]) == (30, 59)

    changed = f.config.read_text().replace('default_tier = "large"', f'model = "{tmp_path / "model"}"')
    f.config.write_text(changed.replace(SHADOW, "quality_target = 0.6"))
    f.reload()
    for row in list(made_up(10, seed=2)):
        answer = ask(f, row["prompt"])
        assert answer.headers["x-farthing-tier"] == ("small" if row["small_ok"] else "large")
        assert row_of(f, answer)["classifier_rule"] == "model"


# ------------------------------------------------------------------------ past success

SHAKY = 'rule "shaky" { max_past_success = 60 tier = "large" }'


@pytest.mark.parametrize("capture", [True, False])
def test_what_fails_too_often_begins_elsewhere(live, capture):
    f = live(classifier=SHAKY, capture=capture)
    for i in range(10):
        assert begins_with(f, f"integral {i}", "maths") == "small"
    assert begins_with(f, "hello", "maths") == "large"
    assert begins_with(f, "hello there", "other") == "small"


def test_feedback_counts_as_past_success(live):
    f = live(classifier=SHAKY, capture=False)
    answers = [ask(f, f"hello {i}", headers={"x-farthing-feature": "faq"}) for i in range(10)]
    assert begins_with(f, "hello", "faq") == "small"
    for answer in answers:
        tell(f, answer, "bad")
    assert begins_with(f, "once more", "faq") == "large"  # 10 or 11 of 21 were good
    assert begins_with(f, "hello there", "other") == "small"
