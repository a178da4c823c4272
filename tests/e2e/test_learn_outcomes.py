"""farthingctl train and eval on files of outcomes: what is joined, what is used, what is told."""
import itertools
import json
import random
import subprocess

import pytest

from harness import FARTHINGCTL
from learning import classified, ctl, ctl_ok, made_up, write

SMALL, MIDDLE, LARGE = 0, 1, 2  # of a chain of three; of two, the last is MIDDLE


def outcome(ok, place=SMALL, places=2):
    return {"tier": f"t{place}", "place": place, "places": places, "ok": ok}


def request(name, *outcomes, prompt="p q r", **more):
    return {"request_id": name, "ts": "2026-01-01T00:00:00.000Z", "route": "support",
            "prompt": f"{prompt} {name}", "outcomes": list(outcomes), **more}


def shadow(of, *outcomes):
    return {"request_id": f"shadow-of-{of}", "shadow_of": of, "outcomes": list(outcomes)}


def feedback(of, good, second=None):
    when = {} if second is None else {"ts": f"2026-01-01T00:00:{second:02}.000Z"}
    return {"request_id": of, "feedback": good, **when}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    ctl_ok("train", "--out", path, write(path.with_name("rows.jsonl"), made_up(60)))
    return path


def judged(model, tmp_path, lines):
    """What eval says of the lines: rows, how many of them each tier is good for, and its errors."""
    done = ctl_ok("eval", "--json", "--model", model, write(tmp_path / "lines.jsonl", lines))
    told = json.loads(done.stdout)
    for tier in ("small", "large"):
        told[f"{tier}_ok"] = round(told[f"always_{tier}"]["quality"] * told["rows"])
    return told, done.stderr


