"""Two instances whose Redis is in trouble of each kind, amid requests of all kinds: none hangs, what needs
no Redis is served, no budget is overspent, and afterwards all is as before."""
import contextlib
import http.client
import itertools
import os
import re
import threading
import time
import urllib.request
from collections import Counter
from decimal import Decimal

import pytest

from harness import PRICED, WAIT, budget, cap_of, chat, eventually, key, question, reply, tenant
from redis_servers import ChaosProxy, Tls, free_ports, is_up, needs_redis

pytestmark = needs_redis

SILENCE = float(os.environ.get("FARTHING_SILENCE_SECONDS", "4"))  # longer than Redis is believed to live
HANGS = 15  # so long does nobody wait who does not hang
AMOUNT = Decimal("0.03")
INPUT, OUTPUT = Decimal("0.000001"), Decimal("0.00001")  # of PRICED
LIMITS = 'requests = "1000000/min" concurrency = 100'


class Books:
    """A provider that writes down what it sold; each answer is another."""

    def __init__(self, provider):
        self.lock = threading.Lock()
        self.sold = []  # the questions; answer N is that to the one at N
        self.paid = Decimal(0)  # by who has a budget
        provider.answer = self.answer

    def answer(self, request, connection):
        usage = (5, cap_of(request))
        text = request.json["messages"][0]["content"]
        with self.lock:
            number = len(self.sold)
            self.sold.append(text)
            if text.startswith("paid"):
                self.paid += usage[0] * INPUT + usage[1] * OUTPUT
        reply(connection, body=chat(str(number), usage=usage))


class Asked:
    """A question, and what came of it."""

    def __init__(self, instance, kind, text, answer, seconds):
        self.instance, self.kind, self.text, self.answer, self.seconds = instance, kind, text, answer, seconds
        self.number = int(answer.json["choices"][0]["message"]["content"]) if answer.status == 200 else None


class Load:
    """Clients of both instances, who ask until it is over."""
    KINDS = {  # tenant, text, headers, of one's I-th request
        "plain": lambda n, i: ("p", f"plain {n} {i}", {}),
        "again": lambda n, i: ("p", f"again {i % 5}", {}),
        # With most keys both are asked.
        "keyed": lambda n, i: ("p", f"keyed {i // 2}", {"Idempotency-Key": f"{i // 2}", "x-farthing-cache": "bypass"}),
        "paid": lambda n, i: ("a", f"paid {n} {i}", {}),
    }

    def __init__(self, instances):
        self.instances = instances
        self.asked = []
        self.failed = []  # no answer at all
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.go, args=(n, kind), daemon=True)
                        for n in range(len(instances)) for kind in self.KINDS]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(2 * WAIT)

    def go(self, n, kind):
        for i in itertools.count():
            if self.over.is_set():
                return
            who, text, headers = self.KINDS[kind](n, i)
            began = time.monotonic()
            try:
                answer = self.instances[n].post(body=question(text, max_tokens=20), headers={**key(who), **headers})
            except (OSError, http.client.HTTPException) as error:
                self.failed.append((n, text, error))
                continue
            self.asked.append(Asked(n, kind, text, answer, time.monotonic() - began))
            time.sleep(0.01)  # others want the machine, too

    def goes_on(self, count=5):
        """Waits until everybody was answered so many times more."""
        before = Counter((a.instance, a.kind) for a in self.asked)

        def done():
            now = Counter((a.instance, a.kind) for a in self.asked)
            return all(now[n, kind] >= before[n, kind] + count
                       for n in range(len(self.instances)) for kind in self.KINDS)
        eventually(done, "answers")

    def of(self, *kinds):
        return [a for a in self.asked if a.kind in kinds]


