"""Two instances with a Redis that sentinels watch: they follow the master wherever it goes."""
import pytest

from harness import eventually, question
from redis_servers import PATIENT, RedisSentinels, Tls, is_up, needs_redis, store_at

pytestmark = needs_redis


@pytest.fixture
def sentinels():
    s = RedisSentinels()
    yield s.start()
    s.remove()


def is_shared(one, two, seed):
    """What `one` buys, or has, `two` has."""
    one.post(body=question(seed=seed))
    return eventually(lambda: two.post(body=question(seed=seed), headers={"x-farthing-cache": "only"}).status == 200,
                      "the other instance's answer")


def test_the_master_dies(counted, start, sentinels):
    one, two = start(store=sentinels.store), start(store=sentinels.store)
    assert is_up(one) and is_up(two)
    is_shared(one, two, 1)
    assert sentinels.nodes[0].values() > 0
    sentinels.nodes[0].stop()
    sentinels.sentinels[0].stop()  # the first that the url names
    eventually(lambda: not is_up(one) and not is_up(two), "the loss")
    assert [one.post(body=question(seed=n)).status for n in range(10, 20)] == [200] * 10
    eventually(lambda: is_up(one) and is_up(two), "another master")
    assert sentinels.nodes[1].role() == ["master"]
    is_shared(one, two, 2)
    assert f"is now at 127.0.0.1:{sentinels.nodes[1].port}" in one.log()


def test_the_master_is_changed(counted, start, sentinels):
    """Nothing dies: the former master takes writes for some seconds more, and nobody is to read them."""
    one, two = start(store=sentinels.store), start(store=sentinels.store)
    is_shared(one, two, 1)
    assert sentinels.sentinels[1].ask(f"SENTINEL FAILOVER {sentinels.NAME}").startswith("+OK")
    eventually(lambda: sentinels.nodes[1].role() == ["master"], "a change")
    for f in (one, two):
        eventually(lambda f=f: f"is now at 127.0.0.1:{sentinels.nodes[1].port}" in f.log() and is_up(f), "the new master")
    is_shared(one, two, 2)


def test_no_sentinel_knows_it(counted, start, sentinels):
    one = start(store=sentinels.store.replace("/" + sentinels.NAME, "/another") + PATIENT)
    assert not is_up(one) and one.post().status == 200
    assert "knows no master of this name" in one.log()


def test_with_tls(counted, start, tmp_path):
    """To the sentinels and to the master."""
    sentinels, tls = RedisSentinels(), Tls(tmp_path)
    for server in sentinels.nodes + sentinels.sentinels:
        tls.require(server)
    try:
        sentinels.start()
        url = sentinels.url.replace("redis+", "rediss+")
        one, two = (start(store=store_at(url) + f' ca_file = "{tls.ca_file}"') for _ in range(2))
        is_shared(one, two, 1)
        distrustful = start(store=store_at(url) + PATIENT)
        assert not is_up(distrustful) and "certificate is not accepted" in distrustful.log()
    finally:
        sentinels.remove()
