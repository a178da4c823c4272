"""Bad days of providers: a clear error to the client, one row, no leak, no crash.

The fixture that starts the proxy asks it to end at each test's end and looks at
how it did: under the sanitizers a leak or a bad access fails the test.
"""
import gzip
import json
import socket
import struct
import threading

import pytest

from harness import (Provider, chat, chat_answer, eventually, free_port, hang_up, http_request, question, reply,
                     stream_answer, chat_events)


def raw(data, then=hang_up):
    def answer(_request, connection):
        connection.sendall(data)
        if then:
            then(connection)
    return answer


BODY = json.dumps(chat()).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LONG = b"Content-Length: %d\r\n\r\n" % (len(BODY) + 10)

FAULTS = {
    "hangs up at once": (raw(b""), 502, "upstream_error", {"reset"}),
    "half a head": (raw(b"HTTP/1.1 200 OK\r\nContent-"), 502, "upstream_error", None),
    "not HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), 502, "upstream_error", {"bad_answer"}),
    "binary noise": (raw(bytes(range(256)) * 4), 502, "upstream_error", {"bad_answer"}),
    "a status that is none": (raw(b"HTTP/1.1 abc\r\n\r\n"), 502, "upstream_error", {"bad_answer"}),
    "an endless head": (raw(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 400000), 502, "upstream_error", None),
    "garbage instead of JSON": (raw(OK + b"Content-Length: 5\r\n\r\n<html"), 502, "upstream_error",
                                {"not_json"}),
    "half of the JSON": (raw(OK + b"Content-Length: 20\r\n\r\n" + BODY[:20]), 502, "upstream_error",
                         {"not_json"}),
    "no object": (raw(OK + b"Content-Length: 2\r\n\r\n[]"), 502, "upstream_error", {"not_json"}),
    "an empty body": (raw(OK + b"Content-Length: 0\r\n\r\n"), 502, "upstream_error", {"not_json"}),
    "a body that is cut": (raw(OK + LONG + BODY), 502, "upstream_error", {"truncated"}),
    "a chunk that is cut": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + BODY), 502,
                            "upstream_error", None),
    "chunks that are none": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), 502,
                             "upstream_error", None),
    "gzip that is none": (raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"), 502,
                          "upstream_error", None),
    "an error in a 200": (raw(OK + b"\r\n"
                              b'{"error":{"message":"bad luck","code":null}}'), 502, "upstream_error",
                          {"error_in_200"}),
    "slow to the first byte": (raw(b"", then=None), 504, "upstream_timeout", {"first_byte_timeout"}),
    "slow amid the body": (raw(OK + LONG + BODY[:20], then=None), 504, "upstream_timeout",
                           {"idle_timeout"}),
    "a redirect to elsewhere": (raw(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                                    b"Content-Length: 0\r\n\r\n"), None, None, None),
    "a HEAD flood": (raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + b"nonsense"), 502, "upstream_error", None),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULTS)
def test_faults(provider, start, name, stream):
    answer, status, code, reasons = FAULTS[name]
    provider.answer = answer
    f = start(provider.url, provider='first_byte_timeout = "500ms" idle_timeout = "500ms" '
                                     'retry { attempts = 2 backoff = "1ms" }')
    got = f.post(body=question(stream=stream))
    if status is None:  # a redirect is never followed, and no answer
        assert got.status >= 300
    else:
        assert got.status == status and got.json["error"]["code"] == code
        assert got.json["error"]["message"].startswith("The provider openai")
    row = f.rows()[0]
    assert row["status"] == got.status and row["success"] is False and row["ended_by"] == "provider"
    assert row["cache"] == "miss" and row["cost_usd"] == "0" and row["usage_source"] is None
    assert len(row["attempts"]) == len(provider.requests) <= 2
    if reasons:
        assert {a["reason"] for a in row["attempts"]} == reasons
    provider.answer = chat_answer  # nothing of it stays
    assert f.post(body=question("again", stream=stream)).status == 200
    assert len(f.rows(2)) == 2


def test_a_body_longer_than_announced(provider, farthing):
    provider.answer = raw(OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"HTTP/1.1 500 No\r\n\r\n")
    for i in range(3):  # what follows is nobody's answer
        got = farthing.post(body=question(str(i)))
        assert got.status == 200 and got.body == BODY
    assert [r["success"] for r in farthing.rows(3)] == [True] * 3


