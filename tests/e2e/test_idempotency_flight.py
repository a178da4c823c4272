"""Idempotency-Key while its purchase runs: who attaches, who leaves, who takes over."""
import json
import threading

import pytest

from gates import CLOSE, ask, following, parse
from harness import (chat, chat_answer, chat_events, chunk, endpoint_answer, eventually, hang_up, http_request,
                     question, read_all, read_until, reply, stream_answer)
from test_idempotency import (FORMS, HOT, NO_RETRY, client_noticed_gone, error, idle, is_replay, lines, named,
                              number, route)


# ----------------------------------------------------------------- while it runs

@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("second", FORMS)
@pytest.mark.parametrize("first", FORMS)
def test_the_second_attaches(gate, start, first, second, workers):
    f = start(server=f"workers = {workers}")
    connections = [ask(f, lines(), **HOT, **FORMS[first])]
    eventually(lambda: gate.provider.requests, "the purchase")
    received = [b"", b""]
    live = first == second != "whole"
    gate.begin.set()
    if first != "whole":
        received[0] = read_until(connections[0], b"Hello")
    connections.append(ask(f, lines(), **HOT, **FORMS[second]))
    if live:
        received[1] = read_until(connections[1], b"Hello")  # from its beginning, while the provider waits
    following([f], 1)
    gate.go_on.set()
    answers = [parse(read_all(c, r)) for c, r in zip(connections, received)]
    for form, (status, _, body, whole) in zip((first, second), answers):
        assert status == 200 and whole
        if form == "whole":
            assert json.loads(body)["choices"][0]["message"]["content"] == "Hello there."
        else:
            assert body.endswith(b"data: [DONE]\n\n") and b"Hello" in body
            assert (b'"completion_tokens"' in body) == (form == "usage")
    if first == second:
        assert answers[0][2] == answers[1][2]
    assert [a[1]["x-farthing-cache"] for a in answers] == ["bypass", "idempotent"]
    assert len(gate.provider.requests) == 1
    rows = sorted(f.rows(2), key=lambda r: r["cache"])
    assert is_replay(rows[1], rows[0])
    assert f.post(body=question(**HOT, **FORMS[second]), headers=named()).cache == "idempotent"


def test_twenty_at_once_are_one_purchase(gate, start):
    f = start(server="workers = 2")
    forms = list(FORMS.values())
    connections = [ask(f, lines(), **HOT, **forms[i % 3]) for i in range(20)]
    following([f], 19)
    gate.release()
    assert {parse(read_all(c))[0] for c in connections} == {200}
    assert len(gate.provider.requests) == 1
    rows = f.rows(20)
    assert sorted(r["cache"] for r in rows) == ["bypass"] + ["idempotent"] * 19
    assert sum("idempotency" in r["saved_usd"] for r in rows) == 19


