"""Clients' own retries: what an SDK sends again, and says so, is not bought again."""
import json
import sqlite3
import threading

import openai
import pytest

from gates import CLOSE, ask, following, parse
from harness import (chat, chat_answer, chat_events, eventually, hang_up, http_request, key, question, read_all,
                     read_until, reply, tenant)
from test_idempotency import (FORMS, HOT, NO_CACHE, NO_RETRY, client_noticed_gone, number, open_figures, route,
                              row_of)
from test_idempotency_flight import read_long


def retry(count=1):
    return {"x-stainless-retry-count": str(count)}


FIRST = "x-stainless-retry-count: 0\r\n"
RETRY = "x-stainless-retry-count: 1\r\n"


def other_spelling(**more):
    """question() with another order and other white space."""
    members = list(question(**more).items())[::-1]
    return ("{ " + " ,\n".join(f'"{k}" : {json.dumps(v)}' for k, v in members) + " }").encode()


def send(f, body, headers):
    connection = f.connect()
    connection.sendall(http_request(body, headers=CLOSE + headers))
    return connection


def is_retry(row, first, word):
    assert (row["cost_usd"], row["attempts"], row["usage_source"]) == ("0", [], "cache")
    assert (row["cache"], row["saved_usd"]) == (word, {"retry": first["cost_usd"]})
    assert (row["status"], row["success"], row["model"]) == (200, True, first["model"])
    return True


# ------------------------------------------------------------------ while it runs

@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_a_retry_attaches(gate, start, form, workers):
    f = start(server=f"workers = {workers}")
    connections = [ask(f, FIRST, **HOT, **FORMS[form])]
    eventually(lambda: gate.provider.requests, "the purchase")
    received = [b"", b""]
    if form != "whole":
        gate.begin.set()
        received[0] = read_until(connections[0], b"Hello")
    connections.append(send(f, other_spelling(**HOT, **FORMS[form]), RETRY))
    if form == "stream":
        received[1] = read_until(connections[1], b"Hello")  # live, from its beginning
    following([f], 1)
    gate.release()
    answers = [parse(read_all(c, r)) for c, r in zip(connections, received)]
    assert [(a[0], a[3]) for a in answers] == [(200, True)] * 2
    assert [a[1]["x-farthing-cache"] for a in answers] == ["bypass", "coalesced"]
    assert answers[1][1]["x-farthing-cost-usd"] == "0"
    assert b"Hello" in answers[1][2] and (b'"completion_tokens"' in answers[1][2]) == (form != "stream")
    if form != "usage":
        assert answers[0][2] == answers[1][2]
    assert len(gate.provider.requests) == 1
    rows = sorted(f.rows(2), key=lambda r: r["cache"])
    assert is_retry(rows[1], rows[0], "coalesced")


@pytest.mark.parametrize("first,second", [("whole", "stream"), ("stream", "whole"), ("usage", "stream")])
def test_a_retry_in_another_form_attaches(gate, farthing, first, second):
    connections = [ask(farthing, FIRST, **HOT, **FORMS[first])]
    eventually(lambda: gate.provider.requests, "the purchase")
    connections.append(ask(farthing, RETRY, **HOT, **FORMS[second]))
    following([farthing], 1)
    gate.release()
    bodies = [parse(read_all(c))[2] for c in connections]
    assert bodies[1].endswith(b"[DONE]\n\n") == (second != "whole")
    assert (b'"completion_tokens"' in bodies[1]) == (second == "whole")
    assert len(gate.provider.requests) == 1


def test_retries_of_retries_attach_too(gate, farthing):
    connections = [ask(farthing, FIRST, **HOT)]
    eventually(lambda: gate.provider.requests, "the purchase")
    connections += [ask(farthing, f"x-stainless-retry-count: {n}\r\n", **HOT) for n in (1, 2, 3)]
    following([farthing], 3)
    gate.release()
    assert {parse(read_all(c))[0] for c in connections} == {200} and len(gate.provider.requests) == 1
    assert sum("retry" in r["saved_usd"] for r in farthing.rows(4)) == 3


def test_a_retry_of_what_the_cache_shares(gate, farthing):
    connections = [ask(farthing, FIRST)]
    eventually(lambda: gate.provider.requests, "the purchase")
    connections += [ask(farthing, RETRY), ask(farthing, FIRST)]
    following([farthing], 2)
    gate.release()
    assert {parse(read_all(c))[0] for c in connections} == {200} and len(gate.provider.requests) == 1
    assert sorted(list(r["saved_usd"]) for r in farthing.rows(3)) == [[], ["coalesce"], ["retry"]]