def test_the_connection_is_refused(start):
    f = start(f"http://127.0.0.1:{free_port()}/v1")
    got = f.post()
    assert got.status == 502 and got.json["error"]["code"] == "upstream_error"
    row = f.rows()[0]
    assert [a["reason"] for a in row["attempts"]] == ["connect_failed"] * 3
    assert row["cost_usd"] == "0" and row["retry_cost_usd"] == "0"


def test_the_name_is_unknown(start):
    f = start("http://no-such-host.invalid/v1")
    assert f.post().status == 502
    assert f.rows()[0]["attempts"][0]["reason"] == "connect_failed"


def test_the_connection_is_reset(provider, farthing):
    provider.answer = lambda r, c: hang_up(c, reset=True)
    assert farthing.post().status == 502
    assert {a["reason"] for a in farthing.rows()[0]["attempts"]} == {"reset"}


def test_half_closed_providers_are_heard_out(provider, farthing):
    def answer(_request, connection):
        connection.sendall(OK + b"\r\n" + BODY)  # its end is the connection's
        connection.shutdown(socket.SHUT_WR)

    provider.answer = answer
    got = farthing.post()
    assert got.status == 200 and got.body == BODY


def test_a_gzip_answer(provider, farthing):
    packed = gzip.compress(BODY)
    provider.answer = lambda r, c: reply(c, body=packed, headers={"Content-Encoding": "gzip"})
    got = farthing.post()
    assert got.status == 200 and got.body == BODY and got.headers["content-encoding"] is None
    assert farthing.post().body == BODY


def test_a_gzip_bomb(provider, farthing):
    bomb = gzip.compress(b"0" * (256 << 20))
    provider.answer = lambda r, c: reply(c, body=bomb, headers={"Content-Encoding": "gzip"})
    got = farthing.post()
    assert got.status == 502 and got.json["error"]["code"] == "upstream_error"
    assert len(farthing.rows()) == 1
    peak = [line for line in open(f"/proc/{farthing.process.pid}/status") if line.startswith("VmHWM")][0]
    assert int(peak.split()[1]) < (512 << 10)  # 64 MiB are read of it, twice that while it grows


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_end(provider, farthing, status):
    def answer(_request, connection):
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n\r\n" % status)
        while True:  # until the proxy hangs up
            connection.sendall(b"0" * 1000000)

    provider.answer = answer
    assert farthing.post().status == 502
    row = farthing.rows()[0]
    assert [a["reason"] for a in row["attempts"]] == ["too_large"] and row["ended_by"] == "provider"


def test_an_event_that_is_too_large(provider, farthing):
    def answer(_request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[0])
        connection.sendall(b"data: " + b"x" * (9 << 20))
        connection.recv(1)

    provider.answer = answer
    got = farthing.post(body=question(stream=True))
    assert got.cut and b"too large" in got.body
    assert [a["reason"] for a in farthing.rows()[0]["attempts"]] == ["too_large"]


@pytest.mark.parametrize("body", [{"moved": True}, b""])
def test_a_redirect_is_no_answer(provider, farthing, body):
    provider.answer = lambda r, c: reply(c, 307, body, {"Location": "http://127.0.0.1:1/"})
    got = farthing.post()
    assert got.status == 502 and "redirect" in got.json["error"]["message"] and got.headers["location"] is None
    row = farthing.rows()[0]
    assert (row["success"], row["cost_usd"], row["ended_by"]) == (False, "0", "provider")


def test_a_failure_is_tried_again_and_shown(provider, farthing):
    statuses = iter([500, 429, 200])

    def answer(_request, connection):
        status = next(statuses)
        reply(connection, status, chat() if status == 200 else {"error": {"message": "busy"}})

    provider.answer = answer
    got = farthing.post()
    assert got.status == 200 and got.headers["x-farthing-attempts"] == "3"
    row = farthing.rows()[0]
    assert [a["status"] for a in row["attempts"]] == [500, 429, 200]
    assert [a["reason"] for a in row["attempts"]] == ["status", "status", "ok"]
    assert [a["cost_usd"] for a in row["attempts"]] == ["0", "0", "0.0000033"]
    assert row["success"] is True