def test_many_without_order_are_one_purchase_a_key(provider, start):
    """However they meet: before, while, or after the purchase of their key."""
    number(provider)
    f = start(server="workers = 2")
    answers = {}

    def post(i):
        answers[i] = f.post(body=question(**HOT), headers=named(f"key {i % 8}"))

    threads = [threading.Thread(target=post, args=(i,)) for i in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 64 and {a.status for a in answers.values()} == {200}
    assert len({(i % 8, a.body) for i, a in answers.items()}) == 8 == len(provider.requests)
    assert sum(r["cache"] == "idempotent" for r in f.rows(64)) == 56


def test_with_a_key_and_without_are_one_purchase_where_the_cache_shares(gate, farthing):
    connections = [ask(farthing)]
    eventually(lambda: gate.provider.requests, "the purchase")
    connections += [ask(farthing, lines("a")), ask(farthing, lines("b"), stream=True)]
    following([farthing], 2)
    gate.release()
    assert {parse(read_all(c))[0] for c in connections} == {200} and len(gate.provider.requests) == 1
    rows = farthing.rows(3)
    assert sorted(r["cache"] for r in rows) == ["coalesced", "coalesced", "miss"]
    for name in ("a", "b"):
        assert farthing.post(headers=named(name)).cache == "idempotent"
    assert len(gate.provider.requests) == 1


def test_who_takes_over_keeps_each_to_its_form(gate, start):
    """A stream's followers live are given the events that they asked for, whoever buys."""
    f = start(provider=NO_RETRY)
    stream = stream_answer(chat_events())
    gate.answers = [lambda r, c: reply(c, 500, {"error": {"message": "bad luck"}}), stream]
    gate.release()
    for n, (led, usage) in enumerate([({}, "usage"), ({"temperature": 0}, "stream")]):
        gate.begin.clear()
        del gate.provider.requests[:]
        name, other = f"k {n}", "stream" if usage == "usage" else "usage"
        connections = [ask(f, lines(name), **{**HOT, **led}, **FORMS[usage])]
        eventually(lambda: gate.provider.requests, "the purchase")
        for form in (other, usage):
            connections.append(ask(f, lines(name), **{**HOT, **led}, **FORMS[form]))
            following([f], len(connections) - 1)
        gate.begin.set()
        answers = [parse(read_all(c)) for c in connections]
        assert [a[0] for a in answers] == [500, 200, 200] and len(gate.provider.requests) == 2
        for form, (_, _, body, _) in zip((other, usage), answers[1:]):
            assert (b'"completion_tokens"' in body) == (form == "usage") and b"[DONE]" in body


@pytest.mark.parametrize("more", [{"temperature": 0}, HOT], ids=["cold", "hot"])
def test_what_names_the_sender_is_given_back_to_him(gate, farthing, more):
    gate.answers = [lambda r, c: gate.go_on.wait(20) and reply(c, body={
        **endpoint_answer(r.target, (10, 3)), "metadata": {"order": "7"}, "user": "u1"})]
    body = {"model": "openai/gpt-4o-mini", "input": "hello", "metadata": {"order": "7"}, **more}
    request = http_request(body, "/v1/responses", CLOSE + lines())
    connections = [farthing.connect() for _ in range(2)]
    connections[0].sendall(request)
    eventually(lambda: gate.provider.requests, "the purchase")
    connections[1].sendall(request)
    following([farthing], 1)
    gate.release()
    bodies = [parse(read_all(c))[2] for c in connections]
    bodies.append(farthing.post("/responses", body, named()).body)
    assert json.loads(bodies[0])["metadata"] == {"order": "7"} and len(set(bodies)) == 1
    assert len(gate.provider.requests) == 1


# ------------------------------------------------------------- clients that leave

@pytest.mark.parametrize("form", FORMS)
def test_the_purchase_goes_on_without_its_client(gate, farthing, form):
    first = ask(farthing, lines(), **HOT, **FORMS[form])
    eventually(lambda: gate.provider.requests, "the purchase")
    if form != "whole":
        gate.begin.set()
        read_until(first, b"Hello")
    first.close()
    client_noticed_gone(farthing)
    gate.release()
    row = farthing.rows()[0]
    assert (row["status"], row["success"], row["output_tokens"]) == (200, True, 3)
    again = farthing.post(body=question(**HOT, **FORMS[form]), headers=named())
    assert (again.status, again.cache, len(gate.provider.requests)) == (200, "idempotent", 1)
    assert is_replay(farthing.rows(2)[1], row)


def test_who_comes_back_attaches(gate, farthing):
    first = ask(farthing, lines(), **HOT, stream=True)
    gate.begin.set()
    read_until(first, b"Hello")
    first.close()
    client_noticed_gone(farthing)
    second = ask(farthing, lines(), **HOT, stream=True)
    received = read_until(second, b"Hello")
    second.close()  # it, too
    client_noticed_gone(farthing)
    third = ask(farthing, lines(), **HOT, stream=True)
    received = read_until(third, b"Hello")
    gate.go_on.set()
    status, headers, body, whole = parse(read_all(third, received))
    assert (status, headers["x-farthing-cache"], whole) == (200, "idempotent", True)
    assert body == b"".join(chat_events(include_usage=False)) and len(gate.provider.requests) == 1
    assert [r["status"] for r in farthing.rows(3)].count(499) == 1


def test_on_client_gone_cancel(gate, start):
    f = start(extra=route('on_client_gone = "cancel"'))
    first = ask(f, lines(), **HOT)
    eventually(lambda: gate.provider.requests, "the purchase")
    first.close()
    assert f.rows()[0]["status"] == 499
    gate.release()
    assert f.post(body=question(**HOT), headers=named()).cache == "bypass"
    assert len(gate.provider.requests) == 2


def test_on_client_gone_wait(gate, start):
    f = start(extra=route('on_client_gone = "wait 2s"'))
    first = ask(f, lines("a"), **HOT)
    eventually(lambda: gate.provider.requests, "the purchase")
    first.close()
    client_noticed_gone(f)
    second = ask(f, lines("a"), **HOT)  # comes back in time
    following([f], 1)
    nobody = ask(f, lines("b"), **HOT)
    eventually(lambda: len(gate.provider.requests) == 2, "the other purchase")
    nobody.close()
    row = f.rows()[0]  # nobody came back for it; by then the time of the first is over, too
    assert (row["status"], row["ended_by"], row["latency_ms"] >= 1900) == (499, "client", True)
    gate.release()
    assert parse(read_all(second))[0] == 200
    assert len(gate.provider.requests) == 2
    assert sorted(r["cache"] for r in f.rows(3)[1:]) == ["bypass", "idempotent"]


def test_a_whole_stream_is_kept_though_its_provider_goes_on(gate, start):
    """[DONE] has come, the client has gone, and the provider does not end its body."""
    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[1])
        assert gate.go_on.wait(20)
        connection.sendall(b"".join(chat_events()[2:]))

    f = start(extra=route('on_client_gone = "wait 1500ms"'))
    gate.answers = [answer]
    first = ask(f, lines(), **HOT, stream=True)
    gate.begin.set()
    read_until(first, b"Hello")
    first.close()
    client_noticed_gone(f)
    gate.go_on.set()
    assert f.rows()[0]["status"] == 200
    assert f.post(body=question(**HOT), headers=named()).cache == "idempotent"


