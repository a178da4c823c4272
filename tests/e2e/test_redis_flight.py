"""What is being bought right now, by instances that share a Redis: one purchase for all of them."""
import json
import signal
import time

import pytest

from gates import answers_of, ask, buy_once, following, parse, words_of
from harness import WAIT, chat, eventually, question, read_all, read_until, reply, row_of
from redis_servers import RedisCluster, is_up, needs_redis

pytestmark = needs_redis
LEASE = 6  # seconds after which a purchase is anybody's whose owner is not heard of


@pytest.fixture
def gate(gate):
    """Each answer is another."""
    gate.words = lambda n: ("answer", f" {n}")
    return gate


@pytest.fixture
def fleet(start, redis):
    """So many instances over one Redis."""
    def begin(count, **options):
        redis.start()
        more = options.pop("store", "")
        members = [start(store=redis.store + more, **options) for _ in range(count)]
        eventually(lambda: all(is_up(f) for f in members), "all instances at redis")
        return members
    return begin


def claims(redis):
    return [k for k in redis.ask("KEYS farthing:{*").split("\r\n") if k.endswith((":flight", ":key"))]


def nothing_is_claimed(redis):
    eventually(lambda: not claims(redis), "no claim")


@pytest.mark.parametrize("kind", ["whole", "stream", "mixed"])
def test_all_instances_buy_once(gate, fleet, redis, kind):
    members = fleet(3)
    streams = {"whole": [False], "stream": [True], "mixed": [True, False]}[kind]
    connections = [ask(members[n % 3], stream=streams[n % len(streams)]) for n in range(20)]
    following(members, 20)  # and so does the owner, for those elsewhere
    gate.release()
    answers = answers_of(connections)
    assert {a[0] for a in answers} == {200}
    assert {words_of(a) for a in answers} == {"answer 1"} and gate.bought == 1
    caches = [a[1].get("x-farthing-cache") for a in answers]
    assert caches.count("miss") == 1 and set(caches) == {"miss", "coalesced"}
    rows = [r for f, n in zip(members, (7, 7, 6)) for r in f.rows(n)]
    assert sum(r["cost_usd"] != "0" for r in rows) == 1
    assert [r["cost_usd"] for r in rows if r["cache"] == "coalesced"] == ["0"] * 19
    assert all(set(r["saved_usd"]) == {"coalesce"} for r in rows if r["cache"] == "coalesced")
    nothing_is_claimed(redis)
    assert {f.post().cache for f in members} == {"hit"} and gate.bought == 1


def test_a_stream_is_followed_live(gate, fleet, redis):
    one, two = fleet(2)
    gate.begin.set()
    leader = ask(one, stream=True)
    led = read_until(leader, b"answer")
    follower = ask(two, stream=True)
    followed = read_until(follower, b"answer")  # while the provider waits
    late = ask(two, stream=True)
    followed_late = read_until(late, b"answer")
    assert gate.bought == 1 and not gate.go_on.is_set()
    gate.go_on.set()
    answers = [parse(read_all(c, begun)) for c, begun in
               ((leader, led), (follower, followed), (late, followed_late))]
    assert len({a[2] for a in answers}) == 1 and b"[DONE]" in answers[1][2]
    assert [a[1]["x-farthing-cache"] for a in answers] == ["miss", "coalesced", "coalesced"]
    assert "farthing_relayed_stream_bytes_total 0\n" not in one.metrics()
    assert two.rows(2)[0]["saved_usd"].get("coalesce")
    nothing_is_claimed(redis)


def test_a_stream_nobody_follows_is_not_relayed(gate, fleet, redis):
    one, _ = fleet(2)
    gate.release()
    assert parse(read_all(ask(one, stream=True)))[0] == 200
    assert ":stream:" not in redis.ask("KEYS *")


def test_one_with_its_usage_is_served_from_the_same(gate, fleet):
    one, two = fleet(2)
    gate.begin.set()
    leader = ask(one, stream=True)
    read_until(leader, b"answer")
    other = ask(two, stream=True, stream_options={"include_usage": True})
    following([two], 1)
    gate.go_on.set()
    answer = parse(read_all(other))
    assert b'"usage":{' in answer[2] and words_of(answer) == "answer 1" and gate.bought == 1


