"""Operators and several instances: what one purges is purged for all, and all say how Redis is."""
from concurrent.futures import ThreadPoolExecutor
import urllib.request

from ctl import ctl_json, ctl_ok
from harness import WAIT, eventually, question
from purges import BASE, KINDS, SETUP, ask, has
from redis_servers import RedisCluster, RedisSentinels, is_up, needs_redis

pytestmark = needs_redis


def spread(one, two, n, headers=()):
    """Bought by one, and in the memory of both."""
    answer = ask(one, n, headers)
    assert answer.cache == "miss", answer.headers
    eventually(lambda: has(one, n, headers), "the value")
    eventually(lambda: one.get("/status")["store"]["queued"] == 0, "the value in redis")
    # Not before: who looks for what is not there yet is told of it when it is, and forgets it.
    assert has(two, n, headers)
    return answer


def purge(f, *what):
    """What is said of it, and not before this instance, too, knows when it was, as all do."""
    said = ctl_ok(f, "cache", "purge", *what)
    eventually(lambda: f.get("/cache")["purges_untold"] == 0, "that it is told")
    return said


def marks(f):
    return f.get("/cache")["purge_marks"]


def hears(f, count):
    eventually(lambda: marks(f) >= count, f"{count} marks of purges")


def test_a_purge_by_each_kind_is_one_of_all(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    for n, (kind, (value, other)) in enumerate(KINDS.items()):
        spread(one, two, n)
        spread(one, two, n + 100, other)  # no other answer: features and routes share them
        said = purge(one, f"--{kind}", value)
        assert f"cache.purge {kind.replace('-', '_')} {value}" in said and "within a second" in said
        hears(two, n + 1)
        for f in (two, one):  # who meets it first removes it, and counts it
            assert not has(f, n) and has(f, n + 100, other), kind
        assert ask(two, n).cache == "miss"  # what is asked for from now on is kept again
        assert ask(two, n).cache == "hit"
    assert not two.get("/cache")["purges_untold"] and two.get("/cache")["purged"] >= len(KINDS)


def test_a_key_and_several_kinds_and_everything(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    elsewhere = {"x-farthing-feature": "search"}
    answer = spread(one, two, 1)
    spread(one, two, 2)
    spread(one, two, 3, elsewhere)
    purge(two, "--key", answer.headers["x-farthing-cache-key"])
    hears(one, 1)
    assert not has(one, 1) and not has(two, 1) and has(one, 2) and has(two, 2)
    purge(two, "--feature", "search", "--corpus-version", "c1", "--reason", "wrong prices")
    hears(one, 2)
    for f in (one, two):
        assert has(f, 2) and not has(f, 3, elsewhere)
    assert "everything" in purge(one)
    eventually(lambda: marks(two) == 1, "the purge of everything")
    assert not has(one, 2) and not has(two, 2)
    assert "wrong prices" in ctl_ok(two, "audit")


def test_what_was_being_bought_is_purged_too(held, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    with ThreadPoolExecutor() as pool:
        buying = pool.submit(one.post, body=question("held"), headers=BASE)
        eventually(lambda: held.provider.requests, "the purchase")
        purge(two, "--corpus-version", "c1")
        hears(one, 1)
        held.go_on.set()
        assert buying.result(WAIT).cache == "miss"
    assert two.post(body=question("held"), headers=BASE).cache == "miss"
    assert two.post(body=question("held"), headers=BASE).cache == "hit"


def test_a_purge_without_redis_is_done_when_it_is_back(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    spread(one, two, 1)
    spread(one, two, 2, KINDS["feature"][1])
    redis.stop()
    eventually(lambda: not is_up(one) and not is_up(two), "the loss of redis")
    assert "when the shared store is back" in ctl_ok(one, "cache", "purge", "--feature", "chat")
    assert not has(one, 1) and has(one, 2, KINDS["feature"][1])
    assert ask(one, 1).cache == "miss" and has(one, 1)  # asked for after it
    assert one.get("/cache")["purges_untold"] == 1 and has(two, 1)
    redis.start()
    hears(two, 1)
    assert not has(two, 1) and has(two, 2, KINDS["feature"][1])
    eventually(lambda: one.get("/cache")["purges_untold"] == 0, "the end of waiting")
    assert not has(one, 1)  # for all it is a purge of this moment


def test_who_comes_later_knows_and_what_redis_lost_is_written_back(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    spread(one, two, 1)
    spread(one, two, 1, KINDS["tenant"][1])
    purge(one, "--tenant", "a")
    hears(two, 1)
    assert redis.ask("DEL farthing:{cache}:purges").startswith(":1")
    eventually(lambda: redis.ask("EXISTS farthing:{cache}:purges").startswith(":1"), "the marks again")
    three = start(store=redis.store, extra=SETUP)
    assert marks(three) == 1
    assert not has(three, 1) and has(three, 1, KINDS["tenant"][1])


SEARCH = KINDS["feature"][1]


def test_in_a_cluster_it_is_one_operation_too(counted, start):
    cluster = RedisCluster().start()
    try:
        one, two = start(store=cluster.store, extra=SETUP), start(store=cluster.store, extra=SETUP)
        for n in range(4):  # on several masters
            spread(one, two, n)
            spread(one, two, n + 100, SEARCH)
        purge(one, "--feature", "chat")
        hears(two, 1)
        for f in (one, two):
            assert not any(has(f, n) for n in range(4)) and all(has(f, n + 100, SEARCH) for n in range(4))
    finally:
        cluster.remove()


def test_a_failover_loses_no_purge(counted, start):
    sentinels = RedisSentinels().start()
    try:
        one, two = start(store=sentinels.store, extra=SETUP), start(store=sentinels.store, extra=SETUP)
        spread(one, two, 1)
        purge(one, "--feature", "chat")
        hears(two, 1)
        sentinels.nodes[0].stop()
        replica = sentinels.nodes[1]
        eventually(lambda: replica.role() == ["master"] and is_up(one) and is_up(two), "the failover")
        purge(two, "--tenant", "b")
        hears(one, 2)
        eventually(lambda: replica.ask("ZCARD farthing:{cache}:purges").startswith(":2"), "both marks")
        three = start(store=sentinels.store, extra=SETUP)
        assert marks(three) == 2 and not has(three, 1)
    finally:
        sentinels.remove()


def get(address):
    with urllib.request.urlopen(address, timeout=WAIT) as answer:
        return answer.status, answer.read().decode()


def test_all_say_how_redis_is(counted, start, redis):
    redis.start()
    failure = redis.store + ' on_store_failure { budgets = "open" }'
    one, two = start(store=failure), start(store=failure)
    eventually(lambda: one.get("/status")["store"]["instances"] == 2, "the other instance")
    said = one.get("/status")["store"]
    assert said["kind"] == "redis" and said["up"] and said["since"] and said["epoch"] >= 1
    assert said["instance"] != two.get("/status")["store"]["instance"]
    assert said["on_store_failure"] == {"idempotency": "refuse", "budgets": "open", "limits": "local"}
    api = one.url.removesuffix("/v1")
    assert get(one.admin + "/readyz") == get(api + "/readyz") == (200, "ready\n")
    redis.stop()
    eventually(lambda: not one.get("/status")["store"]["up"], "the loss of redis")
    away = (200, "ready\nthe shared store is away\n")  # or a balancer would take out all at once
    assert get(one.admin + "/readyz") == get(api + "/readyz") == away
    assert one.get("/status")["store"]["since"] > said["since"]
    assert "on_store_failure" in ctl_ok(one, "status")
    one.config.write_text(one.config.read_text().replace('budgets = "open"', 'limits = "closed"'))
    one.reload()
    assert ctl_json(one, "status")["store"]["on_store_failure"] == {
        "idempotency": "refuse", "budgets": "closed", "limits": "closed"}