# ---------------------------------------------------- errors, and streams that are too long

def test_those_who_wait_get_the_stored_error(gate, farthing):
    gate.answers = [error(400)]
    connections = [ask(farthing, lines(), **HOT, **form) for form in FORMS.values()]
    following([farthing], 2)
    gate.release()
    assert {parse(read_all(c))[0] for c in connections} == {400} and len(gate.provider.requests) == 1
    assert farthing.post(body=question(**HOT), headers=named()).cache == "idempotent"


def test_one_of_those_who_wait_buys_when_the_first_failed(gate, start):
    f = start(provider=NO_RETRY)
    gate.answers = [error(500), lambda r, c: reply(c, body=chat("second"))]
    connections = [ask(f, lines(), **HOT) for _ in range(6)]
    following([f], 5)
    gate.release()
    answers = [parse(read_all(c)) for c in connections]
    assert sorted(a[0] for a in answers) == [200] * 5 + [500] and len(gate.provider.requests) == 2
    assert sorted(r["cache"] for r in f.rows(6)) == ["bypass"] * 2 + ["idempotent"] * 4
    assert b"second" in f.post(body=question(**HOT), headers=named()).body
    assert len(gate.provider.requests) == 2


def test_a_stream_that_breaks_is_not_stored(gate, farthing):
    def broken(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[1])
        assert gate.go_on.wait(20)
        hang_up(connection)

    gate.answers = [broken, stream_answer(chat_events())]
    first = ask(farthing, lines(), **HOT, stream=True)
    gate.begin.set()
    received = [read_until(first, b"Hello")]
    second = ask(farthing, lines(), **HOT, stream=True)
    received.append(read_until(second, b"Hello"))
    gate.go_on.set()
    for connection, so_far in zip((first, second), received):
        raw = read_all(connection, so_far)
        assert b'"code":"upstream_error"' in raw and b"[DONE]" not in raw
    again = farthing.post(body=question(**HOT, stream=True), headers=named())
    assert again.cache == "bypass" and again.body.endswith(b"[DONE]\n\n") and len(gate.provider.requests) == 2