NO_RETRIES = {  # of a first try at temperature 1: headers, body, route
    "a first try": (FIRST, {}, ""),
    "no word of it": ("", {}, ""),
    "no number": ("x-stainless-retry-count: one\r\n", {}, ""),
    "below zero": ("x-stainless-retry-count: -1\r\n", {}, ""),
    "another body": (RETRY, {"text": "other"}, ""),
    "another temperature": (RETRY, {"temperature": 0.9}, ""),
    "bypass": (RETRY + "x-farthing-cache: bypass\r\n", {}, ""),
    "no-store": (RETRY + "Cache-Control: no-store\r\n", {}, ""),
    "turned off": (RETRY, {}, route('retry_window = "0s"')),
    "another prompt version": (RETRY + "x-farthing-prompt-version: 2\r\n", {}, ""),
}


@pytest.mark.parametrize("name", NO_RETRIES)
def test_what_is_no_retry_is_bought(gate, start, name):
    headers, more, extra = NO_RETRIES[name]
    f = start(extra=extra)
    number(gate.provider)
    told = gate.provider.answer
    gate.provider.answer = lambda r, c: gate.begin.wait(20) and told(r, c)
    connections = [ask(f, FIRST, **HOT), ask(f, headers, **{**HOT, **more})]
    eventually(lambda: len(gate.provider.requests) == 2, "two purchases")
    gate.release()
    assert {parse(read_all(c))[0] for c in connections} == {200}
    # Nor is it served by what was finished.
    third = parse(read_all(ask(f, headers, **{**HOT, **more})))
    served = name in ("another body", "another temperature", "another prompt version")  # as its own retry
    assert len(gate.provider.requests) == (2 if served else 3)
    assert third[1]["x-farthing-cache"] == ("idempotent" if served else "bypass")
    assert sum("retry" in r["saved_usd"] for r in f.rows(3)) == served


def test_a_first_try_that_bypasses_is_found_by_nobody(gate, farthing):
    connections = [ask(farthing, FIRST + "x-farthing-cache: bypass\r\n", **HOT)]
    eventually(lambda: gate.provider.requests, "the purchase")
    connections.append(ask(farthing, RETRY, **HOT))
    eventually(lambda: len(gate.provider.requests) == 2, "two purchases")
    gate.release()
    assert {parse(read_all(c))[1]["x-farthing-cache"] for c in connections} == {"bypass"}


def test_tenants_do_not_retry_for_each_other(provider, start):
    number(provider)
    f = start(extra=tenant("a", keys=2) + tenant("b"))
    body = question(**HOT)
    bought = f.post(body=body, headers={**retry(0), **key("a")})
    assert f.post(body=body, headers={**retry(), **key("b")}).cache == "bypass"
    mine = f.post(body=body, headers={**retry(), **key("a", 1)})  # the same tenant's other key
    assert (mine.cache, mine.body, len(provider.requests)) == ("idempotent", bought.body, 2)


# ------------------------------------------------------------- finished meanwhile

