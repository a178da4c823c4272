"""Budgets: whose money it is, what a refusal says, and that nothing stays reserved.

That a budget holds under any number of clients, and over crashes, is test_promise.py.
"""
import sqlite3
import threading
from decimal import Decimal

import openai
import pytest

from harness import (answer_as_asked, ask_anew, budget, chat, chunk, eventually, free_port, hang_up, key, question,
                     read_all, read_until, reply, row_of, send, stream_answer, tenant)

ONE = Decimal("0.001005")  # an answer to ask_anew(): 5 tokens of input and 100 of output


# ---------------------------------------------------------------------- whose money

FEATURE, USER, RUN = "x-farthing-feature", "x-farthing-user", "x-farthing-run"

# A budget of 0.0015 USD; requests in their order, and which of them it bears.
SCOPES = {
    "all": ("", [({FEATURE: "x"}, "ok"), ({}, "budget_exceeded"), ({FEATURE: "y"}, "budget_exceeded")]),
    "a feature": ('feature = "support_*"', [
        ({FEATURE: "support_x"}, "ok"), ({FEATURE: "support_y"}, "budget_exceeded"),
        ({FEATURE: "other"}, "ok"), ({FEATURE: "other"}, "ok"), ({}, "ok"), ({}, "ok")]),
    "a user": ('user = "eu-*"', [
        ({USER: "eu-1"}, "ok"), ({USER: "eu-2"}, "budget_exceeded"), ({USER: "us-1"}, "ok"), ({}, "ok")]),
    "each feature": ('per = "feature"', [
        ({FEATURE: "x"}, "ok"), ({FEATURE: "x"}, "budget_exceeded"), ({FEATURE: "y"}, "ok"),
        ({}, "ok"), ({}, "budget_exceeded"), ({FEATURE: "y"}, "budget_exceeded")]),
    "each user": ('per = "user"', [
        ({USER: "u"}, "ok"), ({USER: "u"}, "budget_exceeded"), ({USER: "v"}, "ok"), ({}, "ok"),
        ({}, "budget_exceeded")]),
    "each run": ('per = "run"', [
        ({RUN: "r1"}, "ok"), ({RUN: "r1"}, "budget_exceeded"), ({RUN: "r2"}, "ok")]),
    "each key": ('per = "key"', [
        (key("a"), "ok"), (key("a"), "budget_exceeded"), (key("a", 1), "ok"),
        (key("a", 1), "budget_exceeded")]),
    "each user of some features": ('per = "user" feature = "chat"', [
        ({USER: "u", FEATURE: "chat"}, "ok"), ({USER: "u", FEATURE: "chat"}, "budget_exceeded"),
        ({USER: "u"}, "ok"), ({USER: "u"}, "ok"), ({USER: "v", FEATURE: "chat"}, "ok")]),
}


@pytest.mark.parametrize("name", SCOPES)
def test_whose_money_it_is(begin_priced, name):
    scope, requests = SCOPES[name]
    f = begin_priced(tenant("a", budget("0.0015", scope), keys=2) + tenant("b", budget("0.0015", scope)))
    assert [ask_anew(f, headers=headers).code for headers, _ in requests] == [result for _, result in requests]
    assert ask_anew(f, who="b", headers={**requests[0][0], **key("b")}).code == "ok"  # another's is another
    f.nothing_reserved()


def test_what_stands_in_metadata_counts_as_well(begin_priced):
    f = begin_priced(tenant("a", budget("0.0015", 'per = "user"')))
    assert [ask_anew(f, metadata={"farthing_user": user}).code for user in ("u", "u", "v")] == \
        ["ok", "budget_exceeded", "ok"]
    assert {b["value"]: b["spent"] for b in f.budgets()} == {"u": ONE, "v": ONE}


