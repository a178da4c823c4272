"""Requests that are held while they are bought: who follows whom, and what all get."""
import json
import threading
import urllib.request

from harness import (WAIT, chat, chat_events, eventually, hang_up, http_request, question, read_all, read_until,
                     reply, unchunk, wants_usage)


CLOSE = "Connection: close\r\n"


class Gate:
    """A provider that begins to answer when it is told to, and goes on when it is."""

    def __init__(self, provider):
        self.begin, self.go_on = threading.Event(), threading.Event()
        self.provider = provider
        self.lock = threading.Lock()
        self.bought = 0
        self.words = lambda n: ("Hello", " there", ".")  # of the n-th purchase
        self.answers = []  # or the whole answers, to the n-th of its requests; the last serves the rest
        provider.answer = self.answer

    def answer(self, request, connection):
        with self.lock:
            self.bought += 1
            n = self.bought
        assert self.begin.wait(2 * WAIT)
        if self.answers:
            at = min(len(self.provider.requests), len(self.answers)) - 1
            self.answers[at](request, connection)
        elif request.json.get("stream"):
            events = chat_events(self.words(n), wants_usage(request))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + b"".join(events[:2]))
            assert self.go_on.wait(2 * WAIT)
            connection.sendall(b"".join(events[2:]))
            hang_up(connection)
        else:
            assert self.go_on.wait(2 * WAIT)
            reply(connection, body=chat("".join(self.words(n))))

    def refuse(self):
        self.answers = [lambda _, connection: reply(connection, 400, {"error": {"message": "no", "code": "c"}})]

    def release(self):
        self.begin.set()
        self.go_on.set()


def ask(f, headers="", **more):
    connection = f.connect()
    connection.sendall(http_request(question(**more), headers=CLOSE + headers))
    return connection


def parse(raw):
    """Status, headers, body, and whether it is whole."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    whole = True
    if headers.get("transfer-encoding") == "chunked":
        body, whole = unchunk(body)
    return int(lines[0].split()[1]), headers, body, whole


def answers_of(connections):
    return [parse(read_all(c)) for c in connections]


def words_of(answer):
    """What it says, whole or streamed."""
    body = answer[2].decode()
    if not body.startswith("data:"):
        return json.loads(body)["choices"][0]["message"]["content"].strip()
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    return "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"]).strip()


def buy_once(gate, one, two):
    """A stream that one buys and two follows live, and a key that both ask for; what is said to the key."""
    gate.begin.set()
    first = gate.words(1)[0].encode()
    leader = ask(one, stream=True)
    led = read_until(leader, first)
    follower = ask(two, stream=True)
    followed = read_until(follower, first)
    keyed = [ask(f, "Idempotency-Key: k\r\n", text="another") for f in (one, two)]
    following([one, two], 4)
    gate.go_on.set()
    assert parse(read_all(leader, led))[2] == parse(read_all(follower, followed))[2]
    said = {words_of(a) for a in answers_of(keyed)}
    assert len(said) == 1 and gate.bought == 2
    return said


def followers(f):
    with urllib.request.urlopen(f.admin + "/status") as answer:
        return json.loads(answer.read())["shared_purchases"]["followers"]


def following(members, count):
    """Waits until so many follow somebody, here or elsewhere; an owner counts once who waits for it elsewhere."""
    eventually(lambda: sum(map(followers, members)) >= count, f"{count} followers")
