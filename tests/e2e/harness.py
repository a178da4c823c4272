"""Starts the real binary and providers that answer as they are told.

A Provider is a raw TCP server: each test gives it a function that gets the
parsed request and writes whatever bytes it likes, well-formed or not.
"""
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from decimal import Decimal

FARTHING = os.path.abspath(os.environ.get("FARTHING", "build/farthing"))
FARTHINGCTL = os.path.abspath(os.environ.get("FARTHINGCTL", "build/farthingctl"))
PRICES = pathlib.Path(__file__).parent.parent.parent / "conf" / "prices.json"
# A token of input is 0.000001 USD, one of output 0.00001.
PRICED = ('model "openai/gpt-4o-mini" { input_price = "1 usd" output_price = "10 usd" }\n'
          'tier "small" { models = {"openai/gpt-4o-mini"} }\n')
WAIT = 20  # seconds after which something that should happen has failed


def eventually(check, what="it", wait=WAIT):
    """Waits until check() returns something true, and returns that."""
    end = time.monotonic() + wait
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not happen within {wait} s"
        time.sleep(0.01)


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Provider:
    """provider.answer = lambda request, connection: ..."""

    def __init__(self, answer=None):
        self.answer = answer or chat_answer
        self.requests = []
        self.connections = 0
        self.gone = []  # one entry for each connection that the proxy closed
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.add(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = connection.makefile("rb")
        try:
            while True:
                line = stream.readline()
                if not line:
                    break
                method, target, _ = line.decode().split(" ", 2)
                headers = {}
                while (line := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", 0)))
                request = Request(method, target, headers, body)
                self.requests.append(request)
                self.answer(request, connection)
        except (OSError, ValueError):
            pass
        finally:
            self.gone.append(time.monotonic())
            self.open.discard(connection)
            stream.close()
            connection.close()

    def close(self):
        self.socket.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Held:
    """Makes a provider answer requests with "held" in them when it is told to."""

    def __init__(self, provider):
        self.go_on = threading.Event()
        self.provider = provider
        provider.answer = self.answer

    def answer(self, request, connection):
        if b"held" in request.body:
            assert self.go_on.wait(WAIT)
        chat_answer(request, connection)


def reply(connection, status=200, body=b"", headers=None, content_type="application/json"):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    for name, value in (headers or {}).items():
        head += f"{name}: {value}\r\n"
    connection.sendall(head.encode() + b"\r\n" + body)


def chat(content="Hello there.", model="gpt-4o-mini", finish="stop", usage=(10, 3), **message):
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content,
                                             "refusal": None, **message},
                     "logprobs": None, "finish_reason": finish}],
    }
    if usage:
        answer["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1],
                           "total_tokens": sum(usage)}
    return answer


def chat_answer(request, connection):
    """A whole or streamed chat answer, as OpenAI would send it."""
    if request.json.get("stream"):
        stream_answer(chat_events(include_usage=wants_usage(request)))(request, connection)
    else:
        reply(connection, body=chat())


def cap_of(request):
    """What a request says of its output, in whichever spelling; None: nothing."""
    said = [request.json[name] for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")
            if name in request.json]
    return max(said) if said else None


def answer_as_asked(input_tokens=5, output_tokens=None, finish="stop"):
    """Answers every endpoint, whole or (chat) streamed; uses all that it may unless told."""
    def answer(request, connection):
        output = output_tokens if output_tokens is not None else cap_of(request) or 3
        if request.json.get("stream"):
            usage = {"prompt_tokens": input_tokens, "completion_tokens": output}
            stream_answer([chunk({"content": "ab"}), chunk({}, finish), chunk(choices=[], usage=usage),
                           b"data: [DONE]\n\n"])(request, connection)
        else:
            reply(connection, body=endpoint_answer(request.target, (input_tokens, output), finish))
    return answer


def endpoint_answer(target, usage, finish="stop"):
    named = {"input_tokens": usage[0], "output_tokens": usage[1]}
    text = {"type": "output_text", "text": "Hello.", "annotations": []}
    if target.endswith("/chat/completions"):
        return chat(usage=usage, finish=finish)
    if target.endswith("/completions"):
        choice = {"index": 0, "text": "Hello.", "logprobs": None, "finish_reason": finish}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice],
                "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1],
                          "total_tokens": sum(usage)}}
    if target.endswith("/responses"):
        cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        return {"id": "resp_1", "object": "response", "created_at": 1, "model": "m",
                **(cut if finish == "length" else {"status": "completed"}),
                "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                            "content": [text]}],
                "usage": {**named, "total_tokens": sum(usage)}}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": named,
            "content": [{"type": "text", "text": "Hello."}], "stop_sequence": None,
            "stop_reason": "max_tokens" if finish == "length" else "end_turn"}


