"""Thousands of clients at once, the provider that they buy from, and its books.

Clients, provider and the one who watches the figures are coroutines of one loop
and talk in raw bytes: an SDK would be slower than what it is to press. Each
draws its lots from a generator with a seed of its own.
"""
import asyncio
import http.client
import json
import random
import socket
import struct
import threading
from decimal import Decimal

PICO = Decimal(10) ** -12
PRICES = {"gpt-4o-mini": (2_000_000, 10_000_000), "cheap": (200_000, 1_000_000)}  # pico-USD a token
MODELS = "".join(
    f'model "openai/{name}" {{ input_price = "{i / 10 ** 6} usd" output_price = "{o / 10 ** 6} usd" }}\n'
    for name, (i, o) in PRICES.items()) + 'tier "small" { models = {"openai/gpt-4o-mini"} }\n'
GONE = (ConnectionError, asyncio.IncompleteReadError, OSError)


def rows_of(f):
    """All cost rows. A process that is killed may leave its last line torn, and the next one ends it."""
    rows, torn = [], 0
    for line in f.cost_log.read_text().split("\n")[:-1]:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            torn += 1
    assert torn < f.starts, f"{torn} lines are no rows after {f.starts} starts"
    return rows


def reset(writer):
    """Ends a connection at once, by a reset."""
    try:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                   struct.pack("ii", 1, 0))
    except OSError:
        pass  # the other side was first
    writer.transport.abort()


