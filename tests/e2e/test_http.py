"""HTTP as RFC 9110 and 9112 ask for it: what is served, and what is refused."""
import json
import socket
import ssl
import subprocess
import threading

import pytest

from harness import chat, eventually, http_request, question, read_all, read_until, reply


def parse(raw):
    """The answers in what came over one connection."""
    answers = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        answers.append((status, headers, rest[:length]))
        raw = rest[length:]
    return answers


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
BODY = json.dumps(question()).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"  # must not be answered after a refusal

HOSTILE = {
    "length beside chunked": HEAD + HOST + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + HOST + LENGTH + b"Content-Length: 1\r\n\r\n" + BODY,
    "two equal lengths": HEAD + HOST + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": HEAD + HOST + b"Content-Length: 1, 1\r\n\r\nx",
    "a signed length": HEAD + HOST + b"Content-Length: +1\r\n\r\nx",
    "a negative length": HEAD + HOST + b"Content-Length: -1\r\n\r\nx",
    "an empty length": HEAD + HOST + b"Content-Length: \r\n\r\n",
    "a huge length": HEAD + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a blank before the colon": HEAD + HOST + b"Content-Length : 2\r\n\r\n{}",
    "a blank before the name": HEAD + b" Host: x\r\n\r\n",
    "a folded line": HEAD + HOST + b"X: a\r\n b\r\n\r\n",
    "NUL in a value": HEAD + HOST + b"X: a\0b\r\n\r\n",
    "NUL in a name": HEAD + HOST + b"X\0: a\r\n\r\n",
    "a control character in a value": HEAD + HOST + b"X: a\x01b\r\n\r\n",
    "a bare CR in a value": HEAD + HOST + b"X: a\rb\r\n\r\n",
    "bare LFs": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "no colon": HEAD + HOST + b"nothing\r\n\r\n",
    "no name": HEAD + HOST + b": x\r\n\r\n",
    "no Host": HEAD + b"X: y\r\n\r\n",
    "two Hosts": HEAD + HOST + HOST + b"\r\n",
    "a Host with a path": HEAD + b"Host: x/y\r\n\r\n",
    "an unknown method": b"BREW /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    "a lower-case method": b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /healthz\r\nHost: x\r\n\r\n",
    "a wrong version": b"GET /healthz HTTP/1.x\r\nHost: x\r\n\r\n",
    "two blanks": b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab": b"GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without slash": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "an 8-bit target": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown coding": HEAD + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in quotes": HEAD + HOST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked in HTTP/1.0": b"POST /v1/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunk size": HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk with a bare LF": HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
    "a blank before a trailer's colon": HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n",
    "a huge chunk size": HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + b"x" * 50,
    "noise": b"\xff\xfe\x00\x01" * 20,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_are_refused_and_the_connection_closed(provider, farthing, name):
    for request in (HOSTILE[name], NEXT + HOSTILE[name] + NEXT):
        answers = parse(farthing.raw(request))
        if request.startswith(NEXT):
            assert answers.pop(0)[0] == 200
        assert len(answers) == 1
        status, headers, body = answers[0]
        assert status == 400 and headers["connection"] == "close"
        error = json.loads(body)["error"]
        assert error["code"] == "invalid_request" and error["type"] == "invalid_request_error"
        assert error["message"] and error["param"] is None
    assert provider.requests == []
    assert 'farthing_http_refused_total{code="invalid_request"} 2' in farthing.metrics()


@pytest.mark.parametrize("request_bytes,status", [
    (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    (HEAD + HOST + b"Expect: a-miracle\r\nContent-Length: 1\r\n\r\nx", 417),
    (HEAD + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (HEAD + HOST + b"Content-Length: 40000000\r\n\r\n", 413),
    (HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\n2ffffff\r\n", 413),
    (HEAD + HOST + b"X: " + b"a" * 40000 + b"\r\n\r\n", 431),
    (HEAD + HOST + b"X: y\r\n" * 101 + b"\r\n", 431),
    (b"GET /" + b"a" * 40000, 431),
])
def test_other_refusals(farthing, request_bytes, status):
    answers = parse(farthing.raw(request_bytes))
    assert [a[0] for a in answers] == [status] and answers[0][1]["connection"] == "close"
    assert json.loads(answers[0][2])["error"]["message"]


@pytest.mark.parametrize("path", [
    "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/%2e/chat/completions", "/v1/%2E%2e/admin",
    "/v1//chat/completions", "/v1/%63hat/completions", "/v1/../admin", "/v1/..", "/v1/files/."])
def test_paths_that_a_provider_reads_as_others(provider, farthing, path):
    answers = parse(farthing.raw(http_request(path=path, headers="Connection: close\r\n")))
    assert [a[0] for a in answers] == [400] and provider.requests == []
    assert farthing.rows()[0]["error_code"] == "invalid_request"


@pytest.mark.parametrize("path", ["/v1/files/", "/v1/files/a%2Fb", "/v1/files/a.b/..c", "/v1/files/%zz%"])
def test_other_paths_go_on_as_they_are(provider, farthing, path):
    provider.answer = lambda r, c: reply(c, body={})
    farthing.raw(http_request(path=path, headers="Connection: close\r\n"))
    assert [r.target for r in provider.requests] == [path]


@pytest.mark.parametrize("sent", [b"POST /v1/chat", HEAD + HOST, HEAD + HOST + LENGTH + b"\r\n{",
                                  HEAD + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{"])
def test_requests_that_do_not_come_to_an_end(start, sent):
    f = start(server='header_timeout = "100ms" body_timeout = "100ms"')
    answers = parse(f.raw(sent))
    assert [a[0] for a in answers] == [408]
    assert json.loads(answers[0][2])["error"]["code"] == "request_timeout"


def test_a_trickle_of_empty_lines_does_not_hold_a_connection(start):
    f = start(server='header_timeout = "200ms" keepalive_timeout = "1h"')
    connection = f.connect()
    connection.settimeout(0.02)
    received = None
    while received is None:
        try:
            connection.sendall(b"\r\n")
            received = connection.recv(4096)
        except TimeoutError:
            pass
        except OSError:
            received = b""
    assert received == b"" or b" 408 " in received


def test_an_idle_connection_is_closed(start):
    f = start(server='keepalive_timeout = "500ms"')
    assert f.raw(b"") == b""
    assert parse(f.raw(NEXT))[0][0] == 200


def test_pipelined_requests_are_answered_in_order(provider, farthing):
    provider.answer = lambda r, c: reply(c, body=chat(r.json["messages"][0]["content"]))
    requests = [http_request(question(str(i)), headers="x-farthing-cache: bypass\r\n") for i in range(10)]
    requests.insert(3, NEXT)
    requests.append(NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    answers = parse(farthing.raw(b"".join(requests)))
    assert [a[0] for a in answers] == [200] * 12
    said = [json.loads(a[2])["choices"][0]["message"]["content"] for a in answers if a[2] != b"ok\n"]
    assert said == [str(i) for i in range(10)]


def test_many_pipelined_requests_are_read_with_patience(provider, farthing):
    body = question("x" * 30000)
    request = http_request(body)
    with farthing.connect() as connection:
        writer = threading.Thread(target=connection.sendall, args=(request * 40,))
        writer.start()
        received = b""
        while received.count(b"HTTP/1.1 200") < 40:
            piece = connection.recv(65536)
            assert piece
            received += piece
        writer.join()
    assert len(provider.requests) == 1


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_requests_in_pieces(provider, farthing, size):
    request = http_request() + NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with farthing.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), size):
            connection.sendall(request[at:at + size])
        assert [a[0] for a in parse(read_all(connection))] == [200, 200]


def chunked(body, size, extension=b"", trailer=b""):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%X%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces) + b"0\r\n" + trailer + b"\r\n"


@pytest.mark.parametrize("size,extension,trailer", [
    (1, b"", b""), (10, b";a=b", b""), (10, b' ; a="b c"', b"X: y\r\n"), (10000, b"", b"X: y\r\nZ: \r\n")])
def test_chunked_requests(provider, farthing, size, extension, trailer):
    request = (HEAD + HOST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
               + chunked(BODY, size, extension, trailer))
    answers = parse(farthing.raw(request + NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    assert [a[0] for a in answers] == [200, 200] and provider.requests[0].json["messages"] == question()["messages"]
    assert "transfer-encoding" not in provider.requests[0].headers


def test_a_large_prompt(provider, farthing):
    body = question("many words " * 40000)
    assert farthing.post(body=body).status == 200
    assert provider.requests[0].json["messages"] == body["messages"]


def test_expect_continue(provider, farthing):
    with farthing.connect() as connection:
        connection.sendall(HEAD + HOST + LENGTH + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        read_until(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(BODY)
        assert parse(read_all(connection))[0][0] == 200
    with farthing.connect() as connection:  # too large: refused before it is sent
        connection.sendall(HEAD + HOST + b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
        assert parse(read_all(connection))[0][0] == 413


def test_head_and_options(provider, farthing):
    raw = farthing.raw(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 ") and raw.endswith(b"\r\n\r\n") and b"Content-Length: 3" in raw
    for target in (b"*", b"/v1/chat/completions"):
        raw = farthing.raw(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status, headers, _ = parse(raw)[0]
        assert status in (200, 204) and "POST" in headers["allow"]
    assert provider.requests == []


def test_targets(provider, farthing):
    provider.answer = lambda r, c: reply(c, body={"object": "list", "data": []})
    for target in (b"/v1/files?limit=2&after=a%20b", b"http://anything/v1/files?limit=2&after=a%20b"):
        raw = farthing.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 200 ")
    assert {r.target for r in provider.requests} == {"/v1/files?limit=2&after=a%20b"}
    assert b" 404 " in farthing.raw(b"GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 404 " in farthing.raw(b"GET http://h?x=/v1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("body,param", [
    (b"", None), (b"{", None), (b"[]", None), (b'"x"', None), (b"{}", "model"), (b'{"model":1}', "model"),
    (b'{"model":""}', "model"), (b"\xff", None), (b'{"model":"\xc3\x28"}', None), (b"[" * 100000, None),
    (b'{"model":"openai/gpt-4o-mini","messages":[],"model":"x"}', "model")])
def test_bodies_that_are_no_requests(provider, farthing, body, param):
    answer = farthing.post(body=body)
    assert answer.status == 400 and answer.json["error"]["code"] == "invalid_request"
    assert answer.json["error"]["param"] == param
    assert answer.headers["x-should-retry"] == "false"
    row = farthing.rows()[0]
    assert (row["status"], row["cost_usd"], row["success"]) == (400, "0", False)
    assert row["tenant_id"] == "default"
    assert provider.requests == []


def test_a_media_type_in_any_case(provider, farthing):
    assert farthing.post(headers={"Content-Type": "APPLICATION/JSON; Charset=UTF-8"}).status == 200


@pytest.mark.parametrize("type_", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type(provider, farthing, type_):
    answer = farthing.post(headers={"Content-Type": type_})
    assert answer.status == 415 and answer.json["error"]["code"] == "unsupported_media_type"
    assert provider.requests == []


def test_compressed_requests_are_refused(provider, farthing):
    answer = farthing.post(headers={"Content-Encoding": "gzip"})
    assert answer.status == 415 and provider.requests == []


def test_hop_by_hop_headers_stay_behind(provider, farthing):
    provider.answer = lambda r, c: reply(c, body=chat(), headers={
        "Connection": "keep-alive, X-Private", "X-Private": "p", "Keep-Alive": "timeout=5",
        "Proxy-Authenticate": "x", "openai-organization": "org", "x-request-id": "req_1",
        "x-ratelimit-remaining-tokens": "7", "openai-processing-ms": "12", "Set-Cookie": "a=b"})
    answer = farthing.post(headers={
        "Connection": "close, X-Mine", "X-Mine": "1", "TE": "trailers", "Proxy-Authorization": "x",
        "Upgrade": "h2c", "x-farthing-feature": "f", "OpenAI-Organization": "org-a",
        "User-Agent": "tests"})
    for name, value in {"openai-organization": "org", "x-request-id": "req_1",
                        "x-ratelimit-remaining-tokens": "7", "openai-processing-ms": "12"}.items():
        assert answer.headers[name] == value
    for name in ("x-private", "keep-alive", "proxy-authenticate", "set-cookie"):
        assert answer.headers[name] is None
    sent = provider.requests[0].headers
    assert sent["openai-organization"] == "org-a"
    assert not {"te", "x-mine", "proxy-authorization", "upgrade", "x-farthing-feature"} & set(sent)


def test_connections_are_kept(provider, farthing):
    with farthing.connect() as connection:
        for _ in range(3):
            connection.sendall(http_request())
            received = read_until(connection, b"Hello there.")
            while not received.endswith(b"}"):
                received += connection.recv(65536)
    with farthing.connect() as connection:  # HTTP/1.0 keeps it when asked to
        connection.sendall(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        read_until(connection, b"ok\n")
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert read_all(connection).endswith(b"ok\n")


def test_connections_to_the_provider_are_reused(provider, start):
    f = start(server="workers = 1")
    for i in range(20):
        assert f.post(body=question(str(i))).status == 200
    assert provider.connections == 1


# ------------------------------------------------------------------------ TLS

@pytest.fixture
def authority(tmp_path):
    """A throw-away certificate authority and a certificate of its for localhost."""
    at = tmp_path

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=at, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", "/CN=throw-away")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "csr.pem",
            "-subj", "/CN=localhost")
    (at / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "cert.pem", "-days", "2", "-extfile", "ext")
    return at


def tls(farthing, authority, minimum=ssl.TLSVersion.TLSv1_2, maximum=ssl.TLSVersion.TLSv1_3,
        protocols=("http/1.1",)):
    context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = minimum, maximum
    context.set_alpn_protocols(list(protocols))
    return context.wrap_socket(farthing.connect(), server_hostname="localhost")


@pytest.fixture
def with_tls(start, authority):
    return start(server=f'tls_certificate = "{authority}/cert.pem" tls_key = "{authority}/key.pem"')


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls(provider, with_tls, authority, version):
    with tls(with_tls, authority, version, version) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
        body = question("many words " * 20000)
        connection.sendall(http_request(body) + http_request(headers="Connection: close\r\n"))
        assert [a[0] for a in parse(read_all(connection))] == [200, 200]
    assert provider.requests[0].json["messages"] == body["messages"]


def test_a_renewed_certificate(with_tls, authority):
    def serial():
        with tls(with_tls, authority) as connection:
            return connection.getpeercert()["serialNumber"]

    old = serial()
    with tls(with_tls, authority) as kept:
        subprocess.run(["openssl", "x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
                        "-out", "cert.pem", "-days", "2", "-extfile", "ext", "-set_serial", "4242"],
                       cwd=authority, check=True, capture_output=True)
        with_tls.reload()
        eventually(lambda: serial() == "1092", "the new certificate")  # 4242
        kept.sendall(NEXT)
        read_until(kept, b"ok\n")
    (authority / "cert.pem").write_text("no certificate")
    with_tls.reload()
    assert "the old certificate stays" in with_tls.log() and serial() == "1092" != old


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_and_other_protocols_are_refused(with_tls, authority):
    with pytest.raises(OSError):
        tls(with_tls, authority, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
    with pytest.raises(OSError):
        tls(with_tls, authority, protocols=("h2",))


def test_plain_http_on_a_tls_port(with_tls):
    assert b"200" not in with_tls.raw(NEXT)


def test_a_tls_provider_is_verified(authority, start):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    body = json.dumps(chat()).encode()

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, server_side=True) as secure:
                    read_until(secure, b"\r\n\r\n")
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                   b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            except (OSError, AssertionError):
                if listener.fileno() < 0:
                    return

    threading.Thread(target=serve, daemon=True).start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    trusting = start(url, provider=f'ca_file = "{authority}/ca.pem"')
    assert trusting.post().status == 200
    doubting = start(url)
    answer = doubting.post()
    assert answer.status == 502 and answer.json["error"]["code"] == "upstream_error"
    listener.close()


def test_a_slow_handshake_does_not_hold_others(with_tls, authority):
    with with_tls.connect() as idle:
        idle.sendall(b"\x16")
        with tls(with_tls, authority) as connection:
            connection.sendall(NEXT)
            read_until(connection, b"ok\n")


def test_more_connections_than_allowed(start):
    f = start(server="workers = 1 max_connections = 4")
    kept = [f.connect() for _ in range(4)]
    for connection in kept:
        connection.sendall(NEXT)
        read_until(connection, b"ok\n")
    assert f.raw(NEXT) == b""
    kept.pop().close()
    eventually(lambda: f.raw(NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")), "a free place")