def wants_usage(request):
    return bool((request.json.get("stream_options") or {}).get("include_usage"))


def chunk(delta=None, finish=None, usage="absent", choices=None, **more):
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
             "model": "gpt-4o-mini", "system_fingerprint": "fp_1",
             "choices": [{"index": 0, "delta": delta or {}, "logprobs": None,
                          "finish_reason": finish}] if choices is None else choices, **more}
    if usage != "absent":
        event["usage"] = usage
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13,
         "prompt_tokens_details": {"cached_tokens": 4},
         "completion_tokens_details": {"reasoning_tokens": 1}}


def chat_events(words=("Hello", " there", "."), include_usage=True):
    events = [chunk({"role": "assistant", "content": "", "refusal": None})]
    events += [chunk({"content": word}) for word in words]
    events.append(chunk({}, "stop"))
    if include_usage:
        events.append(chunk(choices=[], usage=USAGE))
    return events + [b"data: [DONE]\n\n"]


def hang_up(connection, reset=False):
    """Ends the connection, and with it the answer that is being given."""
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError


def stream_answer(events, cut=False, pause=0, headers=""):
    def answer(_request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           + headers.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for event in events:
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            if pause:
                time.sleep(pause)
        if cut:
            hang_up(connection)
        else:
            connection.sendall(b"0\r\n\r\n")
    return answer


class Farthing:
    """The real binary with a configuration, on ports of its own."""

    def __init__(self, provider_url, extra="", provider="", server="", cache="", store="",
                 models="default", environment=None, directory=None, wait=True, log=""):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="farthing-test-"))
        self.cost_log = self.directory / "data" / "cost.jsonl"
        self.config = self.directory / "routing.conf"
        self.environment = environment
        self.starts = 0
        if models == "default":
            models = ('model "openai/gpt-4o-mini" { input_price = "0.15 usd" '
                      'cached_input_price = "0.075 usd" output_price = "0.60 usd" }\n'
                      'tier "small" { models = {"openai/gpt-4o-mini"} }\n')
        self.config.write_text(f"""
server {{ listen = {{"127.0.0.1:0"}} admin_listen = "127.0.0.1:0" workers = 2
          drain_timeout = "5s" {server} }}
store {{ path = "{self.directory}/data" {store} }}
cache {{ memory = "16m" {cache} }}
provider "openai" {{ base_url = "{provider_url}" api_key = "provider-key"
  connect_timeout = "2s" retry {{ attempts = 3 backoff = "10ms" backoff_max = "20ms" }} {provider} }}
{models}
{extra}
log {{ cost_log = "{self.cost_log}" prices = "{PRICES}" level = "debug" {log} }}
""")
        self.start(wait)

    def start(self, wait=True):
        self.stderr_path = self.directory / "stderr.txt"
        self.stderr = open(self.stderr_path, "ab")
        self.process = subprocess.Popen([FARTHING, "-c", str(self.config)], stderr=self.stderr,
                                        env=self.environment)
        if wait:
            self.port = int(eventually(self._served, "listening"))

    def _served(self):
        assert self.process.poll() is None, f"farthing ended at its start: {self.log()}"
        found = re.findall(r"serves on https?://127\.0\.0\.1:(\d+) ", self.log())
        if len(found) == self.starts:
            return None
        self.starts = len(found)
        self.admin = re.findall(r"status on (http://\S+:\d+)", self.log())[-1]
        return found[-1]

    def log(self):
        return self.stderr_path.read_text(errors="replace")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def rows(self, count=1):
        """At least `count` cost rows, in the order in which the requests came; waits for them.

        Each loop hands its own over: a request that is over may have its row behind a later one's.
        """
        def read():
            if not self.cost_log.exists():
                return None
            lines = self.cost_log.read_text().split("\n")[:-1]
            return lines if len(lines) >= count else None
        return sorted(map(json.loads, eventually(read, f"{count} cost rows")), key=lambda row: row["ts"])

    def get(self, path):
        """The JSON that the admin address shows there."""
        with urllib.request.urlopen(self.admin + path, timeout=WAIT) as answer:
            return json.loads(answer.read())

    def budgets(self, name=None):
        """Each counter of the budgets (of this name), its figures as decimals."""
        found = [b for b in self.get("/budgets")["budgets"] if name in (None, b["budget"])]
        for b in found:
            b.update({k[:-4]: Decimal(v) for k, v in b.items() if k.endswith("_usd")})
        return found

    def budget(self, name="daily"):
        """The one counter of a budget."""
        (counter,) = self.budgets(name)
        return counter

    def nothing_reserved(self):
        """Waits until no budget holds anything for a request."""
        eventually(lambda: not any(b["reserved"] for b in self.budgets()), "the end of reservations")

    def metrics(self):
        with urllib.request.urlopen(self.admin + "/metrics") as answer:
            return answer.read().decode()

    def reload(self):
        before = self.log().count("reload")
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.log().count("reload") > before, "the reload")

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(WAIT)
        self.stderr.close()
        return code

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)
        return connection

    def raw(self, request):
        """Sends bytes, returns everything until the other side closes."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_all(connection)

    def post(self, path="/chat/completions", body=None, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body or question()).encode()
        request = urllib.request.Request(self.url + path, data=data, method="POST", headers={
            "Content-Type": "application/json", "Authorization": "Bearer client-key",
            **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=WAIT) as answer:
                try:
                    return Answer(answer.status, answer.headers, answer.read())
                except http.client.IncompleteRead as error:
                    return Answer(answer.status, answer.headers, error.partial, cut=True)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())


asked = itertools.count()


def ask_anew(f, tokens=100, who="a", n=0, headers=None, **more):
    """A request as no other; at PRICED one of 100 tokens may cost a little more than 0.001 USD."""
    body = question(f"hello {next(asked)}", max_tokens=tokens, **more)
    return f.post(body=body, headers={**key(who, n), **(headers or {})})


def send(f, text="held", who="a", **more):
    """The connection of a request whose answer is not waited for."""
    request = http_request(question(text, **more), headers="Connection: close\r\n")
    connection = f.connect()
    connection.sendall(request.replace(b"client-key", key_text(who).encode()))
    return connection


def read_all(connection, received=b""):
    """What comes until the other side closes."""
    pieces = [received]
    try:
        while (piece := connection.recv(1 << 20)):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def read_until(connection, mark, received=b""):
    """Reads at least until the mark has come; returns all that came."""
    while mark not in received:
        piece = connection.recv(65536)
        assert piece, f"closed before {mark!r} came: {received!r}"
        received += piece
    return received


def http_request(body=None, path="/v1/chat/completions", headers=""):
    """The bytes of a POST with a JSON body."""
    data = body if isinstance(body, bytes) else json.dumps(body or question()).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer client-key\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n{headers}\r\n"
            ).encode() + data


def unchunk(stream):
    """The data of a chunked body, and whether its last chunk came."""
    data = b""
    while stream:
        size, _, stream = stream.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return data, True
        data += stream[:n]
        stream = stream[n + 2:]
    return data, False


class Answer:
    def __init__(self, status, headers, body, cut=False):
        self.status, self.headers, self.body, self.cut = status, headers, body, cut

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def cache(self):
        return self.headers["x-farthing-cache"]

    @property
    def code(self):
        return "ok" if self.status == 200 else self.json["error"]["code"]

    @property
    def fits(self):
        """The max_tokens that a refusal says would fit."""
        return int(re.search(r"max_tokens of at most (\d+)", self.json["error"]["message"]).group(1))


def question(text="hello", model="openai/gpt-4o-mini", **more):
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def tenant(name, limits="", keys=1):
    """A tenant section; its keys are those of key(name), key(name, 1), ..."""
    hashes = (hashlib.sha256(key_text(name, i).encode()).hexdigest() for i in range(keys))
    listed = ", ".join(f'"sha256:{digest}"' for digest in hashes)
    return f'tenant "{name}" {{ keys = {{{listed}}} {limits} }}\n'


def budget(amount, more="", name="daily"):
    return f'budget "{name}" {{ amount = "{amount} usd" {more} }}\n'


def key_text(name, n=0):
    return f"key-of-{name}" + (f"-{n}" if n else "")


def key(name, n=0):
    return {"Authorization": f"Bearer {key_text(name, n)}"}


def row_of(f, answer):
    """Rows come from each worker in its own time."""
    name = answer.headers["x-farthing-request-id"]
    return eventually(lambda: next((r for r in f.rows() if r["request_id"] == name), None), f"the row {name}")


def free_port():
    """Below the ports that the system gives out by itself, so that nobody gets it meanwhile."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                return port