class Scene:
    """Two instances at one Redis behind a proxy that can be told to be bad."""

    def __init__(self, start, redis, provider, tls=None):
        self.redis, self.books = redis, Books(provider)
        if tls is not None:
            redis.port, = free_ports(1)
            tls.require(redis)
        redis.start()
        self.proxy = ChaosProxy(redis.path if tls is None else redis.port)
        store = self.proxy.store if tls is None else (
            self.proxy.store.replace("redis://", "rediss://") + f' ca_file = "{tls.ca_file}"')
        extra = tenant("p", LIMITS) + tenant("a", LIMITS + " " + budget(AMOUNT))
        self.instances = [start(store=store + ' command_timeout = "250ms"', models=PRICED, extra=extra,
                                log='level = "info"') for _ in range(2)]
        self.are_up()

    def are_up(self):
        eventually(lambda: all(is_up(f) for f in self.instances), "redis")

    def are_down(self):
        """And say so, without being taken out for it."""
        def says_so(f):
            with urllib.request.urlopen(f.admin + "/readyz", timeout=WAIT) as ready:
                assert ready.status == 200
                return ready.read() == b"ready\nthe shared store is away\n"
        for f in self.instances:
            eventually(lambda f=f: not is_up(f), "the loss of redis")
            eventually(lambda f=f: says_so(f), "that it is said")

    def have_seen(self, errors):
        def count(f):
            return sum(int(n) for error, n in re.findall(
                r'farthing_store_errors_total{kind="redis",error="(\w+)"} (\d+)', f.metrics()) if error in errors)
        eventually(lambda: all(count(f) for f in self.instances), f"errors: {errors}")

    # -------------------------------------------------------- what has to be true

    def nobody_hung(self, load):
        assert not load.failed and not any(t.is_alive() for t in load.threads)
        assert max(a.seconds for a in load.asked) < HANGS

    def each_got_his_own(self, load):
        for a in load.asked:
            assert a.number is None or self.books.sold[a.number] == a.text

    def only_who_must_is_refused(self, load):
        assert {a.answer.code for a in load.of("plain", "again")} == {"ok"}
        assert {a.answer.code for a in load.of("keyed")} <= {"ok", "store_unavailable"}
        assert {a.answer.code for a in load.of("paid")} <= {"ok", "budget_exceeded", "store_unavailable"}
        for a in load.asked:
            if a.answer.code == "store_unavailable":
                assert a.answer.status == 503 and int(a.answer.headers["Retry-After"]) >= 1

    def one_key_is_one_purchase(self, load):
        bought = {(a.text, a.number) for a in load.of("keyed") if a.number is not None}
        assert len(bought) == len({text for text, _ in bought})

    def each_has_a_row(self, load):
        for n, f in enumerate(self.instances):
            given = {a.answer.headers["x-farthing-request-id"]:
                     (a.answer.status, None if a.answer.status == 200 else a.answer.code)
                     for a in load.asked if a.instance == n}
            eventually(lambda f=f, given=given: given.items() <= {
                r["request_id"]: (r["status"], r["error_code"]) for r in f.rows(len(given))}.items(), "a row for each")

    def are_one_again(self):
        """What one bought, the other has; with a key, too."""
        one, two = self.instances
        number = itertools.count()

        def shares(more):
            body, headers = question(f"well {next(number)}", max_tokens=5), {**key("p"), **more}
            first = one.post(body=body, headers=headers)
            return first.status == 200 and two.post(body=body, headers=headers).body == first.body
        eventually(lambda: shares({}), "a purchase for both")
        eventually(lambda: shares({"Idempotency-Key": f"well {next(number)}", "x-farthing-cache": "bypass"}),
                   "a key of both")

    def money_is_spent_once(self):
        """Both spend what is left, and not a bit more; all books say so."""
        number = itertools.count()

        def is_over(f):
            answer = f.post(body=question(f"paid at last {next(number)}", max_tokens=100), headers=key("a"))
            assert answer.code in ("ok", "budget_exceeded", "store_unavailable")
            return answer.code == "budget_exceeded"

        def booked():
            return sum(Decimal(r["cost_usd"] or 0) for f in self.instances for r in f.rows() if r["tenant_id"] == "a")
        for f in self.instances:
            eventually(lambda f=f: is_over(f), "the end of the money")
        eventually(lambda: {booked()} == {f.budget()["spent"] for f in self.instances}, "agreement")
        assert booked() == self.books.paid <= AMOUNT

    def logs_are_short(self, was_down):
        """A line when it failed and one when it was back; a machine under load may see one time more."""
        for f in self.instances:
            eventually(lambda f=f: f.log().count("fails:") == f.log().count("is there again"), "that it is back")
            assert was_down <= f.log().count("fails:") <= 2, f.log()


# ------------------------------------------------------------------- the troubles

@contextlib.contextmanager
def proxy_is(scene, **how):
    before = {name: getattr(scene.proxy, name) for name in how}
    for name, value in how.items():
        setattr(scene.proxy, name, value)
    yield
    for name, value in before.items():
        setattr(scene.proxy, name, value)


def late(scene):
    return proxy_is(scene, delay=0.2)


def black_hole(scene):
    return proxy_is(scene, black_hole=True)


@contextlib.contextmanager
def lossy(scene):
    with proxy_is(scene, drop=0.1):
        yield
    scene.proxy.cut()  # or what was lost would be missing for ever


@contextlib.contextmanager
def corrupt(scene):
    with proxy_is(scene, corrupt=0.05):
        yield
    scene.proxy.cut()


@contextlib.contextmanager
def cut(scene):
    """Again and again."""
    over = threading.Event()

    def go():
        while not over.wait(0.1):
            scene.proxy.cut()
    t = threading.Thread(target=go)
    t.start()
    yield
    over.set()
    t.join()


@contextlib.contextmanager
def refused(scene):
    with proxy_is(scene, refuse=True):
        scene.proxy.cut()
        yield


