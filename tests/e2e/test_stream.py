"""Streams: forwarded as they come, byte for byte; cut visibly; cancelled with their client."""
import json
import re
import threading
import time

import pytest

from harness import (USAGE, chat_events, chunk, eventually, free_port, hang_up, http_request, question, read_all,
                     read_until, reply, stream_answer, unchunk)

BYPASS = "x-farthing-cache: bypass\r\n"
ASKED = {"stream_options": {"include_usage": True}}


def stream_head(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")


def get_stream(farthing, body=None, headers=BYPASS + "Connection: close\r\n"):
    """The data of a streamed answer and whether it ended properly."""
    raw = farthing.raw(http_request(body or question(stream=True, **ASKED), headers=headers))
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], raw
    return unchunk(rest)


ODD = (b": a comment\n\n"
       b"event: message\r\nid: 7\r\n" + chunk({"content": "a"}).strip() + b"\r\n\r\n"
       + b"retry: 10\ndata:" + chunk({"content": "b"}, "stop")[6:]
       + b"\n\n: more\r\n\r\ndata: [DONE]\n\n")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100000])
def test_every_byte_is_forwarded_however_it_is_split(provider, farthing, size):
    def answer(_request, connection):
        stream_head(connection)
        for at in range(0, len(ODD), size):
            connection.sendall(ODD[at:at + size])
            if size > 2:
                time.sleep(0.001)  # so that pieces come apart; nothing depends on it
        hang_up(connection)

    provider.answer = answer
    data, whole = get_stream(farthing)
    assert data == ODD and whole


def test_events_are_not_held_back(provider, farthing):
    go_on = threading.Event()
    first, rest = chat_events()[0], b"".join(chat_events()[1:])

    def answer(_request, connection):
        stream_head(connection)
        connection.sendall(first)
        assert go_on.wait(20)
        connection.sendall(rest)
        hang_up(connection)

    provider.answer = answer
    with farthing.connect() as connection:
        connection.sendall(http_request(question(stream=True, **ASKED)))
        received = read_until(connection, first)  # while the provider waits
        assert 'farthing_inflight{tenant="default"} 1' in farthing.metrics()
        go_on.set()
        read_until(connection, b"[DONE]", received)
    eventually(lambda: 'farthing_inflight{tenant="default"} 0' in farthing.metrics(), "its end")


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("spelling", ["empty choices", "with choices", "cumulative", "none"])
def test_usage_in_every_spelling(provider, farthing, asked, spelling):
    growing = [{"prompt_tokens": 10, "completion_tokens": n, "total_tokens": 10 + n} for n in (1, 2, 3)]
    events = {
        "empty choices": chat_events(),
        "with choices": [chunk({"content": "x"}), chunk({}, "stop", usage=USAGE), b"data: [DONE]\n\n"],
        "cumulative": [chunk({"content": "x"}, "stop" if u is growing[-1] else None, usage=u)
                       for u in growing] + [b"data: [DONE]\n\n"],
        "none": chat_events(include_usage=False),
    }[spelling]
    provider.answer = stream_answer(events)
    data, whole = get_stream(farthing, question(stream=True, **(ASKED if asked else {})))
    swallowed = spelling == "empty choices" and not asked
    assert whole and data == b"".join(events[:-2] + events[-1:] if swallowed else events)
    row = farthing.rows()[0]
    if spelling == "none":
        assert row["usage_source"] == "estimated" and row["output_tokens"] > 0
        assert row["cost_usd"] is not None
    else:
        assert row["usage_source"] == "provider"
        assert (row["input_tokens"], row["output_tokens"]) == (10, 3)
    assert provider.requests[0].json["stream_options"]["include_usage"] is True


def test_what_the_client_said_of_stream_options_is_kept(provider, farthing):
    provider.answer = stream_answer(chat_events())
    get_stream(farthing, question(stream=True, stream_options={"include_obfuscation": False}))
    assert provider.requests[0].json["stream_options"] == {"include_obfuscation": False,
                                                           "include_usage": True}


def test_a_provider_that_ends_amid_an_event(provider, farthing):
    provider.answer = stream_answer(chat_events()[:2] + [b'data: {"id":"x","choi'])
    data, whole = get_stream(farthing)
    assert not whole and data.startswith(b"".join(chat_events()[:2]))
    last = data[len(b"".join(chat_events()[:2])):]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_error"
    assert farthing.rows()[0]["attempts"][0]["reason"] == "truncated"