def test_inventing_features_is_no_escape(begin_priced, provider):
    f = begin_priced(tenant("a", budget("0.0045", name="total") + budget("0.0015", 'per = "feature"')))
    answers = [ask_anew(f, headers={FEATURE: f"invented-{i}"}) for i in range(8)]
    assert [a.code for a in answers] == ["ok"] * 4 + ["budget_exceeded"] * 4
    assert '"total"' in answers[-1].json["error"]["message"] and len(provider.requests) == 4
    assert f.budget("total")["spent"] == 4 * ONE and sum(b["spent"] > 0 for b in f.budgets("daily")) == 4


def test_all_budgets_or_none(begin_priced):
    f = begin_priced(tenant("a", budget("0.01", name="large") + budget("0.0015", name="small")))
    assert [ask_anew(f).code for _ in range(3)] == ["ok", "budget_exceeded", "budget_exceeded"]
    for name in ("large", "small"):  # what one refuses, the other has not booked
        assert (f.budget(name)["spent"], f.budget(name)["reserved"]) == (ONE, 0)
    assert f.rows(3)[1]["refused_by"] == "budget:small"


@pytest.mark.parametrize("where", ["tenant", "file", "both"])
def test_the_money_of_a_run(begin_priced, where):
    low, high = 'run { max_cost = "0.0015 usd" }\n', 'run { max_cost = "9 usd" }\n'
    f = begin_priced({"tenant": tenant("a", low), "file": low + tenant("a"),
               "both": high + tenant("a", low)}[where])
    answers = [ask_anew(f, headers={RUN: run} if run else None) for run in ("r1", "r1", "r2", None, None)]
    assert [a.code for a in answers] == ["ok", "run_budget_exceeded", "ok", "ok", "ok"]
    refused = row_of(f, answers[1])
    assert (refused["status"], refused["run_id"], refused["refused_by"]) == (429, "r1", "budget:run")


# -------------------------------------------------------------------------- words

def test_what_a_refusal_says(begin_priced, provider):
    f = begin_priced(tenant("a", budget("0.0015")))
    ask_anew(f)
    refused = ask_anew(f)
    error = refused.json["error"]
    assert (refused.status, error["code"], error["type"]) == (429, "budget_exceeded", "insufficient_quota")
    assert refused.headers["x-should-retry"] == "false" and refused.headers["Retry-After"] is None
    assert refused.headers["x-farthing-budget-remaining-usd"] == "0.000495"
    for words in ('"daily" of tenant a', "0.000495 USD left of 0.0015 USD", "(0 USD are reserved"):
        assert words in error["message"]
    assert ask_anew(f, refused.fits).code == "ok"
    row = row_of(f, refused)
    assert (row["status"], row["error_code"], row["ended_by"], row["refused_by"], row["cost_usd"],
            row["attempts"]) == (429, "budget_exceeded", "budget", "budget:daily", "0", [])
    assert 'farthing_budget_rejections_total{tenant="a",budget="daily"} 1\n' in f.metrics()


@pytest.mark.parametrize("window,tokens,waits", [
    ('window = "1mo"', 100, True), ('window = "1mo"', 1000, False), ("", 100, False),
    ('window = "1mo" timezone = "Asia/Tokyo"', 100, True)])
def test_waiting_is_advised_where_it_helps(begin_priced, window, tokens, waits):
    f = begin_priced(tenant("a", budget("0.0015", window)))
    ask_anew(f)
    refused = ask_anew(f, tokens)
    assert refused.code == "budget_exceeded" and refused.headers["x-should-retry"] == "false"
    if waits:
        assert 1 <= int(refused.headers["Retry-After"]) <= 31 * 86400 + 1
    else:
        assert refused.headers["Retry-After"] is None


