"""Several instances and one Redis: a key that an operator blocks at one is blocked at all."""

from ctl import ctl_json, ctl_ok
from harness import eventually, key, key_text, tenant
from redis_servers import RedisSentinels, is_up, needs_redis

pytestmark = needs_redis

SETUP = tenant("a", keys=2) + tenant("b")


def block(f, name, n=0, how="block"):
    ctl_ok(f, "keys", how, "--stdin", "--reason", "leaked", stdin=key_text(name, n))


def keys(f):
    return ctl_json(f, "keys")["keys"]


def status(f, name, n=0):
    answer = f.post(headers=key(name, n))
    assert answer.status == 200 or answer.json["error"]["code"] == "invalid_api_key", answer.body
    return answer.status


def becomes(code, f, name, n=0):
    eventually(lambda: status(f, name, n) == code, f"{code} for {name}")


def test_what_one_blocks_and_unblocks_is_so_at_all(provider, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    assert status(two, "a") == 200  # kept, which does not help
    block(one, "a")
    assert status(one, "a") == 401
    becomes(401, two, "a")
    assert status(two, "a", 1) == status(two, "b") == 200
    assert keys(one) == keys(two)
    shown = next(k for k in keys(two) if k["blocked"])
    assert (shown["tenant"], shown["reason"], shown["who"]) == ("a", "leaked", "127.0.0.1")
    block(two, "a", how="unblock")
    assert status(two, "a") == 200
    becomes(200, one, "a")
    assert keys(one) == keys(two)


def test_a_whole_tenant(provider, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    ctl_ok(one, "keys", "block", "--tenant", "a")
    becomes(401, two, "a")
    assert status(two, "a", 1) == 401 and status(two, "b") == 200
    assert keys(one) == keys(two)
    ctl_ok(two, "keys", "unblock", "--tenant", "a")
    becomes(200, one, "a", 1)


def test_what_is_ordered_without_redis_is_heard_when_it_is_back(provider, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    block(one, "a")
    becomes(401, two, "a")
    redis.stop()
    eventually(lambda: not is_up(one) and not is_up(two), "the loss of redis")
    block(one, "b")
    block(two, "a", how="unblock")
    assert status(one, "b") == 401 and status(two, "b") == 200
    assert status(one, "a") == 401 and status(two, "a") == 200
    redis.start()  # and has lost all
    becomes(401, two, "b")
    becomes(200, one, "a")
    assert keys(one) == keys(two)


def test_who_starts_again_or_comes_later_knows(provider, start, redis):
    redis.start()
    one, two = start(store=redis.store, extra=SETUP), start(store=redis.store, extra=SETUP)
    block(one, "a")
    becomes(401, two, "a")
    two.stop()
    block(one, "a", how="unblock")
    block(one, "b")
    eventually(lambda: redis.ask("ZCARD farthing:{blocks}:names").startswith(":2"), "both orders in redis")
    three = start(store=redis.store, extra=SETUP)
    two.start()
    for f in (two, three):
        assert status(f, "a") == 200 and status(f, "b") == 401  # from its first request on
    assert keys(one) == keys(two) == keys(three)
    redis.stop()
    two.stop()
    two.start()
    assert status(two, "a") == 200 and status(two, "b") == 401  # by what it learned


def test_a_failover_opens_no_key(provider, start):
    sentinels = RedisSentinels().start()
    try:
        one, two = start(store=sentinels.store, extra=SETUP), start(store=sentinels.store, extra=SETUP)
        block(one, "a")
        becomes(401, two, "a")
        sentinels.nodes[0].stop()
        replica = sentinels.nodes[1]
        eventually(lambda: replica.role() == ["master"] and is_up(one) and is_up(two), "the failover")
        block(two, "b")
        becomes(401, one, "b")
        assert status(one, "a") == status(two, "a") == status(start(store=sentinels.store, extra=SETUP), "a") == 401
    finally:
        sentinels.remove()