@pytest.mark.parametrize("how", ["cut", "ended", "error event"])
def test_a_provider_that_dies_amid_its_stream(provider, farthing, how):
    events = chat_events()[:2]
    if how == "error event":
        events.append(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n')
    provider.answer = stream_answer(events, cut=how != "ended")
    for _ in range(2):  # and it is not kept
        data, whole = get_stream(farthing, question(stream=True), headers="")
        assert not whole and b"[DONE]" not in data
        assert data.startswith(b"".join(events[:2]))
        last = [line for line in data.split(b"\n") if line.startswith(b"data: ")][-1]
        assert json.loads(last[6:])["error"]["code"] == "upstream_error"
    assert len(provider.requests) == 2
    for row in farthing.rows(2):
        assert (row["success"], row["ended_by"], row["status"]) == (False, "provider", 200)
        assert row["error_code"] == "upstream_error" and row["usage_source"] == "estimated"


def test_a_stream_that_never_begins_is_tried_again(provider, farthing):
    attempts = []

    def answer(request, connection):
        attempts.append(1)
        if len(attempts) < 3:
            stream_head(connection)
            hang_up(connection)
        else:
            stream_answer(chat_events())(request, connection)

    provider.answer = answer
    data, whole = get_stream(farthing)
    assert whole and data == b"".join(chat_events())
    assert len(farthing.rows()[0]["attempts"]) == 3


def test_a_client_that_goes_away_cancels_the_purchase(provider, farthing):
    def answer(_request, connection):
        stream_head(connection)
        connection.sendall(chat_events()[1])
        while True:  # until the proxy hangs up
            time.sleep(0.02)
            connection.sendall(chunk({"content": "more"}))

    provider.answer = answer
    connection = farthing.connect()
    connection.sendall(http_request(question(stream=True)))
    read_until(connection, b"Hello")
    left = time.monotonic()
    connection.close()
    eventually(lambda: provider.gone, "cancelling")
    assert provider.gone[0] - left < 1  # the contract's second, not a matter of speed
    row = farthing.rows()[0]
    assert (row["status"], row["ended_by"], row["usage_source"]) == (499, "client", "estimated")
    assert row["success"] is False and row["output_tokens"] > 0 and row["cost_usd"] != "0"
    assert row["attempts"][0]["reason"] == "cancelled"


def test_a_client_that_hangs_up_at_done_has_all_of_it(provider, farthing):
    ends = threading.Event()

    def answer(_request, connection):
        stream_head(connection)
        connection.sendall(b"".join(chat_events()))
        ends.wait(20)  # its end comes later, as it does from many providers
        hang_up(connection)

    provider.answer = answer
    connection = farthing.connect()
    connection.sendall(http_request(question(stream=True)))
    read_until(connection, b"[DONE]\n\n")
    connection.close()
    row = farthing.rows()[0]
    ends.set()
    assert (row["status"], row["success"], row["usage_source"]) == (200, True, "provider")
    assert [a["reason"] for a in row["attempts"]] == ["ok"]
    assert farthing.post().cache == "hit"


def test_a_client_that_goes_away_before_the_first_byte(provider, farthing):
    provider.answer = lambda r, c: c.recv(1)  # until the proxy hangs up
    connection = farthing.connect()
    connection.sendall(http_request())
    eventually(lambda: provider.requests, "the request")
    connection.close()
    eventually(lambda: provider.gone, "cancelling")
    row = farthing.rows()[0]
    assert (row["status"], row["ended_by"]) == (499, "client")


def test_what_was_never_sent_costs_nothing_when_the_client_leaves(provider, start):
    provider.answer = lambda r, c: c.recv(1)  # until the proxy hangs up
    f = start(server="workers = 1", provider="max_inflight = 1")
    first, second = f.connect(), f.connect()
    first.sendall(http_request(question("first")))
    eventually(lambda: provider.requests, "the request")
    second.sendall(http_request(question("second" * 1000)))
    eventually(lambda: 'farthing_inflight{tenant="default"} 2' in f.metrics(), "the second in its queue")
    second.close()
    row = f.rows()[0]
    assert (row["ended_by"], row["cost_usd"], row["usage_source"]) == ("client", "0", None)
    first.close()
    assert f.rows(2)[0]["usage_source"] == "estimated"


def test_a_pause_after_an_attempt_that_failed_costs_nothing(start):
    f = start(f"http://127.0.0.1:{free_port()}/v1",
              provider='retry { attempts = 3 backoff = "1h" backoff_max = "1h" }')
    connection = f.connect()
    connection.sendall(http_request())
    eventually(lambda: 'farthing_inflight{tenant="default"} 1' in f.metrics(), "the request")
    connection.close()
    row = f.rows()[0]
    assert (row["ended_by"], row["cost_usd"], row["usage_source"]) == ("client", "0", None)


def test_the_time_of_a_cancelled_attempt_is_its_own(provider, farthing):
    def answer(_request, connection):
        if len(provider.requests) == 1:
            time.sleep(0.3)  # the first one's
            reply(connection, 500, {})
        else:
            connection.recv(1)

    provider.answer = answer
    connection = farthing.connect()
    connection.sendall(http_request())
    eventually(lambda: len(provider.requests) == 2, "the second attempt")
    connection.close()
    row = farthing.rows()[0]
    first, second = (a["latency_ms"] for a in row["attempts"])
    assert first >= 300 and first + second <= row["latency_ms"]


def test_a_purchase_may_be_finished_for_the_cache(provider, start):
    go_on = threading.Event()

    def answer(request, connection):
        assert go_on.wait(20)
        stream_answer(chat_events())(request, connection)

    provider.answer = answer
    f = start(extra='route "r" { on_client_gone = "finish" }')
    connection = f.connect()
    connection.sendall(http_request(question(stream=True)))
    eventually(lambda: provider.requests, "the request")
    connection.close()
    go_on.set()
    row = f.rows()[0]
    assert row["usage_source"] == "provider" and row["cost_usd"] == "0.000003"
    assert f.post().cache == "hit"


def test_a_client_that_leaves_amid_the_second_attempt_is_waited_for(provider, start):
    def answer(_request, connection):
        if len(provider.requests) == 1:
            reply(connection, 500, {})
        else:
            connection.recv(1)  # until the proxy hangs up

    provider.answer = answer
    f = start(extra='route "r" { on_client_gone = "wait 50ms" }')
    connection = f.connect()
    connection.sendall(http_request())
    eventually(lambda: len(provider.requests) == 2, "the second attempt")
    connection.close()
    row = f.rows()[0]
    assert row["ended_by"] == "client" and [a["reason"] for a in row["attempts"]] == ["status", "cancelled"]


def test_a_slow_reader_pauses_the_provider(provider, farthing):
    event = chunk({"content": "x" * 4000})
    total = 64 << 20
    sent = [0]

    def answer(_request, connection):
        stream_head(connection)
        while sent[0] < total:
            connection.sendall(event)
            sent[0] += len(event)
        connection.sendall(chunk({}, "stop") + b"data: [DONE]\n\n")
        hang_up(connection)

    provider.answer = answer
    before = rss(farthing)
    connection = farthing.connect()
    connection.sendall(http_request(question(stream=True, **ASKED), headers=BYPASS + "Connection: close\r\n"))
    read_until(connection, b"xxxx")

    def stalled():
        seen = sent[0]
        time.sleep(0.3)
        return sent[0] == seen
    eventually(stalled, "back-pressure")
    assert sent[0] < total / 2
    assert rss(farthing) - before < 8 << 20
    received = len(read_all(connection))  # and it goes on where it paused
    assert received > total - (1 << 20)
    connection.close()
    assert farthing.rows()[0]["success"] is True


def rss(farthing):
    status = open(f"/proc/{farthing.process.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024


def test_the_summary_is_a_comment_before_done(provider, start):
    provider.answer = stream_answer(chat_events())
    f = start(extra='route "r" { stream_summary = true }')
    data, whole = get_stream(f, headers="Connection: close\r\n")
    lines = data.split(b"\n\n")
    assert whole and lines[-2] == b"data: [DONE]" and lines[-3].startswith(b": farthing ")
    summary = json.loads(lines[-3].removeprefix(b": farthing "))
    assert summary["cost_usd"] == f.rows()[0]["cost_usd"] == "0.000003"
    again = f.post(body=question(stream=True, **ASKED))  # from the cache too
    lines = again.body.split(b"\n\n")
    assert again.cache == "hit" and lines[-2] == b"data: [DONE]"
    summary = json.loads(lines[-3].removeprefix(b": farthing "))
    assert (summary["cost_usd"], summary["cache"]) == ("0", "hit")


def test_a_stream_for_an_old_client_ends_with_the_connection(provider, farthing):
    provider.answer = stream_answer(chat_events())
    raw = farthing.raw(http_request(question(stream=True, **ASKED)).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower() and body == b"".join(chat_events())


def test_a_server_that_ignores_stream(provider, farthing):
    provider.answer = lambda r, c: reply(c, body={
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"},
                     "finish_reason": "stop"}]})
    answer = farthing.post(body=question(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n") and b'"Hi"' in answer.body


def test_many_streams_at_once(provider, farthing):
    provider.answer = stream_answer(chat_events(), pause=0.002)
    results = []

    def run(i):
        results.append(get_stream(farthing, question(str(i), stream=True, **ASKED)))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(60)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [(b"".join(chat_events()), True)] * 60
    assert len(farthing.rows(60)) == 60


def test_the_answers_of_the_responses_api_as_a_stream(provider, farthing):
    def event(kind, **more):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    response = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o-mini",
                "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                            "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
                "usage": {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}}
    events = [event("response.created", response={**response, "status": "in_progress", "output": []}),
              event("response.output_text.delta", item_id="m", output_index=0, content_index=0, delta="Hi"),
              event("response.completed", response=response)]
    provider.answer = stream_answer(events)
    raw = farthing.raw(http_request({"model": "openai/gpt-4o-mini", "input": "x", "stream": True},
                                    path="/v1/responses", headers="Connection: close\r\n"))
    assert unchunk(raw.partition(b"\r\n\r\n")[2]) == (b"".join(events), True)
    assert farthing.rows()[0]["output_tokens"] == 3
    again = farthing.post("/responses", {"model": "openai/gpt-4o-mini", "input": "x"})
    assert again.cache == "hit" and again.json == response