@pytest.mark.parametrize("headers,expected", [
    ({"Retry-After": "3600"}, 1), ({"x-should-retry": "false"}, 1), ({"retry-after-ms": "1"}, 3), ({}, 3)])
def test_what_a_provider_says_about_trying_again(provider, farthing, headers, expected):
    provider.answer = lambda r, c: reply(c, 503, {"error": {"message": "busy"}}, headers)
    got = farthing.post()
    assert got.status == 503 and len(provider.requests) == expected
    for name, value in headers.items():
        assert got.headers[name] == value


def test_a_deadline_ends_the_attempts(provider, farthing):
    provider.answer = lambda r, c: None
    got = farthing.post(headers={"x-farthing-deadline-ms": "100"})
    assert got.status == 504 and farthing.rows()[0]["ended_by"] == "deadline"
    assert "deadline of 100 ms" in got.json["error"]["message"]
    wrong = farthing.post(headers={"x-farthing-deadline-ms": "soon"})
    assert wrong.status == 400


@pytest.mark.parametrize("headers,ender", [({"x-farthing-deadline-ms": "1000"}, "deadline"), ({}, "provider")])
def test_a_stream_that_takes_too_long(provider, start, headers, ender):
    f = start(provider.url, provider='idle_timeout = "%s"' % ("20s" if headers else "100ms"))

    def answer(_request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[0])
        connection.recv(1)  # until the proxy hangs up

    provider.answer = answer
    got = f.post(body=question(stream=True), headers=headers)
    row = f.rows()[0]
    assert got.cut and b'"upstream_timeout"' in got.body
    assert (row["ended_by"], row["error_code"]) == (ender, "upstream_timeout")


def test_max_inflight_of_a_provider(provider, start):
    running, most, lock = [0], [0], threading.Lock()
    go_on = threading.Event()

    def answer(request, connection):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go_on.wait(20)
        with lock:
            running[0] -= 1
        chat_answer(request, connection)

    provider.answer = answer
    f = start(server="workers = 1", provider="max_inflight = 2")
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(f.post(body=question(str(i))).status))
               for i in range(6)]
    for t in threads:
        t.start()
    eventually(lambda: running[0] == 2, "two at once")
    go_on.set()
    for t in threads:
        t.join()
    assert results == [200] * 6 and most[0] == 2


def test_other_paths_pass_through_unread(provider, farthing):
    blob = bytes(range(256)) * 100
    provider.answer = lambda r, c: reply(c, 201, blob, {"x-request-id": "r"}, "application/octet-stream")
    got = farthing.post("/files?purpose=x", body=blob, headers={"Content-Type": "application/octet-stream"})
    assert (got.status, got.body, got.headers["x-request-id"]) == (201, blob, "r")
    assert provider.requests[0].target == "/v1/files?purpose=x" and provider.requests[0].body == blob
    row = farthing.rows()[0]
    assert (row["status"], row["cost_usd"], row["endpoint"]) == (201, "0", "other")


def test_what_is_done_twice_if_tried_twice_is_not(provider, farthing):
    provider.answer = lambda r, c: reply(c, 500, {})
    assert farthing.post("/batches", {}).status == 500 and len(provider.requests) == 1
    provider.answer = lambda r, c: reply(c, 503, {})
    assert farthing.post("/batches", {}).status == 503 and len(provider.requests) == 4


def test_a_compressed_body_passes_with_its_coding(provider, farthing):
    provider.answer = lambda r, c: reply(c, body={})
    packed = gzip.compress(b"{}")
    farthing.post("/files", body=packed, headers={"Content-Encoding": "gzip"})
    assert provider.requests[0].headers["content-encoding"] == "gzip" and provider.requests[0].body == packed


def test_what_passes_through_has_one_model_too(provider, farthing):
    got = farthing.post("/images/generations", b'{"model":"openai/gpt-4o-mini","model":"x"}')
    assert got.status == 400 and got.json["error"]["param"] == "model" and provider.requests == []