def test_an_owner_that_dies_is_succeeded_once(gate, fleet, redis):
    one, two, three = fleet(3)
    dead = [ask(one), ask(one, "Idempotency-Key: k\r\n", text="another")]
    eventually(lambda: gate.bought == 2, "two purchases")
    connections = [ask((two, three)[n % 2]) for n in range(6)]
    keyed = [ask(f, "Idempotency-Key: k\r\n", text="another") for f in (two, three)]
    following([two, three], 8)
    gate.begin.set()
    one.process.send_signal(signal.SIGKILL)
    one.process.wait(WAIT)
    other = {"body": question("something else"), "headers": {"Idempotency-Key": "k"}}
    assert two.post(**other).status == 422  # who holds it may still be there
    eventually(lambda: gate.bought == 4, "two more")
    gate.go_on.set()
    answers = answers_of(connections)
    assert {a[0] for a in answers} == {200} and len({words_of(a) for a in answers}) == 1
    answers = answers_of(keyed)
    assert {a[0] for a in answers} == {200} and len({words_of(a) for a in answers}) == 1
    assert gate.bought == 4
    for connection in dead:
        connection.close()
    nothing_is_claimed(redis)


def test_an_owner_whose_client_goes_buys_for_those_elsewhere(gate, fleet, redis):
    one, two = fleet(2)
    client = ask(one)
    eventually(lambda: gate.bought == 1, "a purchase")
    follower = ask(two)
    following([one, two], 2)  # itself, and for it the owner
    client.close()
    gate.release()
    answer = parse(read_all(follower))
    assert (answer[0], words_of(answer), gate.bought) == (200, "answer 1", 1)
    nothing_is_claimed(redis)


def test_a_failure_is_tried_by_one_other(gate, fleet, redis):
    """500 is the owner's own: the next asks again, and the others follow that one."""
    one, two = fleet(2)
    number = iter(range(100))

    def answer(request, connection):
        n = next(number)
        assert gate.begin.wait(WAIT)
        if n < 3:  # all attempts of the first
            reply(connection, 500, b'{"error": {"message": "no"}}')
        else:
            reply(connection, body=chat("at last"))
    gate.provider.answer = answer
    first = ask(one)
    eventually(lambda: gate.provider.requests, "a purchase")
    others = [ask(two) for _ in range(3)]
    following([two], 3)
    gate.begin.set()
    assert parse(read_all(first))[0] >= 500
    assert {(a[0], words_of(a)) for a in answers_of(others)} == {(200, "at last")}
    assert len(gate.provider.requests) == 4
    nothing_is_claimed(redis)


def test_an_error_for_all_is_given_to_all(gate, fleet, redis):
    gate.refuse()
    one, two = fleet(2)
    first = ask(one)
    eventually(lambda: gate.bought == 1, "a purchase")
    others = [ask(two) for _ in range(3)]
    following([one, two], 4)
    gate.release()
    answers = answers_of([first, *others])
    assert [a[0] for a in answers] == [400] * 4 and gate.bought == 1
    assert {json.loads(a[2])["error"]["code"] for a in answers} == {"c"}
    nothing_is_claimed(redis)


def test_over_a_cluster(gate, start):
    cluster = RedisCluster()
    try:
        cluster.start()
        one, two = (start(store=cluster.store) for _ in range(2))
        eventually(lambda: is_up(one) and is_up(two), "both at redis")
        buy_once(gate, one, two)
    finally:
        cluster.remove()


# ------------------------------------------------------------------ keys