def test_what_is_left_is_said_exactly(begin_priced):
    f = begin_priced(tenant("a", budget("1") + budget("9", name="more")) + tenant("b"))
    left = Decimal(1)
    for tokens in (100, 7, 20):
        answer = ask_anew(f, tokens)
        left -= Decimal(answer.headers["x-farthing-cost-usd"])
        assert Decimal(answer.headers["x-farthing-budget-remaining-usd"]) == left
    assert f'farthing_budget_remaining_usd{{tenant="a",budget="daily"}} {left}\n' in f.metrics()
    assert ask_anew(f, who="b").headers["x-farthing-budget-remaining-usd"] is None


def test_hits_cost_and_reserve_nothing(begin_priced):
    f = begin_priced(tenant("a", budget("0.0015")))
    body = question(max_tokens=100)
    left = []
    for cache in ("miss", "hit", "hit"):
        answer = f.post(body=body, headers=key("a"))
        assert (answer.status, answer.cache) == (200, cache)
        left.append(answer.headers["x-farthing-budget-remaining-usd"])
    assert left == ["0.000495"] * 3 and ask_anew(f).code == "budget_exceeded"
    rows = f.rows(4)
    assert [(r["reserved_usd"], r["cost_usd"]) for r in rows[1:]] == [("0", "0")] * 3
    assert f.budget()["spent"] == ONE


# ------------------------------------------------------------- reservations and their end

class Held:
    """A provider that answers when it is told to."""

    def __init__(self, provider):
        self.go_on = threading.Event()
        self.requests = provider.requests
        self.then = answer_as_asked()
        provider.answer = self.answer

    def answer(self, request, connection):
        assert self.go_on.wait(20)
        self.then(request, connection)


@pytest.fixture
def held(begin_priced, provider):
    h = Held(provider)
    yield h
    h.go_on.set()


def begin_one(f, text="held", **more):
    return send(f, text, max_tokens=100, **more)


def test_followers_reserve_nothing(begin_priced, held):
    f = begin_priced(tenant("a", budget("0.0015")))
    connections = [begin_one(f) for _ in range(5)]  # one alone fits
    eventually(lambda: held.requests, "the purchase")
    eventually(lambda: f.get("/status")["shared_purchases"]["followers"] == 4, "the followers")
    reserved = f.budget()["reserved"]
    assert ONE <= reserved <= Decimal("0.0011")
    held.go_on.set()
    assert all(read_all(c).startswith(b"HTTP/1.1 200 ") for c in connections)
    assert (f.budget()["spent"], f.budget()["reserved"]) == (ONE, 0)
    rows = f.rows(5)
    assert sorted((r["cost_usd"], r["reserved_usd"]) for r in rows) == \
        [("0", "0")] * 4 + [(str(ONE), str(reserved))]


def test_the_leader_leaves_and_its_followers_stay(begin_priced, held):
    f = begin_priced(tenant("a", budget("0.0015")))
    leader = begin_one(f)
    eventually(lambda: held.requests, "the purchase")
    followers = [begin_one(f) for _ in range(3)]
    eventually(lambda: f.get("/status")["shared_purchases"]["followers"] == 3, "the followers")
    leader.close()
    eventually(lambda: 'farthing_inflight{tenant="a"} 4\n' in f.metrics(), "all four")
    held.go_on.set()
    assert all(read_all(c).startswith(b"HTTP/1.1 200 ") for c in followers)
    f.nothing_reserved()
    assert f.budget()["spent"] == ONE and sorted(r["cost_usd"] for r in f.rows(4)) == ["0"] * 3 + [str(ONE)]


def test_a_disk_that_does_not_write(begin_priced, held):
    f = begin_priced(tenant("a", budget("0.0015")))  # one request needs more of it than is safe beforehand
    with sqlite3.connect(f.directory / "data" / "farthing.db", isolation_level=None) as disk:
        disk.execute("BEGIN IMMEDIATE")  # nobody else can write
        leaver = begin_one(f)
        eventually(lambda: f.budget()["reserved"], "the reservation")
        leaver.close()
        f.nothing_reserved()
        held.go_on.set()
        assert ask_anew(f).code == "ok"  # it is not waited for for ever
        assert "farthing_budget_unconfirmed_total 0\n" not in f.metrics()
        disk.execute("ROLLBACK")
    f.nothing_reserved()
    assert f.budget()["spent"] == sum(Decimal(r["cost_usd"]) for r in f.rows(2))