@pytest.mark.parametrize("picture", ["eA==", "x" * (3 << 20)], ids=["small", "large"])
def test_the_usage_of_a_stream_that_passes_through(provider, start, picture):
    f = start(models='model "openai/picture" { input_price = "5 usd" output_price = "40 usd" }')
    last = {"type": "image_generation.completed", "b64_json": picture,
            "usage": {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}}
    event = b"event: image_generation.completed\ndata: " + json.dumps(last).encode() + b"\n\n"
    provider.answer = stream_answer([b": begun\n\n", event])
    got = f.post("/images/generations", {"model": "openai/picture", "prompt": "x", "stream": True})
    assert got.body == b": begun\n\n" + event
    row = f.rows()[0]
    assert (row["output_tokens"], row["cost_usd"], row["usage_source"]) == (100, "0.00405", "provider")


def test_a_passed_through_answer_that_is_cut(provider, farthing):
    provider.answer = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    got = farthing.post("/files", body=b"x", headers={"Content-Type": "text/plain"})
    assert got.cut and got.body == b"abc"
    row = farthing.rows()[0]
    assert row["success"] is False and row["error_code"] == "upstream_error"


def test_clients_that_cut_their_connections_leave_a_row_each(provider, farthing):
    held = threading.Event()

    def answer(request, connection):
        held.wait(20)
        chat_answer(request, connection)

    provider.answer = answer
    connections = []
    for i in range(20):
        connection = farthing.connect()
        connection.sendall(http_request(question(str(i), stream=i % 2 == 0)))
        connections.append(connection)
    eventually(lambda: len(provider.requests) == 20, "all requests")
    for i, connection in enumerate(connections):
        if i % 3 == 0:  # a reset, not an end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    rows = farthing.rows(20)
    held.set()
    assert len({r["request_id"] for r in rows}) == 20 and {r["status"] for r in rows} == {499}


def test_a_price_that_is_half_known_is_none(provider, start):
    f = start(models='model "openai/own" { input_price = "1 usd" }')
    assert f.post(body=question(model="openai/own")).status == 200
    assert f.rows()[0]["cost_usd"] is None


def test_the_head_of_a_stream_counts_its_attempts(provider, farthing):
    def answer(request, connection):
        if len(provider.requests) == 1:
            reply(connection, 500, {})
        else:
            chat_answer(request, connection)

    provider.answer = answer
    assert farthing.post(body=question(stream=True)).headers["x-farthing-attempts"] == "2"
    assert len(farthing.rows()[0]["attempts"]) == 2


def test_a_hit_names_the_model_as_its_purchase_did(provider, start):
    f = start(models='model "openai/own" { upstream_model = "gpt-4o-mini" }')
    names = {f.post(body=question(model="openai/own")).headers["x-farthing-model"] for _ in range(2)}
    assert names == {"openai/gpt-4o-mini"}


def test_unknown_models_have_no_price_and_one_warning(provider, start):
    f = start(models="")
    for i in range(3):
        assert f.post(body=question(str(i), model="house-model")).status == 200
    assert [r["cost_usd"] for r in f.rows(3)] == [None] * 3
    assert f.log().count("house-model") == 1
    assert "farthing_unpriced_requests_total" in f.metrics()


def test_anthropics_other_paths_go_to_who_speaks_them(provider, start):
    other = Provider(lambda r, c: reply(c, body={"input_tokens": 3}))
    f = start(models="", extra='provider "claude" { dialect = "anthropic" '
                               f'base_url = "{other.url}" api_key = "k" }}')
    f.post("/messages/count_tokens", {"model": "claude-x", "messages": []})
    f.post("/messages/batches", {"requests": []})
    assert [r.target for r in other.requests] == ["/v1/messages/count_tokens", "/v1/messages/batches"]
    assert provider.requests == []
    other.close()


def test_two_providers_do_not_mix(provider, start):
    other = Provider(lambda r, c: reply(c, body=chat("from the other")))
    f = start(extra=f'provider "other" {{ base_url = "{other.url}" api_key = "other-key" }}\n'
                    'model "other/m" { input_price = "1 usd" output_price = "1 usd" }')
    assert f.post(body=question(model="other/m")).json["choices"][0]["message"]["content"] == "from the other"
    assert f.post().json["choices"][0]["message"]["content"] == "Hello there."
    assert other.requests[0].headers["authorization"] == "Bearer other-key"
    assert other.requests[0].json["model"] == "m"
    other.close()