@pytest.mark.parametrize("more", [{}, {"x-farthing-cache": "bypass"}])
def test_one_key_on_all_instances_is_one_purchase(gate, fleet, redis, more):
    members = fleet(3)
    headers = "Idempotency-Key: k-1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in more.items())
    connections = [ask(members[n % 3], headers=headers) for n in range(9)]
    following(members, 8)
    other = members[1].post(body=question("something else"), headers={"Idempotency-Key": "k-1", **more})
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    gate.release()
    answers = answers_of(connections)
    assert {(a[0], words_of(a)) for a in answers} == {(200, "answer 1")} and gate.bought == 1
    caches = [a[1]["x-farthing-cache"] for a in answers]
    assert caches.count("miss" if not more else "bypass") == 1
    assert set(caches) - {"miss", "bypass"} <= {"idempotent", "coalesced"}
    nothing_is_claimed(redis)
    again = [f.post(headers={"Idempotency-Key": "k-1", **more}) for f in members]
    assert [(a.status, a.cache) for a in again] == [(200, "idempotent")] * 3 and gate.bought == 1


def test_a_key_s_stream_is_followed_live(gate, fleet):
    one, two = fleet(2)
    gate.begin.set()
    headers = "Idempotency-Key: k-2\r\nx-farthing-cache: bypass\r\n"
    leader = ask(one, headers, stream=True)
    led = read_until(leader, b"answer")
    follower = ask(two, headers, stream=True)
    followed = read_until(follower, b"answer")
    whole = ask(two, headers)  # another form of the same
    gate.go_on.set()
    answers = [parse(read_all(leader, led)), parse(read_all(follower, followed)), parse(read_all(whole))]
    assert [words_of(a) for a in answers] == ["answer 1"] * 3 and gate.bought == 1


# ---------------------------------------------------------- without redis

def test_without_redis_keys_are_refused_and_nothing_else(counted, start, redis):
    one = start(store=redis.store)
    assert not is_up(one)
    refused = one.post(headers={"Idempotency-Key": "k"})
    assert (refused.status, refused.code) == (503, "store_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1 and len(counted.requests) == 0
    assert [one.post().cache for _ in range(2)] == ["miss", "hit"]
    assert row_of(one, refused)["error_code"] == "store_unavailable" and len(one.rows(3)) == 3


def test_what_is_finished_is_served_without_redis(counted, fleet, redis):
    (one,) = fleet(1)
    headers = {"Idempotency-Key": "k", "x-farthing-cache": "bypass"}
    first = one.post(headers=headers)
    redis.stop()
    eventually(lambda: not is_up(one), "the loss of redis")
    again = one.post(headers=headers)
    assert (again.status, again.cache, again.body) == (200, "idempotent", first.body)
    assert one.post(headers={"Idempotency-Key": "other"}).status == 503
    assert one.post(body=question("other"), headers=headers).status == 422


def test_keys_of_its_own_where_the_file_says_so(counted, fleet, redis):
    (one,) = fleet(1, store=' on_store_failure { idempotency = "local" }')
    redis.stop()
    eventually(lambda: not is_up(one), "the loss of redis")
    headers = {"Idempotency-Key": "k", "x-farthing-cache": "bypass"}
    assert [one.post(headers=headers).cache for _ in range(2)] == ["bypass", "idempotent"]
    assert len(counted.requests) == 1


def test_followers_do_not_hang_when_redis_goes(gate, fleet, redis):
    one, two = fleet(2)
    gate.begin.set()
    first = ask(one)
    eventually(lambda: gate.bought == 1, "a purchase")
    others = [ask(two) for _ in range(3)]
    keyed = ask(two, "Idempotency-Key: k\r\n")
    following([two], 4)
    redis.stop()
    began = time.monotonic()
    eventually(lambda: gate.bought > 1, "a purchase of its own")
    assert time.monotonic() - began < LEASE + WAIT / 2
    gate.go_on.set()
    assert {a[0] for a in answers_of([first, *others])} == {200}
    assert parse(read_all(keyed))[0] in (200, 503)  # by when it was told


def test_an_owner_claims_again_what_redis_forgot(gate, fleet, redis):
    one, two = fleet(2)
    gate.begin.set()
    first = ask(one)
    eventually(lambda: gate.bought == 1, "a purchase")
    other = ask(two)
    following([two], 1)
    redis.stop()
    redis.start()
    eventually(lambda: claims(redis), "the claim")
    late = ask(two)
    following([two], 2)
    gate.go_on.set()
    assert {(a[0], words_of(a)) for a in answers_of([first, late, other])} == {(200, "answer 1")}
    assert gate.bought == 1
    nothing_is_claimed(redis)
