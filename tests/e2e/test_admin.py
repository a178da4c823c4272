"""The admin address and farthingctl: live figures, budgets, blocked keys, breakers, audit."""
import hashlib
import json
import re
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request

import pytest

from ctl import ctl, ctl_json, ctl_ok
from harness import FARTHINGCTL, chat, chat_answer, eventually, question, read_all, reply, send, tenant

BUDGETS = ('budget "daily" { amount = "0.01 usd" window = "1d" }\n'
           'budget "total" { amount = "5 usd" }\n'
           'budget "each" { amount = "1 usd" window = "1d" per = "user" }\n')


def digest(name):
    return hashlib.sha256(f"key-of-{name}".encode()).hexdigest()


def key(name, **headers):
    return {"Authorization": f"Bearer key-of-{name}", **headers}


def budget(f, name="daily", value=None, of="a"):
    return next(b for b in ctl_json(f, "budgets", "--tenant", of)["budgets"]
                if (b["budget"], b["value"]) == (name, value))


def ask(f, path, body=None, headers=None, method=None):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f.admin + path, data=data, method=method, headers=headers or {
        "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())


# ------------------------------------------------------------------ command line

@pytest.mark.parametrize("words, said", [
    ([], "usage:"),
    (["--nonsense", "status"], '"--nonsense"'),
    (["budgets", "topup", "a", "b", "1"], "usage: farthingctl budgets"),
    (["budgets", "top-up", "a", "1"], "usage: farthingctl budgets top-up TENANT BUDGET [VALUE] AMOUNT"),
    (["budgets", "reset", "a"], "usage: farthingctl budgets reset"),
    (["budgets", "reset", "a", "b", "c", "d"], "usage: farthingctl budgets reset"),
    (["status", "now"], "usage: farthingctl status"),
    (["status", "--tenant", "a"], "takes no --tenant"),
    (["budgets", "--reason", "x"], "takes no --reason"),
    (["budgets", "--tenant"], "--tenant needs a value"),
    (["keys", "block"], "usage: farthingctl keys block"),
    (["breakers", "reset"], "usage: farthingctl breakers reset PROVIDER/MODEL"),
    (["breakers", "reset", "a/b", "c/d"], "usage: farthingctl breakers reset"),
    (["breakers", "--tenant", "a"], "takes no --tenant"),
    (["keys", "block", "sha256:" + "0" * 64, "--tenant", "a"], "usage: farthingctl keys block"),
    (["a"] * 65, "one word too many"),
])
def test_wrong_usage(words, said):
    done = ctl(None, *words)
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""


def test_a_key_on_the_command_line_is_refused_and_not_repeated():
    done = ctl(None, "keys", "block", "sk-hush-hush")
    assert done.returncode == 2 and "--stdin" in done.stderr and "hush" not in done.stderr


def test_help_names_every_command():
    shown = subprocess.run([FARTHINGCTL, "--help"], capture_output=True, text=True, timeout=20)
    assert shown.returncode == 0
    for word in ("status", "budgets top-up", "budgets freeze", "limits", "inflight", "providers", "runs",
                 "keys block", "keys unblock", "audit", "breakers", "breakers reset PROVIDER/MODEL",
                 "cache", "cache purge"):
        assert f"\n  {word}" in shown.stdout


def test_nobody_there():
    done = ctl(None, "budgets")
    assert done.returncode == 1 and "127.0.0.1:1" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("words, said", [
    (["budgets", "freeze", "a", "dayly"], 'no budget "dayly" of tenant a; it has daily, total, each.'),
    (["budgets", "freeze", "nobody", "daily"], 'no tenant "nobody"'),
    (["budgets", "top-up", "a", "daily", "much"], '"much"'),
    (["budgets", "top-up", "a", "daily", "0"], '"0"'),
    (["budgets", "top-up", "a", "daily", "99999999999999 usd"], "99999999999999"),
    (["keys", "block", "--tenant", "aa"], 'did you mean "a"?'),
    (["keys", "block", "sha256:0123"], "12"),
])
def test_what_cannot_be_done_is_said(start, words, said):
    done = ctl(start(extra=tenant("a", BUDGETS)), *words)
    assert done.returncode == 1 and said in done.stderr and done.stdout == "", done.stderr


# ------------------------------------------------------------------------- guard

@pytest.mark.parametrize("headers, status", [
    ({"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
    ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
])
def test_a_web_page_cannot_give_orders(start, headers, status):
    f = start(extra=tenant("a", BUDGETS))
    body = {"tenant": "a", "budget": "daily", "amount": "5 usd"}
    got, _, answer = ask(f, "/budgets/top-up", body, headers)
    assert got == status and answer["error"]["message"]
    assert budget(f)["amount_usd"] == "0.01"


def test_methods_and_bodies_are_checked(start):
    f = start(extra=tenant("a", BUDGETS))
    status, headers, _ = ask(f, "/budgets/top-up")
    assert status == 405 and headers["Allow"] == "POST"
    status, headers, _ = ask(f, "/budgets", {})
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    status, _, answer = ask(f, "/budgets/reset", b"{")
    assert status == 400 and "not valid JSON" in answer["error"]["message"]
    status, _, answer = ask(f, "/budgets/top-up", {"tenant": "a", "budget": "daily"})
    assert (status, answer["error"]["param"]) == (400, "amount")
    status, _, answer = ask(f, "/budgets/reset", b" " * 70000)
    assert status == 413


# ------------------------------------------------------------------------- lists

def test_tables_line_up(start):
    f = start(extra=tenant("a", BUDGETS) + tenant("longer-name", BUDGETS))
    lines = ctl_ok(f, "budgets").splitlines()
    assert lines[0].split()[:4] == ["TENANT", "BUDGET", "VALUE", "AMOUNT"]
    ends = {line.index(amount) + len(amount) for line, amount in
            ((line, re.search(r" (AMOUNT|0\.01|5) ", line).group(1)) for line in lines
             if re.search(r" (AMOUNT|0\.01|5) ", line))}
    assert len(ends) == 1 and len(lines) >= 5
    assert all(line == line.rstrip() for line in lines)
    assert "longer-name" not in ctl_ok(f, "budgets", "--tenant", "a")


def test_limits_providers_and_keys(held, start):
    f = start(extra=tenant("a", "concurrency = 2 queue = 5") + tenant("b"), provider="max_inflight = 9")
    connection = send(f, "held")
    eventually(lambda: held.provider.requests, "the request")
    limits = ctl_json(f, "limits", "--tenant", "a")["limits"]
    assert [(x["name"], x["running"], x["concurrency"]) for x in limits] == [("a", 1, 2)]
    assert re.search(r"^a +a +1/2 +0/5 ", ctl_ok(f, "limits"), re.M)
    providers = ctl_json(f, "providers")["providers"]
    assert [(p["provider"], p["inflight"], p["limit"]) for p in providers] == [("openai", 1, 9)]
    assert re.search(r"^openai +1/9 +0 +-$", ctl_ok(f, "providers"), re.M)
    keys = ctl_json(f, "keys")["keys"]
    assert [(k["key"], k["tenant"], k["blocked"]) for k in keys] == \
        [("sha256:" + digest(name)[:12], name, False) for name in "ab"]
    held.go_on.set()
    assert b" 200 " in read_all(connection)[:20]


def test_inflight_shows_what_runs(held, start):
    f = start(extra=tenant("a", BUDGETS) + tenant("b"))
    connections = [send(f, "held", metadata={"farthing_feature": "x", "farthing_run": "r\u001b[31m"}),
                   send(f, "held too", "b", stream=True)]
    eventually(lambda: len(held.provider.requests) == 2, "the requests")
    shown = ctl_json(f, "inflight")
    assert shown["incomplete"] is False
    of = {x["tenant"]: x for x in shown["inflight"]}
    assert set(of) == {"a", "b"}
    assert (of["a"]["feature"], of["a"]["run"], of["a"]["stream"]) == ("x", "r\u001b[31m", False)
    assert of["b"]["stream"] is True and of["a"]["attempts"] == 1
    assert "gpt-4o-mini" in of["a"]["model"] and of["a"]["age_ms"] >= 0 and of["a"]["id"] and of["a"]["state"]
    assert float(of["a"]["reserved_usd"]) > 0
    assert [x["tenant"] for x in ctl_json(f, "inflight", "--tenant", "b")["inflight"]] == ["b"]
    table = ctl_ok(f, "inflight")
    assert "\u001b" not in table and "r?[31m" in table and re.search(r" \d+\.\ds ", table)
    held.go_on.set()
    for connection in connections:
        assert b" 200 " in read_all(connection)[:20]
    eventually(lambda: ctl_json(f, "inflight")["inflight"] == [], "the end")


def test_runs_are_counted(provider, start):
    f = start(extra=tenant("a", "run { max_steps = 5 }"))
    for i in range(3):
        assert f.post(body=question(str(i)), headers=key("a", **{"x-farthing-run": "r1"})).status == 200
    f.rows(3)
    run = ctl_json(f, "runs", "--tenant", "a")["runs"][0]
    assert (run["run"], run["steps"], run["attempts"], run["running"]) == ("r1", 3, 3, 0)
    assert run["tokens"] == 3 * 13 and run["started"] <= run["last"]
    assert re.search(r"^a +r1 +0 +3 +3 +39 ", ctl_ok(f, "runs"), re.M)


# ----------------------------------------------------------------------- budgets

def spend(f, text, **headers):
    # 2000 tokens of output at 0.60 USD a million are 0.0012 USD.
    return f.post(body=question(text, max_tokens=2000), headers=key("a", **headers))


@pytest.fixture
def dear(provider):
    """A provider whose answers use 2000 tokens."""
    provider.answer = lambda r, c: reply(c, body=chat(usage=(10, 2000)))
    return provider


COST = "0.0012015"  # of one of them


def test_budgets_show_what_was_spent(dear, start):
    f = start(extra=tenant("a", BUDGETS))
    answer = spend(f, "1", **{"x-farthing-user": "u1"})
    assert answer.status == 200 and answer.headers["x-farthing-cost-usd"] == COST
    f.rows()
    shown = budget(f)
    assert (shown["spent_usd"], shown["reserved_usd"], shown["remaining_usd"]) == (COST, "0", "0.0087985")
    assert budget(f, "total")["window_end"] is None and shown["window_end"] > shown["window_start"]
    assert budget(f, "each", "u1")["spent_usd"] == COST
    assert re.search(rf"^a +daily +- +0\.01 +{re.escape(COST)} +0 ", ctl_ok(f, "budgets"), re.M)


def test_a_top_up_lets_in_what_was_refused(dear, start):
    f = start(extra=tenant("a", 'budget "daily" { amount = "0.0005 usd" window = "1d" }'))
    refused = spend(f, "1")
    assert refused.status == 429 and refused.json["error"]["code"] == "budget_exceeded"
    said = ctl_ok(f, "budgets", "top-up", "a", "daily", "0.005", "usd", "--reason", "demo day")
    assert "budgets.top-up a/daily" in said and "0.0005 -> 0.0055" in said
    assert spend(f, "1").status == 200
    ctl_ok(f, "budgets", "top-up", "a", "daily", "-0.005")
    assert spend(f, "2").status == 429


def test_a_frozen_budget_grants_nothing_until_it_is_thawed(dear, start):
    f = start(extra=tenant("a", BUDGETS))
    assert "frozen false -> true" in ctl_ok(f, "budgets", "freeze", "a", "total")
    assert "nothing changed" in ctl_ok(f, "budgets", "freeze", "a", "total")
    assert budget(f, "total")["frozen"] and not budget(f, "daily")["frozen"]
    assert spend(f, "1").json["error"]["code"] == "budget_exceeded"
    ctl_ok(f, "budgets", "thaw", "a", "total")
    assert spend(f, "1").status == 200


def test_a_reset_forgets_what_was_spent(dear, start):
    f = start(extra=tenant("a", BUDGETS))
    assert spend(f, "1").status == 200
    f.rows()
    assert f"spent_usd {COST} -> 0" in ctl_ok(f, "budgets", "reset", "a", "daily")
    assert budget(f)["spent_usd"] == "0" and budget(f, "total")["spent_usd"] == COST


def test_one_value_of_a_budget_per_user(dear, start):
    f = start(extra=tenant("a", BUDGETS))
    for user in ("u1", "u2"):
        assert spend(f, user, **{"x-farthing-user": user}).status == 200
    f.rows(2)
    ctl_ok(f, "budgets", "freeze", "a", "each", "u1")
    assert spend(f, "x", **{"x-farthing-user": "u1"}).status == 429
    assert spend(f, "x", **{"x-farthing-user": "u2"}).status == 200
    assert "frozen - -> true" in ctl_ok(f, "budgets", "freeze", "a", "each", "u3")  # before it ever came
    assert spend(f, "y", **{"x-farthing-user": "u3"}).status == 429
    nobody = ctl(f, "budgets", "reset", "a", "each", "u4")
    assert nobody.returncode == 1 and '"u4"' in nobody.stderr
    unnamed = ctl(f, "budgets", "freeze", "a", "each")
    assert unnamed.returncode == 1 and "a counter for each user" in unnamed.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_ordered_survives_a_restart(dear, start, how):
    f = start(extra=tenant("a", BUDGETS))
    ctl_ok(f, "budgets", "top-up", "a", "daily", "1 usd")
    ctl_ok(f, "budgets", "freeze", "a", "total")
    ctl_ok(f, "keys", "block", "--tenant", "a")
    f.stop(how)
    f.start()
    assert budget(f)["amount_usd"] == "1.01" and budget(f, "total")["frozen"]
    assert ctl_json(f, "keys")["keys"][0]["blocked"]
    assert len(ctl_json(f, "audit")["audit"]) == 3
    ctl_ok(f, "keys", "unblock", "--tenant", "a")
    ctl_ok(f, "budgets", "thaw", "a", "total")
    assert spend(f, "1").status == 200


# -------------------------------------------------------------------------- keys

def test_a_blocked_key_is_refused_at_once(provider, start):
    f = start(server="workers = 4", extra=tenant("a") + tenant("b"))
    assert f.post(headers=key("a")).status == 200
    said = ctl_ok(f, "keys", "block", "--stdin", "--reason", "leaked", stdin="key-of-a\n")
    assert f"sha256:{digest('a')[:12]} of a" in said and "blocked false -> true" in said
    for i in range(12):  # on whichever worker; from the cache too
        refused = f.post(body=question(str(i % 2)) if i else None, headers=key("a"))
        assert (refused.status, refused.json["error"]["code"]) == (401, "invalid_api_key")
        assert refused.json["error"]["message"] == "This key was blocked by an operator."
        assert refused.headers["x-should-retry"] == "false"
    assert len(provider.requests) == 1
    assert f.post(headers=key("b")).status == 200
    shown = ctl_json(f, "keys", "--tenant", "a")["keys"][0]
    assert (shown["blocked"], shown["blocked_by"], shown["reason"]) == (True, "key", "leaked")
    ctl_ok(f, "keys", "unblock", f"sha256:{digest('a')[:12]}")
    assert f.post(headers=key("a")).status == 200
    assert "key-of-a" not in f.log()


def test_a_blocked_tenant_and_what_runs(held, start):
    f = start(extra=tenant("a") + tenant("b"))
    connection = send(f, "held")
    eventually(lambda: held.provider.requests, "the request")
    ctl_ok(f, "keys", "block", "--tenant", "a")
    assert f.post(headers=key("a")).status == 401
    assert f.post(headers=key("b")).status == 200
    held.go_on.set()
    assert b" 200 " in read_all(connection)[:20]  # what runs goes on
    assert {r["status"] for r in f.rows(3)} == {200, 401}


def test_a_block_outlives_a_reload_and_the_file(provider, start):
    f = start(extra=tenant("a") + tenant("b"))
    ctl_ok(f, "keys", "block", f"sha256:{digest('a')}")
    text = f.config.read_text()
    f.config.write_text(text.replace(tenant("a"), ""))
    f.reload()
    shown = next(k for k in ctl_json(f, "keys")["keys"] if not k["in_file"])
    assert shown["key"] == f"sha256:{digest('a')[:12]}" and shown["blocked"]
    f.config.write_text(text)
    f.reload()
    assert f.post(headers=key("a")).status == 401


def test_without_tenants_a_key_can_be_blocked_too(provider, farthing):
    ctl_ok(farthing, "keys", "block", "--stdin", stdin="client-key")
    assert farthing.post().status == 401
    assert farthing.post(headers={"Authorization": "Bearer another"}).status == 200
    ctl_ok(farthing, "keys", "block", "--tenant", "default")
    assert farthing.post(headers={"Authorization": "Bearer another"}).status == 401


@pytest.mark.parametrize("stdin", ["", "\n", "\r\n", "x" * 5000])
def test_standard_input_holds_one_key(start, stdin):
    done = ctl(start(extra=tenant("a")), "keys", "block", "--stdin", stdin=stdin)
    assert done.returncode == 1 and "one line" in done.stderr


# ---------------------------------------------------------------------- breakers

BREAKER = 'breaker { failures = 2 window = "60s" open_for = "60s" }'
MODEL = "openai/gpt-4o-mini"


def breaker(f):
    return next(b for b in ctl_json(f, "breakers")["breakers"] if b["name"] == MODEL)


@pytest.fixture
def broken(provider, start):
    """A proxy whose provider failed until the breaker opened, and is well again."""
    provider.answer = lambda r, c: reply(c, 500, body=b'{"error":{"message":"no"}}')
    f = start(provider=BREAKER)
    assert f.post(body=question("1")).status >= 500
    provider.answer = chat_answer
    return f


def test_breakers_are_shown(provider, start):
    f = start(provider=BREAKER)
    assert (breaker(f)["state"], breaker(f)["opened_at"], breaker(f)["retry_in_ms"]) == ("closed", None, None)
    assert f.post().status == 200
    assert (breaker(f)["calls"], breaker(f)["failures"]) == (1, 0)
    model = next(m for m in ctl_json(f, "breakers")["models"] if m["name"] == MODEL)
    assert model["inflight"] == 0 and model["latency_ms"] >= 0
    budgets = ctl_json(f, "breakers")["retry_budgets"]
    assert [(b["provider"], b["retries"], b["denied"]) for b in budgets] == [("openai", 0, 0)]
    breakers, retries, models = ctl_ok(f, "breakers").split("\n\n")
    assert re.search(rf"^{MODEL} +closed +0/1 +- +- +0 +-$", breakers, re.M)
    assert re.search(r"^openai +3\.\d+ +0 +0 +0$", retries, re.M)
    assert re.search(rf"^{MODEL} +0 +\d+\.\d+ +\d+\.\ds$", models, re.M)


def test_an_open_breaker_is_reset(provider, broken):
    asked = len(provider.requests)
    assert breaker(broken)["state"] == "open" and 0 < breaker(broken)["retry_in_ms"] <= 60000
    refused = broken.post(body=question("2"))
    assert refused.status == 503 and int(refused.headers["Retry-After"]) > 0 and len(provider.requests) == asked
    assert broken.rows(2)[1]["attempts"][0]["reason"] == "breaker_open"
    said = ctl_ok(broken, "breakers", "reset", MODEL, "--reason", "they said so")
    assert f"breakers.reset {MODEL}" in said and "state open -> closed" in said
    assert breaker(broken)["state"] == "closed" and breaker(broken)["opened"] == 1
    assert broken.post(body=question("2")).status == 200
    line = ctl_json(broken, "audit")["audit"][0]
    assert (line["action"], line["what"], line["reason"]) == ("breakers.reset", MODEL, "they said so")


def test_a_breaker_that_is_not_there(start):
    done = ctl(start(), "breakers", "reset", "openai/gpt-4o-mini2")
    assert done.returncode == 1 and f'did you mean "{MODEL}"?' in done.stderr


def test_breakers_in_the_metrics(broken):
    def gauge():
        with urllib.request.urlopen(broken.admin + "/metrics", timeout=20) as answer:
            return re.search(r'^farthing_breaker_state\{.*model="gpt-4o-mini"\} (\d)$',
                             answer.read().decode(), re.M).group(1)
    assert gauge() == "2"
    ctl_ok(broken, "breakers", "reset", MODEL)
    assert gauge() == "0"


# ------------------------------------------------------------------------- audit

def test_the_audit_is_in_the_log_the_store_and_the_table(start):
    f = start(extra=tenant("a", BUDGETS))
    ctl_ok(f, "budgets", "top-up", "a", "daily", "0.5 usd", "--reason", "two\nlines",
           env={"FARTHING_OPERATOR": "jane"})
    ctl_ok(f, "keys", "block", "--tenant", "a", env={"USER": "joe"})
    assert ctl(f, "budgets", "freeze", "a", "none").returncode == 1
    newest, oldest = ctl_json(f, "audit")["audit"]
    assert (newest["action"], newest["who"], newest["operator"]) == ("keys.block", "127.0.0.1", "joe")
    assert (oldest["action"], oldest["what"], oldest["operator"]) == ("budgets.top-up", "a/daily", "jane")
    assert (oldest["before"]["amount_usd"], oldest["after"]["amount_usd"]) == ("0.01", "0.51")
    assert oldest["reason"] == "two\nlines" and oldest["at"] <= newest["at"]
    table = ctl_ok(f, "audit")
    assert "amount_usd 0.01 -> 0.51" in table and "two?lines" in table and len(table.splitlines()) == 3
    lines = [line for line in f.log().splitlines() if "audit: " in line]
    assert len(lines) == 2 and "budgets.top-up a/daily by 127.0.0.1 (jane)" in lines[0]
    with sqlite3.connect(f.directory / "data" / "farthing.db") as db:
        assert db.execute("SELECT count(*) FROM audit").fetchone() == (2,)


def test_an_answer_says_that_it_is_saved(start):
    f = start(extra=tenant("a", BUDGETS))
    status, _, answer = ask(f, "/budgets/top-up", {"tenant": "a", "budget": "daily", "amount": "1 usd"})
    assert status == 200 and answer["saved"] is True
    assert (answer["before"]["amount_usd"], answer["after"]["amount_usd"]) == ("0.01", "1.01")