def test_a_purchase_that_is_finished_without_its_client(begin_priced, held):
    f = begin_priced('route "r" { on_client_gone = "finish" }\n' + tenant("a", budget("1")))
    connection = begin_one(f)
    eventually(lambda: held.requests, "the request")
    connection.close()
    assert f.budget()["reserved"] >= ONE
    held.go_on.set()
    assert f.rows()[0]["cost_usd"] == str(ONE) == f.budget()["spent_usd"]
    f.nothing_reserved()


def test_what_runs_is_reserved(begin_priced, held):
    f = begin_priced(tenant("a", budget("0.0025")))
    connections = [begin_one(f, str(i)) for i in range(2)]
    eventually(lambda: len(held.requests) == 2, "both")
    refused = ask_anew(f)
    assert refused.code == "budget_exceeded" and f.budget()["spent"] == 0
    assert f"({f.budget()['reserved']} USD are reserved" in refused.json["error"]["message"]
    held.go_on.set()
    assert all(b" 200 " in read_all(c)[:20] for c in connections)
    assert f.budget()["spent"] == 2 * ONE
    f.nothing_reserved()


def test_a_client_that_leaves_gives_its_money_back(begin_priced, held):
    f = begin_priced(tenant("a", "concurrency = 1 queue = 1 " + budget("1")))
    running = begin_one(f, "runs")
    eventually(lambda: held.requests, "the request")
    reserved = f.budget()["reserved"]
    waiting = begin_one(f, "waits for a place")
    eventually(lambda: 'farthing_queue_depth{tenant="a"} 1\n' in f.metrics(), "the queue")
    assert reserved > 0 and f.budget()["reserved"] == reserved
    waiting.close()
    eventually(lambda: f.rows(1), "the row of who waited")
    running.close()
    f.nothing_reserved()
    rows = f.rows(2)
    assert rows[1]["cost_usd"] == "0" and Decimal(rows[0]["cost_usd"]) == f.budget()["spent"] <= reserved


def test_a_stream_gives_back_what_it_did_not_use(begin_priced, provider):
    go_on = threading.Event()
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    end = [chunk({}, "stop"), chunk(choices=[], usage=usage), b"data: [DONE]\n\n"]

    def answer(_request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                           + chunk({"content": "a"}))
        assert go_on.wait(20)
        connection.sendall(b"".join(end))
        hang_up(connection)

    provider.answer = answer
    f = begin_priced(tenant("a", budget("1")))
    connection = begin_one(f, stream=True)
    received = read_until(connection, b"data: ")
    assert f.budget()["reserved"] >= ONE and f.budget()["spent"] == 0
    go_on.set()
    assert b"[DONE]" in read_all(connection, received)
    f.nothing_reserved()
    assert f.budget()["spent"] == Decimal("0.000025") == Decimal(f.rows()[0]["cost_usd"])