def test_a_stream_that_ends_early_and_says_so_is_whole_to_all(gate, farthing):
    usage = {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}
    said = [{"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
            {"type": "response.output_text.delta", "delta": "Hello"},
            {"type": "response.incomplete", "response": {
                "id": "r", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
                "output": [], "usage": usage}}]
    events = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in said]

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + b"".join(events[:2]))
        assert gate.go_on.wait(20)
        connection.sendall(events[2])
        hang_up(connection)

    gate.answers = [answer]
    gate.begin.set()
    request = http_request({"model": "openai/gpt-4o-mini", "input": "hello", "stream": True}, "/v1/responses",
                           CLOSE + lines())
    connections, received = [], []
    for _ in range(2):
        connections.append(farthing.connect())
        connections[-1].sendall(request)
        received.append(read_until(connections[-1], b"Hello"))
    gate.go_on.set()
    bodies = [parse(read_all(c, r))[2:] for c, r in zip(connections, received)]
    assert bodies == [(b"".join(events), True)] * 2 and len(gate.provider.requests) == 1


BIG = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"' + b"x" * 60000 + b'"}}]}\n\n'


def read_long(connection, mark=b"the end"):
    """read_until() for megabytes."""
    pieces, tail = [], b""
    while mark not in tail:
        pieces.append(connection.recv(1 << 20))
        assert pieces[-1], "closed before the mark"
        tail = tail[-len(mark):] + pieces[-1]
    return b"".join(pieces)


def long_stream(gate, count):
    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[1])
        for _ in range(count):
            connection.sendall(BIG)
        connection.sendall(chunk({"content": "the end"}))
        assert gate.go_on.wait(20)
        connection.sendall(b"".join(chat_events(include_usage=False)[-2:]))
        hang_up(connection)
    return answer


def test_a_long_stream_is_kept_from_its_beginning(gate, farthing):
    gate.answers = [long_stream(gate, 50)]  # 3 MB: more than is kept for who has no key
    gate.begin.set()
    first = ask(farthing, lines(), **HOT, stream=True)
    received = read_long(first)
    second = ask(farthing, lines(), **HOT, stream=True)
    again = read_long(second)
    gate.go_on.set()
    bodies = [parse(read_all(c, r))[2] for c, r in ((first, received), (second, again))]
    assert bodies[0] == bodies[1] and bodies[1].count(BIG) == 50 and len(gate.provider.requests) == 1
    assert farthing.post(body=question(**HOT), headers=named()).cache == "idempotent"


def test_what_is_too_long_to_be_kept_is_said_to_run(gate, farthing):
    gate.answers = [long_stream(gate, 300), chat_answer]  # 18 MB of 16 MiB
    gate.begin.set()
    first = ask(farthing, lines(), **HOT, stream=True)
    received = read_long(first)
    for form in FORMS.values():
        late = farthing.post(body=question(**HOT, **form), headers=named())
        assert (late.status, late.json["error"]["code"]) == (409, "idempotency_in_progress")
        assert int(late.headers["Retry-After"]) > 0 and late.headers["x-should-retry"] is None
    assert farthing.post(body=question("other"), headers=named()).status == 422
    gate.go_on.set()
    assert parse(read_all(first, received))[2].count(BIG) == 300
    assert len(gate.provider.requests) == 1
    idle(farthing)
    # The whole answer is over max_entry: it was gone with its stream.
    assert farthing.post(body=question(**HOT), headers=named()).cache == "bypass"
    assert [r["status"] for r in farthing.rows(6)].count(409) == 3
