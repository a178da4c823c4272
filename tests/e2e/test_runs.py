"""What all requests of one workflow run may take together."""
import itertools
import re
import signal
import sqlite3
import threading

import openai
import pytest

from harness import (PRICED, answer_as_asked, eventually, http_request, key, key_text, question, read_all, reply,
                     tenant)


@pytest.fixture
def begin(provider, start):
    """A proxy whose tenants a and b have these caps for each of their runs."""
    provider.answer = answer_as_asked()

    def go(caps, **kwargs):
        run = f"run {{ {caps} }}"
        return start(provider.url, extra=tenant("a", run) + tenant("b", run), **{"models": PRICED, **kwargs})
    return go


asked = itertools.count()


def ask(f, run="r1", who="a", tokens=100, text=None, **more):
    headers = {**key(who), **({"x-farthing-run": run} if run else {})}
    return f.post(body=question(text or f"hello {next(asked)}", max_tokens=tokens, **more), headers=headers)


def view(f, run="r1", who="a"):
    return next(r for r in f.get("/runs")["runs"] if (r["run"], r["tenant"]) == (run, who))


def send(f, text, run="r1", tokens=100):
    connection = f.connect()
    request = http_request(question(text, max_tokens=tokens),
                           headers=f"Connection: close\r\nx-farthing-run: {run}\r\n")
    connection.sendall(request.replace(b"client-key", key_text("a").encode()))
    return connection


def rows_in_table(f):
    with sqlite3.connect(f"file:{f.directory}/data/farthing.db?mode=ro", uri=True) as db:
        return db.execute("SELECT count(*) FROM requests").fetchone()[0]


OVER = "run_budget_exceeded"


# ------------------------------------------------------------------------------- steps

def test_the_steps_of_a_run(begin, provider):
    f = begin("max_steps = 2")
    answers = [ask(f) for _ in range(3)]
    assert [a.code for a in answers] == ["ok", "ok", OVER]
    refused = answers[2]
    assert refused.status == 429 and refused.headers["x-should-retry"] == "false"
    assert refused.headers["Retry-After"] is None and refused.json["error"]["param"] == "x-farthing-run"
    assert "run r1 may take 2 steps in all; it has taken 2" in refused.json["error"]["message"]
    # Another run, another tenant's of that name, and no run at all.
    assert [ask(f, run="r2").code, ask(f, who="b").code, ask(f, run=None).code] == ["ok"] * 3
    row = f.rows(6)[2]
    assert (row["refused_by"], row["ended_by"], row["cost_usd"], row["attempts"]) == \
        ("run.max_steps", "limit", "0", [])
    assert (view(f)["steps"], view(f)["attempts"], view(f)["running"]) == (2, 2, 0)
    assert len(provider.requests) == 5


def test_an_answer_from_the_cache_is_a_step(begin, provider):
    f = begin("max_steps = 2 max_attempts = 1")
    answers = [ask(f, text="the same") for _ in range(3)]
    assert [a.cache for a in answers[:2]] == ["miss", "hit"] and answers[2].code == OVER
    assert (view(f)["steps"], view(f)["attempts"]) == (2, 1) and len(provider.requests) == 1


def test_the_run_may_stand_in_the_metadata(begin):
    f = begin("max_steps = 1")
    said = {"metadata": {"farthing_run": "r1"}}
    assert [ask(f, run=None, **said).code, ask(f, run=None, **said).code, ask(f).code] == ["ok", OVER, OVER]


def test_requests_of_a_run_at_once(begin, provider):
    go_on = threading.Event()

    def answer(request, connection):
        assert go_on.wait(20)
        answer_as_asked()(request, connection)

    provider.answer = answer
    f = begin("max_steps = 5")
    connections = [send(f, str(i)) for i in range(20)]
    eventually(lambda: len(provider.requests) == 5 and len(f.rows(15)) == 15, "five, and fifteen refusals")
    assert view(f)["running"] == 5
    go_on.set()
    answers = [read_all(c).split()[1] for c in connections]
    assert sorted(answers) == [b"200"] * 5 + [b"429"] * 15 and len(provider.requests) == 5
    eventually(lambda: view(f)["running"] == 0, "the end of all")


# ----------------------------------------------------------------------------- attempts

def test_the_attempts_of_a_run(begin, provider):
    provider.answer = lambda r, c: reply(c, 500, {"error": {"message": "no"}})
    f = begin("max_attempts = 4")
    assert ask(f).status == 500 and ask(f).status == 500  # three attempts, and one
    assert [len(r["attempts"]) for r in f.rows(2)] == [3, 1]
    refused = ask(f)
    assert refused.code == OVER and "may take 4 attempts in all" in refused.json["error"]["message"]
    assert f.rows(3)[2]["refused_by"] == "run.max_attempts"
    assert len(provider.requests) == 4 == view(f)["attempts"]
    provider.answer = answer_as_asked()
    assert ask(f, run="r2").code == "ok"


# ------------------------------------------------------------------------------- tokens

def test_the_tokens_of_a_run(begin, provider):
    provider.answer = answer_as_asked(5, 20)
    f = begin("max_tokens = 200")
    assert [ask(f).code for _ in range(3)] == ["ok"] * 3  # 100 and some reserved, 25 taken
    assert (view(f)["tokens"], view(f)["reserved_tokens"]) == (75, 0)
    refused = ask(f, tokens=180)
    assert refused.code == OVER and "may take 200 tokens in all; it has taken 75" in \
        refused.json["error"]["message"]
    assert f.rows(4)[3]["refused_by"] == "run.max_tokens"
    assert ask(f, tokens=50).code == "ok" and view(f)["steps"] == 5  # what was refused was a step


