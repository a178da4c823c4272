"""farthingctl train, classify, eval: offline, on files."""
import json
import os
import pathlib
import random
import statistics
import xml.etree.ElementTree

import pytest

from learning import classified, ctl, ctl_json, ctl_ok, made_up, write

MATERIAL = pathlib.Path(os.environ.get("FARTHING_MATERIAL")
                        or pathlib.Path(__file__).parents[3] / "shared" / "material") / "routing"
# Sanitizers make training ten times slower, and find nothing in the tenth model that was not in the
# first: there the smaller set once is enough, to see that real prompts harm nothing.
SANITIZED = "FARTHING_SANITIZED" in os.environ


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return write(tmp_path_factory.mktemp("rows") / "rows.jsonl", made_up(200))


@pytest.fixture(scope="module")
def model(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("model") / "model"
    ctl_ok("train", "--out", path, rows)
    return path


def test_classify_prints_one_line_for_each(tmp_path, model):
    fresh = list(made_up(50, seed=2))
    out = classified(model, write(tmp_path / "fresh.jsonl", fresh))
    assert [line["line"] for line in out] == list(range(1, 51))
    for line, row in zip(out, fresh):
        assert set(line) == {"line", "score", "tiers"} and set(line["tiers"]) == {"small", "large"}
        assert 0 <= line["score"] <= 1 and 0 < line["tiers"]["small"] < 1
        assert (line["score"] > 0.5) == (not row["small_ok"])
        assert (line["tiers"]["small"] > 0.5) == row["small_ok"]
        assert line["tiers"]["large"] > 0.5


def test_classify_answers_what_it_cannot_use(tmp_path, model):
    lines = ['{"prompt": "hello", "id": "a-1", "more": [1, {"x": 2}]}', "", "no json", "[1]",
             '{"text": "hello"}', '{"prompt": null}', '{"prompt": 3}', '{"prompt": []}',
             '{"prompt": "hello", "id": 7}']
    path = write(tmp_path / "mixed.jsonl", lines)
    done = ctl_ok("classify", "--model", model, path)
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["error" in line for line in out] == [False] + [True] * 7 + [False]
    assert [line["line"] for line in out] == list(range(1, 10))
    assert out[0]["id"] == "a-1" and out[8]["id"] == 7 and out[0]["score"] == out[8]["score"]
    assert "empty" in out[1]["error"] and "JSON" in out[2]["error"] and "prompt" in out[4]["error"]
    assert "4 lines were not classified" in done.stderr and "line 5" in done.stderr
    both = classified(model, path, path)
    assert len(both) == 18 and both[9] == {**both[0], "line": 1} and both[0]["file"] == str(path)
    # The last line without its end; CR LF; standard input.
    assert len(classified(model, "-", stdin='{"prompt": "a"}\r\n{"prompt": "b"}')) == 2
    assert classified(model, "-", stdin="") == []
    done = ctl("classify", "--model", model, "-", stdin="nothing of use\n")
    assert done.returncode == 1 and "error" in json.loads(done.stdout)


def test_messages_are_read_as_requests_are(tmp_path, model):
    same = [{"prompt": "an integral"},
            {"prompt": [{"role": "user", "content": "an integral"}]},
            {"messages": [{"role": "system", "content": "hello hello"},
                          {"role": "user", "content": [{"type": "text", "text": "an integral"},
                                                       {"type": "image_url", "image_url": {}}]},
                          {"role": "assistant", "content": "hello"}]},
            {"prompt": "an \\u0069ntegral".encode().decode("unicode_escape")}]
    out = classified(model, write(tmp_path / "same.jsonl", same + ['{"prompt": "an \\u0069ntegral"}']))
    assert len({line["score"] for line in out}) == 1


def test_training_is_the_same_each_time(tmp_path, rows, model):
    lines = rows.read_text().splitlines()
    half = [write(tmp_path / "b.jsonl", lines[100:]), write(tmp_path / "a.jsonl", lines[:100])]
    ctl_ok("train", "--out", tmp_path / "again", *half)
    assert (tmp_path / "again").read_bytes() == model.read_bytes()
    ctl_ok("train", "--out", tmp_path / "again", "-", stdin=rows.read_text())
    assert (tmp_path / "again").read_bytes() == model.read_bytes()
    assert model.stat().st_size < 1_000_000
    assert not list(tmp_path.glob("*.new"))


def test_training_counts_what_it_cannot_use(tmp_path):
    lines = [*made_up(30), "", "{", {"small_ok": True, "large_ok": True},
             {"prompt": "x", "small_ok": True}, {"prompt": "x", "small_ok": 2, "large_ok": 1},
             {"prompt": "x", "small_ok": "yes", "large_ok": 1},
             {"prompt": "x", "small_ok": 0, "large_ok": 1}]
    path = write(tmp_path / "mixed.jsonl", lines)
    done = ctl_ok("train", "--json", "--out", tmp_path / "m", path)
    told = json.loads(done.stdout)
    assert told["rows"] == 31 and told["unused"] == 6 and told["small_ok"] == 15
    assert "3 lines were not used, the first is line 34" in done.stderr
    assert "1 line was not used, the first is line 31" in done.stderr


@pytest.mark.parametrize("lines", [[], ["{"], [{"prompt": "x"}]])
def test_training_needs_a_row(tmp_path, lines):
    done = ctl("train", "--out", tmp_path / "m", write(tmp_path / "none.jsonl", lines))
    assert done.returncode == 1 and "no row" in done.stderr and not (tmp_path / "m").exists()


def test_a_damaged_or_foreign_model_is_refused(tmp_path, rows, model):
    good = model.read_bytes()
    model = tmp_path / "model"
    for bad, words in [(b"", "no model"), (good[:-1], "damaged"), (good + b"x", "damaged"),
                       (good[:500_000] + b"\xff\xff" + good[500_002:], "checksum"),
                       (good[:16] + b"\x09" + good[17:], "version 9"), (b"{}" * 50, "no model")]:
        model.write_bytes(bad)
        for command in ("classify", "eval"):
            done = ctl(command, "--model", model, rows)
            assert done.returncode == 1 and done.stdout == ""
            assert words in done.stderr and str(model) in done.stderr


@pytest.mark.parametrize("words, says", [
    (["train", "ROWS"], "usage"), (["classify", "ROWS"], "usage"),
    (["train", "--out", "x"], "usage"), (["train", "--model", "x", "ROWS"], "takes no --model"),
    (["classify", "--out", "x", "ROWS"], "takes no --out"),
    (["status", "--svg", "x"], "takes no --svg"),
    (["eval", "--folds", "1", "ROWS"], "--folds"), (["eval", "--folds", "x", "ROWS"], "--folds"),
    (["eval", "--seed", "-1", "ROWS"], "--seed"),
    (["eval", "--folds", "5", "--model", "x", "ROWS"], "nothing is trained"),
    (["eval", "--small-price", "0", "ROWS"], "no price"),
    (["eval", "--large-price", "nan", "ROWS"], "no price"),
])
def test_the_command_line_is_checked(rows, words, says):
    done = ctl(*[rows if word == "ROWS" else word for word in words])
    assert done.returncode == 2 and says in done.stderr


def test_files_that_are_not_there(tmp_path, rows, model):
    for words in (["train", "--out", tmp_path / "m", tmp_path / "none"],
                  ["train", "--out", tmp_path / "none" / "m", rows],
                  ["train", "--out", tmp_path / "m", tmp_path],
                  ["classify", "--model", tmp_path / "none", rows],
                  ["classify", "--model", model, tmp_path / "none"],
                  ["eval", "--model", model, "--svg", tmp_path / "none" / "x.svg", rows]):
        done = ctl(*words)
        assert done.returncode == 1 and str(tmp_path) in done.stderr


def test_eval_proves_a_model(tmp_path, model):
    fresh = write(tmp_path / "fresh.jsonl", made_up(100, seed=3))
    proof = ctl_json("eval", "--model", model, fresh)
    assert proof["rows"] == 100 and proof["unused"] == 0
    assert proof["apgr"] > 0.7 and 0 < proof["cpt50"] < proof["cpt80"] < 0.6
    assert proof["always_small"]["quality"] == 0.5 and proof["always_small"]["cost"] == 0.05
    assert proof["always_large"]["cost"] == 1 and proof["always_large"]["gap_recovered"] == 1
    curve = proof["curve"]
    assert [point["large_share"] for point in curve] == [i / 100 for i in range(101)]
    assert curve[0]["quality"] == 0.5 and curve[100] == proof["always_large"]
    best = proof["best"]
    assert 0.4 < best["large_share"] < 0.6 and best["quality"] > 0.9
    assert sum(best["sent_small"].values()) + sum(best["sent_large"].values()) == 100
    # The threshold is on the scores that classify prints.
    sent = [line["score"] >= best["threshold"] for line in classified(model, fresh)]
    assert sum(sent) == sum(best["sent_large"].values())
    dear = ctl_json("eval", "--model", model, "--small-price", "1", "--large-price", "2", fresh)
    assert dear["always_small"]["cost"] == 0.5 and dear["apgr"] == proof["apgr"]
    text = ctl_ok("eval", "--model", model, fresh).stdout
    assert f"APGR {proof['apgr']:.3f}" in text and "CPT(50 %)" in text and "always large" in text


def test_eval_draws_the_curve(tmp_path, model, rows):
    ctl_ok("eval", "--model", model, "--svg", tmp_path / "curve.svg", rows)
    svg = xml.etree.ElementTree.parse(tmp_path / "curve.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert svg.tag == name + "svg"
    points = svg.find(name + "polyline").get("points").split()
    assert len(points) == 101
    ys = [float(point.split(",")[1]) for point in points]
    assert ys[0] > ys[100] and all(0 < y < 420 for y in ys)


def test_eval_without_a_gap(tmp_path, model):
    path = write(tmp_path / "r.jsonl", [{"prompt": "a", "small_ok": True, "large_ok": True}] * 3)
    proof = ctl_json("eval", "--model", model, path)
    assert proof["apgr"] is None and proof["cpt50"] is None
    assert "not better" in ctl_ok("eval", "--model", model, "--svg", tmp_path / "x.svg", path).stdout
    done = ctl("eval", path)
    assert done.returncode == 1 and "few" in done.stderr


def test_cross_validation_tests_nothing_that_was_trained_with(tmp_path):
    # Labels of chance: only who looks at the answers beats a half. Each row four times.
    draw = random.Random(5)
    folds = "2" if SANITIZED else "4"
    rows = [{**row, "small_ok": draw.random() < 0.5, "large_ok": draw.random() < 0.8}
            for row in made_up(300)]
    proof = ctl_json("eval", "--folds", folds, write(tmp_path / "r.jsonl", rows * 4))
    assert abs(proof["apgr"] - 0.5) < 0.12 and proof["folds"]["count"] == int(folds)
    again = ctl_json("eval", "--folds", folds, tmp_path / "r.jsonl")
    other = ctl_json("eval", "--folds", folds, "--seed", "1", tmp_path / "r.jsonl")
    assert again == proof and other["apgr"] != proof["apgr"]


# Mean of the folds over three seeds. MMLU: 0.66 is wanted. Of GSM8K only 663 rows are here, and
# the mean is 0.626 with a spread of 0.009 between seeds (a model of words and pairs of words: 0.59).
@pytest.mark.parametrize("name, least", [("mmlu", 0.66), ("gsm8k", 0.605)])
def test_real_prompts(name, least):
    path = MATERIAL / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    if SANITIZED and name != "gsm8k":
        pytest.skip("takes minutes under sanitizers")
    means = [ctl_json("eval", "--folds", "5", "--seed", seed, path)["folds"]["apgr_mean"]
             for seed in range(1 if SANITIZED else 3)]
    assert statistics.mean(means) >= least, means


def test_real_prompts_that_were_not_seen(tmp_path):
    path = MATERIAL / "mmlu.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    if SANITIZED:
        pytest.skip("takes long under sanitizers")
    lines = path.read_text().strip("\n").split("\n")  # prompts hold other line separators
    random.Random(1).shuffle(lines)
    model = tmp_path / "model"
    ctl_ok("train", "--out", model, write(tmp_path / "train.jsonl", lines[1500:]))
    test = write(tmp_path / "test.jsonl", lines[:1500])
    assert ctl_json("eval", "--model", model, test)["apgr"] > 0.62
    # Chances are what happens: by fifths of the chance, and on the whole.
    found = sorted((line["tiers"]["small"], json.loads(text)["small_ok"])
                   for line, text in zip(classified(model, test), lines))
    for i in range(5):
        part = found[300 * i:300 * (i + 1)]
        assert abs(statistics.mean(p for p, _ in part) - statistics.mean(ok for _, ok in part)) < 0.1