async def read_message(reader):
    """The head of a request or an answer, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        return head, await reader.readuntil(b"\r\n0\r\n\r\n")
    length = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
    return head, await reader.readexactly(int(length or 0))


class FickleProvider:
    """Answers chat requests, fails at times, and writes down what it would bill."""

    def __init__(self, seed=1):
        self.lots = random.Random(seed)
        self.billed = 0  # pico-USD of answers that it gave to their end
        self.answered = self.failed = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while True:
                _, body = await read_message(reader)
                await self.answer(json.loads(body), writer)
        except (*GONE, asyncio.CancelledError):  # the latter: the storm is over
            pass
        finally:
            writer.close()

    async def answer(self, request, writer):
        lot = self.lots.random()
        if lot < 0.03:
            self.failed += 1
            reset(writer)
            raise ConnectionResetError
        if lot < 0.12:
            self.failed += 1
            status = 500 if lot < 0.08 else 429
            await self.send_whole(writer, {"error": {"message": "busy"}}, status)
            return
        cap = request["max_tokens"]
        usage = {"prompt_tokens": len(request["messages"][0]["content"].split()) + 7,
                 "completion_tokens": cap if lot < 0.25 else self.lots.randint(1, cap)}
        give = self.send_stream if request.get("stream") else self.send_whole_chat
        await give(writer, request, usage, cut=lot > 0.97)
        price = PRICES[request["model"]]
        self.answered += 1
        self.billed += usage["prompt_tokens"] * price[0] + usage["completion_tokens"] * price[1]

    async def send_whole_chat(self, writer, request, usage, cut):
        message = {"role": "assistant", "content": "ab " * usage["completion_tokens"]}
        await self.send_whole(writer, {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage}, cut=cut)

    async def send_whole(self, writer, body, status=200, cut=False):
        text = json.dumps(body).encode()
        head = (f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nretry-after-ms: 1\r\n"
                f"Content-Length: {len(text)}\r\n\r\n").encode()
        await self.send(writer, [head + text[:50], text[50:]], cut)

    async def send_stream(self, writer, request, usage, cut):
        event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                 "model": request["model"]}
        deltas = [{"role": "assistant", "content": ""}] + [{"content": "ab ab ab "}] * (
            usage["completion_tokens"] // 3)
        events = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if request.get("stream_options", {}).get("include_usage"):
            events.append({"choices": [], "usage": usage})
        texts = [b"data: " + json.dumps({**event, **e}).encode() + b"\n\n" for e in events]
        texts.append(b"data: [DONE]\n\n")
        pieces = [b"%x\r\n%s\r\n" % (len(text), text) for text in texts] + [b"0\r\n\r\n"]
        middle = len(pieces) // 2
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        await self.send(writer, [head + pieces[0], b"".join(pieces[1:middle]), b"".join(pieces[middle:])],
                        cut)

    async def send(self, writer, pieces, cut):
        for piece in pieces[:-1]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # others have their turn amid the answer
        if cut:
            self.failed += 1
            reset(writer)
            raise ConnectionResetError
        writer.write(pieces[-1])
        await writer.drain()


class Client:
    """One connection at a time; asks, and at times goes away amid the answer."""

    def __init__(self, storm, number):
        self.storm, self.number = storm, number
        self.lots = random.Random(number)
        self.writer = None

    async def connect(self):
        while self.writer is None:
            await self.storm.up.wait()
            try:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.storm.farthing.port)
            except OSError:
                died = self.storm.up.is_set() and self.storm.farthing.process.poll() is not None
                assert not died, self.storm.farthing.log()[-4000:]
                await asyncio.sleep(0.01)  # it is being killed, or just comes up

    def leave(self):
        if self.writer is not None:
            if self.lots.random() < 0.5:
                reset(self.writer)
            self.writer.close()
        self.writer = None

    def make_request(self):
        lots = self.lots
        # Some ask what others have asked: hits, and purchases that are shared.
        shared = lots.random() < 0.1
        seed, words, cap = (lots.randint(1, 20), 30, 30) if shared else (
            lots.getrandbits(50), lots.randint(5, 150), lots.randint(5, 90))
        body = json.dumps({"model": f"openai/{self.storm.model}", "max_tokens": cap, "seed": seed,
                           "stream": lots.random() < 0.4,
                           "messages": [{"role": "user", "content": "word " * words}]}).encode()
        return (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key-of-a\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)) + body

    async def ask(self):
        """What became of one request: served, refused, failed, or left."""
        await self.connect()
        lot = self.lots.random()
        try:
            self.writer.write(self.make_request())
            if lot < 0.06:
                await self.go_on_a_while()
                self.leave()
                return "left"
            if lot < 0.12:
                await self.reader.readexactly(1)
                self.leave()
                return "left"
            head, _ = await read_message(self.reader)
        except GONE:
            self.leave()
            return "failed"
        if b"connection: close" in head:
            self.leave()
        status = int(head.split()[1])
        if status == 429 and b"x-should-retry: false" in head:
            return "refused"
        return "served" if status == 200 else "failed"

    async def go_on_a_while(self):
        for _ in range(self.lots.randint(0, 20)):
            await asyncio.sleep(0)

    async def until_refused(self):
        while True:
            outcome = await self.ask()
            self.storm.note(outcome)
            if outcome == "refused":
                return


class Storm:
    """All the clients of one proxy, and who watches its budget meanwhile."""

    def __init__(self, farthing, provider, clients, kill_at=()):
        self.farthing, self.provider = farthing, provider
        self.clients = [Client(self, i) for i in range(clients)]
        self.outcomes = {"served": 0, "refused": 0, "failed": 0, "left": 0}
        self.kill_at = list(kill_at)  # after so many answers a process is killed, and another started
        self.answers = 0  # of this process
        self.model = "cheap" if kill_at else "gpt-4o-mini"
        self.kills = None
        self.samples = []
        self.over = threading.Event()
        self.up = asyncio.Event()
        self.up.set()
        self.broken = asyncio.get_running_loop().create_future()  # by a process that does not start

    def note(self, outcome):
        self.outcomes[outcome] += 1
        self.answers += outcome == "served"
        if self.kill_at and self.kills is None and self.answers >= self.kill_at[0]:
            self.kill_at.pop(0)
            self.kills = asyncio.create_task(self.kill_and_start())

    async def kill_and_start(self):
        self.up.clear()
        self.farthing.process.kill()
        await asyncio.to_thread(self.farthing.process.wait)
        try:
            await asyncio.to_thread(self.farthing.start)
        except AssertionError as error:
            self.broken.set_exception(error)  # who waits for it would wait for ever
            return
        self.kills, self.answers = None, 0
        if not self.kill_at:
            self.model = "gpt-4o-mini"  # what is left is spent in fewer requests
        self.up.set()

    def sample(self):
        view = self.farthing.budget("all")
        line = 'farthing_budget_remaining_usd{tenant="a",budget="all"} '
        shown = Decimal(self.farthing.metrics().partition(line)[2].split("\n")[0])
        return view["spent"], view["reserved"], shown

    def watch(self):
        while not self.over.is_set():
            try:
                self.samples.append(self.sample())
            except (OSError, http.client.HTTPException):
                self.over.wait(0.01)  # it is being killed, or just comes up

    async def or_a_failed_start(self, lives):
        everybody = asyncio.gather(*lives)
        await asyncio.wait([everybody, self.broken], return_when=asyncio.FIRST_COMPLETED)
        if self.broken.done():
            everybody.cancel()
            await self.broken
        await everybody

    async def spend_all(self):
        """Everybody asks until he is refused, and again while there was something to buy."""
        watcher = asyncio.create_task(asyncio.to_thread(self.watch))
        answered = None
        try:
            while answered != self.provider.answered:
                answered = self.provider.answered
                await self.or_a_failed_start(client.until_refused() for client in self.clients)
                await asyncio.to_thread(self.farthing.nothing_reserved)
        finally:
            self.over.set()
            await watcher
        for client in self.clients:
            client.leave()