# What is known of one request, and the labels that follow: (small_ok, large_ok, assumed), or why
# there are none.
CASES = {
    "small was good": ([request("a", outcome(True))], (1, 1, 1)),
    "escalated to a good one": (
        [request("a", outcome(False), outcome(True, MIDDLE))], (0, 1, 0)),
    "escalated in vain": ([request("a", outcome(False), outcome(False, MIDDLE))], (0, 0, 0)),
    "three tiers, the last not asked": (
        [request("a", outcome(False, SMALL, 3), outcome(True, MIDDLE, 3))], (0, 1, 1)),
    "three tiers, all asked": (
        [request("a", outcome(False, SMALL, 3), outcome(False, MIDDLE, 3), outcome(False, LARGE, 3))],
        (0, 0, 0)),
    "small failed, and nothing came after": ([request("a", outcome(False))], (0, 1, 1)),
    "the second model of a tier is what it can": (
        [request("a", outcome(False), outcome(True))], (1, 1, 1)),
    "only large is known": ([request("a", outcome(True, MIDDLE))], "first tier"),
    "a middle tier only": ([request("a", outcome(True, MIDDLE, 3))], "first tier"),
    "no outcome": ([request("a")], "first tier"),
    "a chain of one": ([request("a", outcome(True, SMALL, 1))], "first tier"),
    "a tier that is not of the chain": ([request("a", {"tier": "new", "ok": True})], "first tier"),
    "outcomes that are none": (
        [request("a", 3, None, [], {}, {"place": 0, "places": 2}, {"place": "0", "places": 2, "ok": True},
                 {"place": 0, "places": 2, "ok": "yes"}, {"place": -1, "places": 2, "ok": True})],
        "first tier"),
    "no list": ([{"request_id": "a", "prompt": "x", "outcomes": {}}], "first tier"),
    "a shadow of small": (
        [request("a", outcome(False, MIDDLE)), shadow("a", outcome(True))], (1, 0, 0)),
    "a shadow of large": (
        [request("a", outcome(True)), shadow("a", outcome(False, MIDDLE))], (1, 0, 0)),
    "two shadows": (
        [request("a"), shadow("a", outcome(False)), shadow("a", outcome(True, MIDDLE))], (0, 1, 0)),
    "what was answered counts before its shadow": (
        [request("a", outcome(False), outcome(True, MIDDLE)), shadow("a", outcome(True))], (0, 1, 0)),
    "small was called bad": ([request("a", outcome(True)), feedback("a", False)], (0, 1, 1)),
    "large was called bad": (
        [request("a", outcome(False), outcome(True, MIDDLE)), feedback("a", False)], (0, 0, 0)),
    "large was called good": (
        [request("a", outcome(False), outcome(False, MIDDLE)), feedback("a", True)], (0, 1, 0)),
    "a middle tier was called bad": (
        [request("a", outcome(False, SMALL, 3), outcome(True, MIDDLE, 3)), feedback("a", False)],
        (0, 1, 1)),
    "feedback is of the client's answer, not of the shadow's": (
        [request("a", outcome(True, MIDDLE)), shadow("a", outcome(True)), feedback("a", False)],
        (1, 0, 0)),
    "feedback without an outcome": ([request("a"), feedback("a", False)], "first tier"),
    "feedback that is none": (
        [request("a", outcome(True)), {"request_id": "a", "feedback": "bad"}], (1, 1, 1)),
    "later feedback counts": (
        [request("a", outcome(True)), feedback("a", False, 1), feedback("a", True, 2)], (1, 1, 1)),
    "later feedback counts, wherever it stands": (
        [feedback("a", False, 2), feedback("a", True, 1), request("a", outcome(True))], (0, 1, 1)),
    "without a time the place counts": (
        [feedback("a", True), feedback("a", False), request("a", outcome(True))], (0, 1, 1)),
    "labels count before outcomes": (
        [request("a", outcome(True), small_ok=False, large_ok=False)], (0, 0, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_follows_for_one_request(model, tmp_path, case):
    lines, labels = CASES[case]
    # One that is known to be used, or there would be nothing to judge.
    told, stderr = judged(model, tmp_path, [*lines, {"prompt": "x", "small_ok": 1, "large_ok": 1}])
    if isinstance(labels, str):
        assert told["rows"] == 1 and told["unused"] == 1 and labels in stderr
        return
    assert (told["rows"], told["unused"]) == (2, 0), stderr
    assert (told["small_ok"] - 1, told["large_ok"] - 1, told["assumed"]) == labels
    assert ("taken as good" in stderr) == bool(labels[2])


def live(rows):
    """Lines as a proxy with shadows of both tiers writes them, for rows with labels."""
    for i, row in enumerate(rows):
        small, large = outcome(row["small_ok"]), outcome(row["large_ok"], MIDDLE)
        if not row["small_ok"]:
            yield request(f"r{i}", small, large, prompt=row["prompt"])
        elif i % 4 == 0:
            yield request(f"r{i}", small, prompt=row["prompt"])
            yield shadow(f"r{i}", large)
        else:  # the gate saw nothing, the user did
            yield request(f"r{i}", outcome(not row["large_ok"], MIDDLE), prompt=row["prompt"])
            yield shadow(f"r{i}", small)
            yield feedback(f"r{i}", row["large_ok"], 5)


def test_the_model_is_the_same_as_from_labels(tmp_path):
    rows = list(made_up(60))
    lines = list(live(rows))
    same = [{**row, "prompt": f'{row["prompt"]} r{i}'} for i, row in enumerate(rows)]
    ctl_ok("train", "--out", tmp_path / "labels", write(tmp_path / "rows.jsonl", same))
    random.Random(1).shuffle(lines)
    files = [write(tmp_path / f"{i}.jsonl", lines[i::3]) for i in range(3)]
    want = (tmp_path / "labels").read_bytes()
    for n, order in enumerate(itertools.islice(itertools.permutations(files), 0, 6, 2)):
        ctl_ok("train", "--out", tmp_path / f"m{n}", *order)
        assert (tmp_path / f"m{n}").read_bytes() == want
    assert classified(tmp_path / "m0", files[0])


def test_mixed_with_labelled_rows(model, tmp_path):
    rows = list(made_up(60))
    told, stderr = judged(model, tmp_path, [*live(rows[:30]), *rows[30:]])
    assert (told["rows"], told["unused"], told["assumed"], stderr) == (60, 0, 0, "")
    assert told["small_ok"] == sum(row["small_ok"] for row in rows)
    assert told["large_ok"] == sum(row["large_ok"] for row in rows)
    assert told["apgr"] > 0.7


def test_train_tells_what_it_used(tmp_path):
    lines = write(tmp_path / "lines.jsonl", [request("a", outcome(True)), request("b", outcome(False)),
                                             request("c"), feedback("b", False)])
    done = ctl_ok("train", "--json", "--out", tmp_path / "m", lines)
    told = json.loads(done.stdout)
    assert (told["rows"], told["unused"], told["assumed"]) == (2, 1, 2)
    assert (told["small_ok"], told["large_ok"]) == (1, 2)
    assert "of 2 rows nothing is known of the last tier's answer" in done.stderr


def test_what_cannot_be_joined_is_told(model, tmp_path):
    lines = [request("a", outcome(True)), request("a", outcome(True)), shadow("b", outcome(True)),
             feedback("c", True), {"feedback": True}, {"prompt": "x", "outcomes": [outcome(True)]},
             {"request_id": "d", "outcomes": [outcome(True)]},
             {"request_id": "e", "prompt": ["x", "y"], "outcomes": [outcome(True)]}]
    told, stderr = judged(model, tmp_path, lines)
    assert told["rows"] == 2 and told["unused"] == 6
    for line, words in [(2, "twice"), (3, "not here"), (5, "no request_id"), (7, "no text")]:
        assert any(f"first is line {line}:" in told and words in told
                   for told in stderr.splitlines()), stderr
    assert "2 lines were not used, the first is line 3" in stderr


def test_pieces_of_a_prompt_are_read_as_messages_are(model, tmp_path):
    out = classified(model, write(tmp_path / "same.jsonl", [
        {"prompt": ["an integral", "hello"]},
        {"messages": [{"role": "user", "content": "an integral"}, {"role": "user", "content": "hello"}]}]))
    assert out[0]["score"] == out[1]["score"]


def test_pipes_and_standard_input(tmp_path):
    path = write(tmp_path / "live.jsonl", live(made_up(30)))
    ctl_ok("train", "--out", tmp_path / "file", path)
    ctl_ok("train", "--out", tmp_path / "stdin", "-", stdin=path.read_text())
    subprocess.run(["bash", "-c", '"$0" train --out "$1" <(head -n 20 "$2") <(tail -n +21 "$2")',
                    FARTHINGCTL, tmp_path / "pipes", path], check=True, capture_output=True)
    assert (tmp_path / "stdin").read_bytes() == (tmp_path / "file").read_bytes()
    assert (tmp_path / "pipes").read_bytes() == (tmp_path / "file").read_bytes()


def test_nothing_of_use(tmp_path):
    path = write(tmp_path / "none.jsonl", [request("a"), shadow("b", outcome(True)), feedback("c", True)])
    done = ctl("train", "--out", tmp_path / "m", path)
    assert done.returncode == 1 and "no row" in done.stderr and not (tmp_path / "m").exists()