ERROR = {"error": {"message": "bad luck", "code": None}}
BROKEN = stream_answer([chunk({"content": "ab"})], cut=True)
LONG_WORDS = stream_answer([chunk({"content": "internationalization " * 90})], cut=True)
# What a provider does, the status that the client sees, and what it costs.
ENDINGS = {
    "an error": (lambda r, c: reply(c, 400, ERROR), {}, 400, "0"),
    "errors, and tried again": (lambda r, c: reply(c, 500, ERROR), {}, 500, "0"),
    "an error in a 200": (lambda r, c: reply(c, 200, ERROR), {}, 502, "0"),
    "a reset": (lambda r, c: hang_up(c, reset=True), {}, 502, "0"),
    "no JSON": (lambda r, c: reply(c, 200, b"<html>"), {}, 502, "0"),
    "no usage": (lambda r, c: reply(c, body=chat(usage=None)), {}, 200, None),
    "a stream that breaks": (BROKEN, {"stream": True}, 200, None),
    "a stream of long words that breaks": (LONG_WORDS, {"stream": True}, 200, None),
    "a long text without usage": (lambda r, c: reply(c, body=chat("word " * 500, usage=None)), {}, 200, None),
    "more than the cap": (answer_as_asked(5, 300), {}, 200, "0.003005"),
    "a stream of more than the cap": (answer_as_asked(5, 300), {"stream": True}, 200, "0.003005"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_whatever_happens_nothing_stays_reserved(begin_priced, provider, name):
    answer, more, status, cost = ENDINGS[name]
    f = begin_priced(tenant("a", budget("1")))
    provider.answer = answer
    assert ask_anew(f, **more).status == status
    f.nothing_reserved()
    row = f.rows()[0]
    assert cost in (None, row["cost_usd"]) and Decimal(row["reserved_usd"]) >= ONE
    if cost is None:  # nobody said: an estimate, which the cap bounds
        assert row["usage_source"] == "estimated"
        assert 0 < Decimal(row["cost_usd"]) <= Decimal(row["reserved_usd"])
    view = f.budget()
    assert view["spent"] == Decimal(row["cost_usd"]) == 1 - view["remaining"]
    over = max(Decimal(0), Decimal(row["cost_usd"]) - Decimal(row["reserved_usd"]))
    assert view["overrun"] == over
    line = f'farthing_budget_overrun_usd_total{{tenant="a",budget="daily"}} {over}\n'
    assert line in f.metrics()


def test_who_is_not_there_is_not_paid(begin_priced):
    f = begin_priced(tenant("a", budget("1")), provider=f'base_url = "http://127.0.0.1:{free_port()}/v1"')
    assert ask_anew(f).status == 502
    f.nothing_reserved()
    assert f.budget()["spent"] == 0 and len(f.rows()[0]["attempts"]) == 3


def test_retries_are_reserved_once(begin_priced, provider):
    statuses = iter([500, 429, 200])

    def answer(request, connection):
        status = next(statuses)
        answer_as_asked()(request, connection) if status == 200 else reply(connection, status, ERROR)

    f = begin_priced(tenant("a", budget("0.0015")))
    provider.answer = answer
    assert ask_anew(f).code == "ok" and f.budget()["spent"] == ONE


# ------------------------------------------------------------------------- passing through

def test_what_passes_through_is_booked_when_it_says_what_it_was(begin_priced, provider):
    usage = {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}
    f = begin_priced(tenant("a", budget("0.001")))
    provider.answer = lambda r, c: reply(c, body={"id": "file-1"})
    upload = {"body": b"bytes", "headers": {**key("a"), "Content-Type": "application/octet-stream"}}
    assert f.post("/files", **upload).status == 200 and f.budget()["spent"] == 0
    provider.answer = lambda r, c: reply(c, body={"created": 1, "data": [], "usage": usage})
    picture = {"model": "openai/gpt-4o-mini", "prompt": "x"}
    assert f.post("/images/generations", picture, key("a")).status == 200
    f.nothing_reserved()
    assert f.budget()["spent"] == Decimal("0.00101") == Decimal(f.rows(2)[1]["cost_usd"])
    for answer in (f.post("/images/generations", picture, key("a")), f.post("/files", **upload)):
        assert answer.code == "budget_exceeded"  # nothing is left
    assert len(provider.requests) == 2


# ------------------------------------------------------------------------------ reload

def change(f, old, new):
    f.config.write_text(f.config.read_text().replace(old, new))
    f.reload()


def test_a_reload_changes_budgets(begin_priced):
    f = begin_priced(tenant("a", budget("0.0015")))
    assert [ask_anew(f).code, ask_anew(f).code] == ["ok", "budget_exceeded"]
    change(f, "0.0015 usd", "0.0025 usd")  # raised: what was spent counts on
    assert [ask_anew(f).code, ask_anew(f).code] == ["ok", "budget_exceeded"]
    change(f, "0.0025 usd", "0.001 usd")  # lowered below what was spent
    refused = ask_anew(f, 16)
    assert refused.code == "budget_exceeded"
    assert refused.headers["x-farthing-budget-remaining-usd"] == "0"
    assert f.budget()["spent"] == 2 * ONE and f.budget()["remaining"] == 0
    change(f, 'budget "daily" { amount = "0.001 usd"  }', budget("0.0015", name="other"))
    assert [ask_anew(f).code, ask_anew(f).code] == ["ok", "budget_exceeded"]
    change(f, 'budget "other" { amount = "0.0015 usd"  }', "")
    assert [ask_anew(f).code, ask_anew(f).code] == ["ok", "ok"]
    change(f, "routes", "routes")  # nothing
    assert ask_anew(f).code == "ok"


def test_a_reload_while_money_is_reserved(begin_priced, held):
    f = begin_priced(tenant("a", budget("0.0015")))
    connection = begin_one(f)
    eventually(lambda: held.requests, "the request")
    change(f, 'budget "daily" { amount = "0.0015 usd"  }', "")
    held.go_on.set()
    assert b" 200 " in read_all(connection)[:20]
    assert f.rows()[0]["cost_usd"] == str(ONE)
    eventually(lambda: not any(b["reserved"] for b in f.budgets()), "the end of the reservation")


def test_warnings_are_given_once(begin_priced):
    f = begin_priced(tenant("a", budget("0.004", 'warn_at = {"25%", "50%"}')))
    counted = r'farthing_budget_warnings_total{tenant="a",budget="daily",percent="%d"} 1' + "\n"
    assert ask_anew(f).code == "ok"
    eventually(lambda: counted % 25 in f.metrics(), "the first warning")
    assert counted % 50 not in f.metrics()
    for _ in range(2):
        assert ask_anew(f).code == "ok"
    eventually(lambda: counted % 50 in f.metrics(), "the second")
    f.reload()
    assert ask_anew(f, 16).code == "ok"
    warnings = [line for line in f.log().split("\n") if "level=warning" in line and "daily" in line]
    assert len(warnings) == 2 and counted % 25 in f.metrics() and counted % 50 in f.metrics()


def test_a_restart_forgets_nothing(begin_priced):
    f = begin_priced(tenant("a", budget("0.0015", 'window = "1mo"') + budget("0.0015", 'per = "user"', "each")))
    assert ask_anew(f, headers={USER: "u"}).code == "ok"
    f.stop()
    f.start()
    assert ask_anew(f, headers={USER: "u"}).code == "budget_exceeded"
    assert f.budget()["spent"] == ONE == f.budget("each")["spent"]


# -------------------------------------------------------------------------------- SDK

def test_the_sdk_does_not_try_again(begin_priced, provider):
    f = begin_priced(tenant("a", budget("0.0015") + 'max_n = 1'))
    client = openai.OpenAI(base_url=f.url, api_key="key-of-a", max_retries=4)
    messages = [{"role": "user", "content": "hello"}]

    def create(**more):
        return client.chat.completions.create(model="gpt-4o-mini", messages=messages, max_tokens=100, **more)

    create()
    with pytest.raises(openai.RateLimitError) as caught:
        create(seed=1)
    assert (caught.value.code, caught.value.type) == ("budget_exceeded", "insufficient_quota")
    with pytest.raises(openai.BadRequestError) as caught:
        create(n=2)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "n")
    with pytest.raises(openai.BadRequestError) as caught:
        create(seed=1, extra_headers={"x-farthing-max-cost-usd": "0.0001"})
    assert caught.value.code == "max_cost_exceeded"
    assert len(f.rows(4)) == 4 and len(provider.requests) == 1
