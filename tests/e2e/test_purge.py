"""The cache of one instance, purged by what answers belong to; and what is refused."""
import json
import urllib.error
import urllib.request

import pytest

from ctl import ctl, ctl_json, ctl_ok
from harness import WAIT, key
from purges import KINDS, SETUP, ask, has


def purge(f, *words):
    return ctl_json(f, "cache", "purge", *words)


def order(f, body):
    request = urllib.request.Request(f.admin + "/cache/purge", data=json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=WAIT) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.parametrize("kind", KINDS)
def test_by_one_kind_and_a_restart_keeps_it(counted, start, kind):
    value, other = KINDS[kind]
    f = start(extra=SETUP)
    ask(f, 1), ask(f, 2, other), ask(f, 3)
    assert purge(f, f"--{kind}", value)["saved"]
    assert not has(f, 1) and has(f, 2, other) and not has(f, 3)
    assert ask(f, 1).cache == "miss" and has(f, 1)
    f.stop()
    f.start()
    assert has(f, 1) and has(f, 2, other) and not has(f, 3)
    assert f.get("/cache")["purge_marks"] == 1


def test_by_key_and_by_all_that_is_said(counted, start):
    f = start(extra=SETUP)
    first = ask(f, 1)
    assert ask(f, 1).headers["x-farthing-cache-key"] == first.headers["x-farthing-cache-key"]
    assert "x-farthing-cache-key" not in ask(f, 9, {"x-farthing-cache": "bypass"}).headers
    ask(f, 2), ask(f, 3, {"x-farthing-feature": "search"}), ask(f, 4, key("b"))
    assert purge(f, "--key", first.headers["x-farthing-cache-key"])["what"].startswith("key ")
    assert not has(f, 1) and has(f, 2)
    assert purge(f, "--tenant", "a", "--feature", "search")["what"] == "tenant a, feature search"
    assert has(f, 2) and not has(f, 3, {"x-farthing-feature": "search"}) and has(f, 4, key("b"))
    assert purge(f, "--reason", "all of it is old")["what"] == "everything"
    assert not has(f, 2) and not has(f, 4, key("b"))
    assert ask(f, 2).cache == "miss" and ask(f, 2).cache == "hit"
    newest = ctl_json(f, "audit")["audit"][0]
    assert (newest["action"], newest["what"], newest["reason"]) == ("cache.purge", "everything", "all of it is old")
    shown = ctl_ok(f, "cache")
    assert "purge_marks      1\n" in shown and "last_purge       20" in shown


def test_results_under_idempotency_keys_stay(counted, start):
    f = start(extra=SETUP)
    once = {"Idempotency-Key": "k"}
    first = ask(f, 1, once)
    purge(f, "--tenant", "a")
    assert ask(f, 1, once).body == first.body and not has(f, 1)


@pytest.mark.parametrize("body, status, said", [
    ({"tenant": "aa"}, 404, "did you mean"),
    ({"route": "mian"}, 404, 'did you mean "main"'),
    ({"tenant": ""}, 400, "leave it out"),
    ({"feature": ""}, 400, "leave it out"),
    ({"key": "c0ffee"}, 400, "64 hex digits"),
    ({"key": "x" * 64}, 400, "64 hex digits"),
    ({"feature": 7}, 400, "must be a string"),
    ({"budget": "b"}, 400, "no member"),
    ([], 400, "must be a JSON object")])
def test_what_is_refused_purges_nothing(counted, start, body, status, said):
    f = start(extra=SETUP)
    ask(f, 1)
    code, answer = order(f, body)
    assert code == status and said in answer["error"]["message"], answer
    assert has(f, 1) and f.get("/cache")["purge_marks"] == 0 and f.get("/cache")["last_purge"] is None


def test_without_a_cache(start):
    f = start(cache="enabled = false")
    assert order(f, {})[0] == 404
    assert "no cache" in ctl(f, "cache").stderr
    assert ctl(f, "cache", "purge", "--window", "1d").returncode == 2