WAYS = {  # body, headers, route, words of the first and of its retry
    "hot": (HOT, {}, "", "bypass", "idempotent"),
    "cold": ({"temperature": 0}, {}, "", "miss", "hit"),
    "refresh": ({}, {"x-farthing-cache": "refresh"}, "", "miss", "hit"),
    "route without cache": ({}, {}, route(NO_CACHE), "bypass", "idempotent"),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_a_retry_gets_what_was_finished_meanwhile(provider, start, way, workers):
    more, headers, extra, word, retried = WAYS[way]
    number(provider)
    f = start(extra=extra, server=f"workers = {workers}")
    first = f.post(body=question(**more), headers={**headers, **retry(0)})
    again = f.post(body=other_spelling(**more), headers={**headers, **retry()})
    assert (first.cache, again.cache, again.body) == (word, retried, first.body)
    assert again.headers["x-farthing-saved-usd"] == first.headers["x-farthing-cost-usd"]
    stream = f.post(body=question(stream=True, **more), headers={**headers, **retry(2)})
    assert stream.cache == retried and b"[DONE]" in stream.body
    assert len(provider.requests) == 1
    bought = row_of(f, first)
    assert is_retry(row_of(f, again), bought, retried) and is_retry(row_of(f, stream), bought, retried)


@pytest.mark.parametrize("more", [{"temperature": 0}, HOT], ids=["cold", "hot"])
def test_the_window_of_a_retry(provider, start, more):
    """After it a hit is a hit, and what is not cached is bought."""
    number(provider)
    f = start(cache='retry_window = "1s"', extra='route "long" { match { features = {"long"} } '
              'retry_window = "1h" }\n')

    def ask_again(feature, count=1):
        headers = {"x-farthing-feature": feature, **retry(count)}
        return list(row_of(f, f.post(body=question(feature, **more), headers=headers))["saved_usd"])

    for feature in ("long", "short"):
        assert ask_again(feature, 0) == []
    after = ["cache"] if more != HOT else []
    eventually(lambda: ask_again("short") == after, "the end of the window")
    assert ask_again("long") == ["retry"]
    assert len(provider.requests) == (2 if more != HOT else 3)


def test_turned_off_a_retry_is_as_any_other(provider, start):
    number(provider)
    f = start(cache='retry_window = "0s"')
    for more, word in ((HOT, "bypass"), ({}, "hit")):
        f.post(body=question(**more), headers=retry(0))
        assert f.post(body=question(**more), headers=retry()).cache == word
    assert [r["saved_usd"] for r in f.rows(4) if r["saved_usd"]] == [{"cache": "0.0000033"}]


def test_with_a_key_the_key_decides(provider, farthing):
    number(provider)
    bought = farthing.post(body=question(**HOT), headers={"Idempotency-Key": "a", **retry(0)})
    again = farthing.post(body=question(**HOT), headers={"Idempotency-Key": "a", **retry()})
    assert (again.cache, again.body) == ("idempotent", bought.body)
    assert list(row_of(farthing, again)["saved_usd"]) == ["idempotency"]
    other = farthing.post(body=question(**HOT), headers={"Idempotency-Key": "b", **retry()})
    assert other.cache == "bypass" and len(provider.requests) == 2


# ------------------------------------------------------- what there is nothing to get of

def fail(status):
    return lambda r, c: reply(c, status, {"error": {"message": "no", "code": "c"}})


FAILURES = {"500": fail(500), "429": fail(429), "400": fail(400), "reset": lambda r, c: hang_up(c, reset=True)}


@pytest.mark.parametrize("more", [{"temperature": 0}, HOT], ids=["cold", "hot"])
@pytest.mark.parametrize("name", FAILURES)
def test_a_retry_of_what_failed_is_bought(provider, start, name, more):
    f = start(provider=NO_RETRY)
    provider.answer = FAILURES[name]
    assert f.post(body=question(**more), headers=retry(0)).status >= 400
    provider.answer = chat_answer
    again = f.post(body=question(**more), headers=retry())
    assert (again.status, len(provider.requests)) == (200, 2) and row_of(f, again)["saved_usd"] == {}


def test_a_retry_of_what_was_refused_is_bought(gate, start):
    f = start(extra=tenant("a", "concurrency = 1 queue = 0"))
    held = f.connect()
    held.sendall(http_request(question("held"), headers=CLOSE).replace(b"client-key", b"key-of-a"))
    eventually(lambda: gate.provider.requests, "the purchase that is in the way")
    refused = f.post(body=question(**HOT), headers={**retry(0), **key("a")})
    assert refused.json["error"]["code"] == "concurrency_limited"
    gate.release()
    read_all(held)
    again = f.post(body=question(**HOT), headers={**retry(), **key("a")})
    assert (again.status, again.cache, len(gate.provider.requests)) == (200, "bypass", 2)


def test_a_retry_takes_over_from_a_first_that_fails(gate, start):
    f = start(provider=NO_RETRY)
    gate.answers = [fail(500), lambda r, c: reply(c, body=chat("second"))]
    connections = [ask(f, FIRST, **HOT)]
    eventually(lambda: gate.provider.requests, "the purchase")
    connections += [ask(f, RETRY, **HOT) for _ in range(3)]
    following([f], 3)
    gate.release()
    answers = [parse(read_all(c)) for c in connections]
    assert [a[0] for a in answers] == [500, 200, 200, 200] and len(gate.provider.requests) == 2
    assert sorted(r["cache"] for r in f.rows(4)) == ["bypass"] * 2 + ["coalesced"] * 2


def test_a_stream_too_long_to_join_is_bought_again(gate, farthing):
    big = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"' + b"x" * 60000 + b'"}}]}\n\n'

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[1])
        for _ in range(30):  # 1.8 MB; 1 MiB may be joined
            connection.sendall(big)
        connection.sendall(chat_events(("the end",), False)[1])
        assert gate.go_on.wait(20)
        connection.sendall(b"".join(chat_events(include_usage=False)[-2:]))
        hang_up(connection)

    gate.answers = [answer]
    gate.begin.set()
    first = ask(farthing, FIRST, **HOT, stream=True)
    received = read_long(first)
    second = ask(farthing, RETRY, **HOT, stream=True)
    again = read_long(second)
    gate.go_on.set()
    assert parse(read_all(first, received))[2] == parse(read_all(second, again))[2]
    assert len(gate.provider.requests) == 2