def test_tokens_of_requests_at_once(begin, provider):
    go_on = threading.Event()

    def answer(request, connection):
        assert go_on.wait(20)
        answer_as_asked(5, 20)(request, connection)

    provider.answer = answer
    f = begin("max_tokens = 350")
    connections = [send(f, str(i)) for i in range(10)]
    eventually(lambda: len(provider.requests) == 3 and len(f.rows(7)) == 7, "three, and seven refusals")
    assert 300 < view(f)["reserved_tokens"] <= 350
    go_on.set()
    assert sorted(read_all(c).split()[1] for c in connections) == [b"200"] * 3 + [b"429"] * 7
    eventually(lambda: (view(f)["tokens"], view(f)["reserved_tokens"]) == (75, 0), "settling")
    for connection in connections:
        connection.close()


def test_who_leaves_gives_back_what_he_reserved(begin, provider):
    provider.answer = lambda r, c: c.recv(1)  # until the proxy hangs up
    f = begin("max_tokens = 200 max_steps = 9")
    connection = send(f, "x")
    eventually(lambda: provider.requests, "the request")
    assert view(f)["reserved_tokens"] > 100 and ask(f).code == OVER
    connection.close()
    eventually(lambda: (view(f)["reserved_tokens"], view(f)["running"]) == (0, 0), "the end")
    provider.answer = answer_as_asked(5, 20)
    assert ask(f).code == "ok"


# --------------------------------------------------------------------------------- time

def test_the_time_of_a_run(begin):
    f = begin('max_wall = "1s"')
    assert ask(f).code == "ok"
    refused = eventually(lambda: (a := ask(f)).status == 429 and a, "the end of its time")
    assert refused.code == OVER
    assert re.search(r"run r1 may take 1000 ms from its first step on; that was \d+ ms ago",
                     refused.json["error"]["message"])
    eventually(lambda: f.rows()[-1]["refused_by"] == "run.max_wall", "its row")
    assert ask(f, run="r2").code == "ok"


def test_there_is_time_enough(begin):
    f = begin('max_wall = "1h"')
    assert [ask(f).code for _ in range(3)] == ["ok"] * 3


# -------------------------------------------------------------------------------- money

def test_the_money_of_requests_at_once(begin, provider):
    go_on = threading.Event()

    def answer(request, connection):
        assert go_on.wait(20)
        answer_as_asked()(request, connection)

    provider.answer = answer
    f = begin('max_cost = "0.0035 usd"')
    connections = [send(f, str(i)) for i in range(10)]
    eventually(lambda: len(provider.requests) == 3 and len(f.rows(7)) == 7, "three, and seven refusals")
    go_on.set()
    assert sorted(read_all(c).split()[1] for c in connections) == [b"200"] * 3 + [b"429"] * 7
    f.nothing_reserved()
    assert str(f.budget("run")["spent"]) == "0.003015" and f.budget("run")["value"] == "r1"
    assert {(r["error_code"], r["refused_by"]) for r in f.rows(10) if not r["success"]} == {(OVER, "budget:run")}


# ------------------------------------------------------------------------------- restart

@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("caps,word", [
    ("max_steps = 3", "run.max_steps"), ("max_attempts = 3", "run.max_attempts"),
    ("max_tokens = 400", "run.max_tokens"), ('max_cost = "0.0035 usd"', "budget:run")])
def test_a_restart_gives_nothing_back(begin, caps, word, how):
    f = begin(caps)
    assert [ask(f).code for _ in range(3)] == ["ok"] * 3
    eventually(lambda: rows_in_table(f) == 3, "the rows")
    f.stop(how)
    f.start()
    assert ask(f).code == OVER
    assert ask(f, run="r2").code == "ok"
    f.stop()
    assert [r["refused_by"] for r in f.rows() if r["refused_by"]] == [word]


def test_a_reload_changes_the_caps(begin):
    f = begin("max_steps = 1")
    assert [ask(f).code, ask(f).code] == ["ok", OVER]
    f.config.write_text(f.config.read_text().replace("max_steps = 1", "max_steps = 2"))
    f.reload()
    assert [ask(f).code, ask(f).code] == ["ok", OVER]


def test_a_tenants_caps_come_before_the_files(provider, start):
    provider.answer = answer_as_asked()
    f = start(provider.url, models=PRICED, extra="run { max_steps = 2 max_attempts = 1 }\n"
              + tenant("a", "run { max_attempts = 9 }") + tenant("b"))
    assert [ask(f).code for _ in range(3)] == ["ok", "ok", OVER]
    assert [ask(f, who="b").code for _ in range(2)] == ["ok", OVER]
    assert [r["refused_by"] for r in f.rows(5) if r["refused_by"]] == ["run.max_steps", "run.max_attempts"]


# ----------------------------------------------------------------------------------- SDK

def test_the_sdk_does_not_try_again(begin, provider):
    f = begin("max_steps = 1")
    client = openai.OpenAI(base_url=f.url, api_key="key-of-a", max_retries=4,
                           default_headers={"x-farthing-run": "r1"})
    messages = [{"role": "user", "content": "hello"}]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages, max_tokens=9)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=messages, max_tokens=8)
    assert caught.value.code == OVER and caught.value.param == "x-farthing-run"
    assert len(f.rows(2)) == 2 and len(provider.requests) == 1
