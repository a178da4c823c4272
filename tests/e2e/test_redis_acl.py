"""The user that docs/redis.md tells to make, over TLS: all that instances do together can be done with it,
Redis refuses nothing, and it may do no more than that."""
import pathlib
import re

import pytest

from ctl import ctl_ok
from gates import buy_once
from harness import (PRICED, ask_anew, budget, chat_answer, eventually, key, key_text, question, read_all, reply,
                     send, tenant)
from redis_servers import Tls, free_ports, is_up, needs_redis, store_at
from test_limits import queued

pytestmark = needs_redis

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "redis.md"
OF_CONNECTIONS = {"auth", "ping", "select", "info", "asking", "eval", "evalsha", "publish", "subscribe", "unsubscribe"}
OF_VALUES = {"getrange", "set", "unlink"}  # what is sent as it is; the rest is in scripts


def user():
    """The words of the page's order."""
    return re.search(r"```\n(ACL SETUSER farthing .*?)\n```", PAGE.read_text(), re.S).group(1).split()


@pytest.fixture
def fleet(start, redis, tmp_path):
    """Two instances that are this user; at the end Redis must have nothing to complain of."""
    tls = Tls(tmp_path)
    redis.port, = free_ports(1)
    tls.require(redis)
    redis.start()
    for order in ("ACL SETUSER admin on >hush ~* &* +@all", " ".join(user()), "ACL SETUSER default off"):
        assert redis.call(*(word.encode() for word in order.split())) == b"+OK\r\n", order
    redis.password = "admin hush"
    (password,) = (word[1:] for word in user() if word.startswith(">"))
    store = store_at(f"rediss://farthing:{password}@localhost:{redis.port}") + f' ca_file = "{tls.ca_file}"'
    instances = []

    def go(extra="", count=2, **more):
        instances.extend(start(store=store, extra=extra, **more) for _ in range(count))
        eventually(lambda: all(is_up(f) for f in instances), "redis")
        return instances

    yield go
    assert instances and all(is_up(f) for f in instances)
    assert all("does not tell what changes" not in f.log() and "NOPERM" not in f.log() for f in instances)
    assert redis.ask("ACL LOG") == "*0\r\n"


def test_it_may_do_what_is_done_and_no_more():
    granted = {word[1:].lower() for word in user() if word.startswith("+") and "|" not in word}
    scripts = [path.read_text() for path in ROOT.glob("src/*/*.lua")]
    called = {name.lower() for text in scripts for name in re.findall(r"redis\.p?call\('(\w+)'", text)}
    assert scripts and sum(len(re.findall(r"redis\.p?call\b", text)) for text in scripts) == sum(
        len(re.findall(r"redis\.p?call\('\w+'", text)) for text in scripts)  # each says which
    assert granted == called | OF_CONNECTIONS | OF_VALUES


def test_that_it_would_be_noticed(fleet, redis):
    """One command less, and the log of Redis is not empty."""
    fleet(count=1)
    redis.ask("ACL SETUSER farthing -zcard")
    eventually(lambda: redis.ask("ACL LOG") != "*0\r\n", "a refusal")
    redis.ask("ACL SETUSER farthing +zcard")
    redis.ask("ACL LOG RESET")


def test_answers_and_keys(fleet, counted):
    one, two = fleet()
    first = one.post()
    eventually(lambda: two.post(headers={"x-farthing-cache": "only"}).status == 200, "the answer")
    assert two.post().body == first.body
    anew = two.post(headers={"x-farthing-cache": "refresh"})
    eventually(lambda: one.post().body == anew.body, "the newer one")
    headers = {"Idempotency-Key": "k", "x-farthing-cache": "bypass"}
    first = one.post(headers=headers)
    again = two.post(headers=headers)
    assert (again.status, again.cache, again.body) == (200, "idempotent", first.body)
    assert two.post(body=question("another"), headers=headers).status == 422


def test_one_purchase(fleet, gate):
    assert buy_once(gate, *fleet()) == {"Hello there."}


def test_money(fleet, provider):
    one, two = fleet(tenant("a", budget("0.01") + budget("1", "per = user", "each")), models=PRICED)
    who = {"x-farthing-user": "u"}
    assert [ask_anew(f, headers=who).status for f in (one, two)] == [200, 200]
    assert ask_anew(one, tokens=1000, headers=who).code == "budget_exceeded"
    ctl_ok(two, "budgets", "top-up", "a", "daily", "1", "usd")
    eventually(lambda: ask_anew(one, tokens=1000, headers=who).status == 200, "the top-up")
    for what in ("freeze", "thaw", "reset"):
        ctl_ok(one, "budgets", what, "a", "daily")
    eventually(lambda: two.budget()["spent"] == 0, "the reset")


def test_places_and_rates(fleet, held):
    one, two = fleet(tenant("a", 'concurrency = 1 queue = 5 requests = "6/min" tokens = "100000/min"'))
    first = send(one, "held")
    eventually(lambda: held.provider.requests, "the first")
    second = send(two, "held, too")
    eventually(lambda: queued(two) == 1, "the one who waits")
    held.go_on.set()
    assert [read_all(c).split(b" ")[1] for c in (first, second)] == [b"200", b"200"]
    answers = [(one, two)[n % 2].post(body=question(f"n {n}"), headers=key("a")) for n in range(8)]
    assert {a.code for a in answers} == {"ok", "rate_limited"}


def test_the_steps_of_a_run(fleet, provider):
    one, two = fleet(tenant("a", "run { max_steps = 2 max_tokens = 100000 }"))
    headers = {**key("a"), "x-farthing-run": "r"}
    answers = [f.post(body=question(f"n {n}"), headers=headers) for n, f in enumerate([one, two, one])]
    assert [a.code for a in answers] == ["ok", "ok", "run_budget_exceeded"]


def test_what_operators_order(fleet, provider):
    one, two = fleet(tenant("a") + tenant("b"))
    chat_headers = {**key("a"), "x-farthing-feature": "chat"}
    assert one.post(headers=chat_headers).cache == "miss"
    ctl_ok(two, "cache", "purge", "--feature", "chat")
    eventually(lambda: one.get("/cache")["purge_marks"] == 1, "the purge")
    assert one.post(headers={**chat_headers, "x-farthing-cache": "only"}).status == 504
    ctl_ok(one, "cache", "purge")
    ctl_ok(one, "keys", "block", "--stdin", stdin=key_text("a"))
    eventually(lambda: two.post(headers=key("a")).status == 401, "the block")
    assert two.post(headers=key("b")).status == 200
    ctl_ok(two, "keys", "block", "--tenant", "b")
    eventually(lambda: one.post(headers=key("b")).status == 401, "the other")


def test_what_they_tell_each_other(fleet, provider):
    one, two = fleet(provider='breaker { failures = 3 open_for = "1h" } ')

    def answer(request, connection):
        if b"broken" in request.body:
            reply(connection, 500, b'{"error": {"message": "no"}}')
        else:
            chat_answer(request, connection)
    provider.answer = answer

    def opens():
        one.post(body=question("broken"), headers={"x-farthing-cache": "bypass"})
        return all(b["state"] == "open" for f in (one, two) for b in f.get("/breakers")["breakers"])
    eventually(opens, "what one found out")