@contextlib.contextmanager
def stopped(scene):
    began = time.monotonic()
    scene.redis.pause()
    yield
    time.sleep(max(0, began + SILENCE - time.monotonic()))
    scene.redis.resume()


@contextlib.contextmanager
def configured(scene, name, value, otherwise):
    assert scene.redis.ask(f"CONFIG SET {name} {value}") == "+OK\r\n"
    yield
    assert scene.redis.ask(f"CONFIG SET {name} {otherwise}") == "+OK\r\n"


def full(scene):
    return configured(scene, "maxmemory", "1", "0")


def without_replicas(scene):
    return configured(scene, "min-replicas-to-write", "1", "0")


@contextlib.contextmanager
def read_only(scene):
    """It has become a replica, of a master that is gone."""
    assert scene.redis.ask("REPLICAOF 127.0.0.1 1") == "+OK\r\n"
    yield
    assert scene.redis.ask("REPLICAOF NO ONE") == "+OK\r\n"


@contextlib.contextmanager
def without_master(scene):
    """The same, and it does not even show what it has."""
    with configured(scene, "replica-serve-stale-data", "no", "yes"), read_only(scene):
        yield


@contextlib.contextmanager
def busy(scene):
    """With a script that does not end."""
    with configured(scene, "lua-time-limit", "50", "5000"):
        t = threading.Thread(target=scene.redis.ask, args=('EVAL "while true do end" 0',))
        t.start()
        yield
        assert scene.redis.ask("SCRIPT KILL") == "+OK\r\n"
        t.join(WAIT)


@contextlib.contextmanager
def loading(scene):
    """It was restarted, and reads its file as slowly as if that were a large one."""
    redis = scene.redis
    redis.ask("SHUTDOWN SAVE")
    redis.process.wait(WAIT)
    redis.more += ("--key-load-delay", "200000", "--loading-process-events-interval-bytes", "1024")
    redis.start(ready=False)
    yield
    assert redis.ask("GET x").startswith("-LOADING")
    redis.ask("CONFIG SET key-load-delay 0")


class Case:
    """What is seen of a trouble: errors of one of these kinds, and whether Redis then is taken for away."""

    def __init__(self, trouble, errors, is_down=True, loses_writes=False, tls=False):
        self.trouble, self.errors, self.is_down = trouble, errors.split(), is_down
        self.loses_writes = loses_writes  # that it was told
        self.tls = tls

    def __str__(self):
        return self.trouble.__name__


# What changes bytes is known by TLS.
CASES = [Case(late, "timeout"), Case(black_hole, "timeout"), Case(stopped, "timeout"),
         Case(cut, "connection", is_down=False), Case(refused, "connection connect"),
         Case(lossy, "connection timeout", is_down=False, tls=True),
         Case(corrupt, "connection", is_down=False, tls=True),
         Case(full, "oom", is_down=False, loses_writes=True),
         Case(without_replicas, "other", is_down=False, loses_writes=True),
         Case(busy, "busy", is_down=False, loses_writes=True),
         Case(read_only, "readonly"), Case(without_master, "readonly"), Case(loading, "loading")]


@pytest.fixture
def begin(start, redis, provider, tmp_path):
    scenes = []

    def go(tls=False):
        scenes.append(Scene(start, redis, provider, Tls(tmp_path) if tls else None))
        return scenes[-1]
    yield go
    for s in scenes:
        s.proxy.close()


def endure(scene, trouble, errors, is_down=False):
    """Requests before, amid and after it."""
    with Load(scene.instances) as load:
        load.goes_on()
        with trouble(scene):
            scene.have_seen(errors)
            if is_down:
                scene.are_down()
            load.goes_on()
        scene.are_up()
        load.goes_on()
    return load


@pytest.mark.parametrize("case", CASES, ids=str)
def test_in_trouble_and_out_again(begin, case):
    scene = begin(tls=case.tls)
    load = endure(scene, case.trouble, case.errors, case.is_down)
    scene.nobody_hung(load)
    scene.each_got_his_own(load)
    scene.only_who_must_is_refused(load)
    if not case.loses_writes:
        scene.one_key_is_one_purchase(load)
    scene.are_one_again()
    scene.money_is_spent_once()
    scene.each_has_a_row(load)
    scene.logs_are_short(case.is_down)


@pytest.mark.parametrize("trouble", [lossy, corrupt], ids=lambda t: t.__name__)
def test_lies_without_tls(begin, trouble):
    """Then figures may be wrong, which nobody can know; and still there is an end to it."""
    scene = begin()
    load = endure(scene, trouble, ["protocol", "timeout", "damaged", "other", "connection"])
    scene.nobody_hung(load)
    scene.each_got_his_own(load)
    assert {a.answer.status for a in load.asked} <= {200, 429, 503}
    scene.are_one_again()
    scene.each_has_a_row(load)
