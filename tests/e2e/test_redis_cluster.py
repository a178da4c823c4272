"""Two instances with a Redis cluster: what one bought the other has, wherever it lies; and a node may go."""
import contextlib
import threading

import pytest

from harness import PRICED, budget, eventually, key, question, tenant
from redis_servers import RedisCluster, Tls, is_up, needs_redis, store_at

pytestmark = needs_redis


@pytest.fixture(scope="module")
def cluster():
    """One for all of them, in this order: the last kills a part of it."""
    c = RedisCluster()
    yield c.start()
    c.remove()


@contextlib.contextmanager
def traffic(*instances):
    """Each is asked new questions until the end; every one must be answered."""
    ended, answers = threading.Event(), []

    def ask(f, first):
        n = first
        while not ended.is_set():
            answers.append(f.post(body=question(seed=n)).status)
            n += 1

    threads = [threading.Thread(target=ask, args=(f, 100000 * (i + 1))) for i, f in enumerate(instances)]
    for t in threads:
        t.start()
    try:
        yield answers
    finally:
        ended.set()
        for t in threads:
            t.join()
    assert set(answers) == {200}


def values(cluster):
    """On each master; generations of spaces and what instances say of themselves are none."""
    return [int(n.ask("DBSIZE")[1:]) for n in cluster.nodes if n.process is not None and n.role() == ["master"]]


def is_shared(one, two, seeds):
    """All that `one` buys, or has, `two` has."""
    for n in seeds:
        one.post(body=question(seed=n))
    return eventually(lambda: all(two.post(body=question(seed=n), headers={"x-farthing-cache": "only"}).status == 200
                                  for n in seeds), "the other instance's answers")


def test_what_one_bought_the_other_has(counted, start, cluster):
    one, two = start(store=cluster.store), start(store=cluster.store)
    assert is_up(one) and is_up(two)
    is_shared(one, two, range(40))
    assert len(counted.requests) == 40
    assert all(count >= 5 for count in values(cluster))
    key = {"Idempotency-Key": "k-1", "x-farthing-cache": "bypass"}
    first = one.post(headers=key)
    second = eventually(lambda: two.post(headers=key), "its result")
    assert (second.status, second.cache, second.body) == (200, "idempotent", first.body)


def test_all_that_is_shared_has_its_keys_on_one_node(counted, start, cluster):
    """Whatever a script changes together: a cluster would say CROSSSLOT."""
    names = [f"acme-{n}" for n in range(6)]
    limits = 'concurrency = 20 queue = 5 requests = "6000/min" tokens = "6000000/min" ' + budget("5") + budget(
        "1", 'feature = "f*"', name="part")
    options = {"store": cluster.store, "extra": "".join(tenant(n, limits) for n in names), "models": PRICED}
    one, two = start(**options), start(**options)
    for n, name in enumerate(names):
        for f in (one, two):
            more = {"x-farthing-run": f"r-{n}", "x-farthing-feature": "f1", "Idempotency-Key": f"k-{n}"}
            answer = f.post(body=question(seed=n), headers={**key(name), **more})
            assert answer.status == 200, answer.body
    for f in (one, two):
        figures = f.metrics()
        for error in ("cluster", "other"):
            assert f'farthing_store_errors_total{{kind="redis",error="{error}"}} 0' in figures, f.log()


def move(cluster, slot, source, target):
    """As `redis-cli --cluster reshard` does it."""
    a, b = cluster.nodes[source], cluster.nodes[target]
    assert b.ask(f"CLUSTER SETSLOT {slot} IMPORTING {cluster.ids[source]}").startswith("+OK")
    assert a.ask(f"CLUSTER SETSLOT {slot} MIGRATING {cluster.ids[target]}").startswith("+OK")
    while (keys := a.call(b"CLUSTER", b"GETKEYSINSLOT", b"%d" % slot, b"1")) != b"*0\r\n":
        key = keys.split(b"\r\n", 2)[2][:-2]
        assert a.call(b"MIGRATE", b"127.0.0.1", b"%d" % b.port, key, b"0", b"5000") in (b"+OK\r\n", b"+NOKEY\r\n")
    for node in (b, a, cluster.nodes[3 - source - target]):
        assert node.ask(f"CLUSTER SETSLOT {slot} NODE {cluster.ids[target]}").startswith("+OK")


def test_slots_move_under_traffic(counted, start, cluster):
    one, two = start(store=cluster.store), start(store=cluster.store)
    with traffic(one, two):
        is_shared(one, two, range(100, 130))
        for slot in range(0, 200):
            move(cluster, slot, 0, 1)
        is_shared(one, two, range(100, 160))
        figures = one.metrics()
    for error in ("cluster", "connection", "protocol"):
        assert f'farthing_store_errors_total{{kind="redis",error="{error}"}} 0' in figures


def test_a_master_dies_under_traffic(counted, start, cluster):
    one, two = start(store=cluster.store), start(store=cluster.store)
    with traffic(one, two):
        is_shared(one, two, range(200, 220))
        cluster.nodes[1].stop()
        eventually(lambda: not is_up(one) and not is_up(two), "the loss")
        eventually(lambda: cluster.nodes[4].role() == ["master"], "another master")
        eventually(lambda: is_up(one) and is_up(two), "a whole cluster")
        is_shared(one, two, range(200, 260))
    assert "is there again" in one.log()


def test_with_tls_and_a_password(counted, start, tmp_path):
    """To each node that is learned of, too."""
    cluster, tls = RedisCluster("--requirepass", "hush", "--masterauth", "hush"), Tls(tmp_path)
    for node in cluster.nodes:
        tls.require(node)
        node.password = "hush"
    try:
        cluster.start()
        url = cluster.url.replace("redis+cluster://", "rediss+cluster://:hush@")
        store = store_at(url) + f' ca_file = "{tls.ca_file}"'
        one, two = start(store=store), start(store=store)
        assert is_up(one) and is_up(two)
        is_shared(one, two, range(20))
        assert "hush" not in one.log() + one.metrics()
    finally:
        cluster.remove()