# ------------------------------------------------------------------- clients that left

def test_without_a_word_the_first_is_cancelled_with_its_client(gate, farthing):
    first = ask(farthing, FIRST, **HOT)
    eventually(lambda: gate.provider.requests, "the purchase")
    first.close()
    assert farthing.rows()[0]["status"] == 499
    gate.release()
    assert farthing.post(body=question(**HOT), headers=retry()).cache == "bypass"
    assert len(gate.provider.requests) == 2


@pytest.mark.parametrize("policy", ["wait 15s", "finish"])
@pytest.mark.parametrize("form", FORMS)
def test_what_waits_for_a_retry_is_found(gate, start, policy, form):
    f = start(extra=route(f'on_client_gone = "{policy}"'))
    first = ask(f, FIRST, **HOT, **FORMS[form])
    eventually(lambda: gate.provider.requests, "the purchase")
    first.close()
    client_noticed_gone(f)
    second = ask(f, RETRY, **HOT, **FORMS[form])
    following([f], 1)
    gate.release()
    status, headers, body, whole = parse(read_all(second))
    assert (status, headers["x-farthing-cache"], whole) == (200, "coalesced", True) and b"Hello" in body
    third = f.post(body=question(**HOT, **FORMS[form]), headers=retry(2))
    assert third.cache == "idempotent" and len(gate.provider.requests) == 1
    rows = sorted(f.rows(3), key=lambda r: r["cache"])
    assert is_retry(rows[1], rows[0], "coalesced") and is_retry(rows[2], rows[0], "idempotent")


def test_a_first_that_reserves_hands_over_when_its_client_leaves(gate, start):
    """It has bought nothing yet, and its request is gone with its client. (Where the store gives
    up waiting before that, the first goes on; its retry is served either way.)"""
    f = start(extra=tenant("a", 'budget "daily" { amount = "1 usd" }'))

    def ask_a(headers):
        connection = f.connect()
        connection.sendall(http_request(question(max_tokens=9, **HOT), headers=CLOSE + headers)
                           .replace(b"client-key", b"key-of-a"))
        return connection

    with sqlite3.connect(f.directory / "data" / "farthing.db", isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")  # the store waits
        first = ask_a(FIRST)
        eventually(lambda: ("reserving", False) in open_figures(f) or gate.provider.requests, "the first that reserves")
        second = ask_a(RETRY)
        following([f], 1)
        first.close()
        gate.release()
        assert parse(read_all(second))[0] == 200 and len(gate.provider.requests) == 1
        db.execute("ROLLBACK")
    f.nothing_reserved()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_python_sdks_own_retry(gate, start, stream):
    """Its first try runs into the client's timeout, and the answer to its second is the first's."""
    f = start(extra=route('on_client_gone = "wait 15s"'))
    client = openai.OpenAI(base_url=f.url, api_key="k", max_retries=1, timeout=3)
    answers = []

    def create():
        answer = client.chat.completions.create(model="gpt-4o-mini", temperature=1, stream=stream,
                                                messages=[{"role": "user", "content": "hello"}])
        answers.append("".join(e.choices[0].delta.content or "" for e in answer) if stream
                       else answer.choices[0].message.content)

    thread = threading.Thread(target=create)
    thread.start()
    following([f], 1)  # it tries again
    gate.release()
    thread.join()
    assert answers == ["Hello there."] and len(gate.provider.requests) == 1
    rows = sorted(f.rows(2), key=lambda r: r["cache"])
    assert is_retry(rows[1], rows[0], "coalesced")
