"""Instances with one Redis: what one buys anew or finishes while Redis is away, the others come to see."""
from harness import eventually, question
from redis_servers import is_up, needs_redis

pytestmark = needs_redis


def test_what_one_buys_anew_the_other_s_memory_loses(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store), start(store=redis.store)
    assert one.post().cache == "miss"
    eventually(lambda: two.post().cache == "hit", "the answer")  # in the memory of both now
    before = len(counted.requests)

    def is_seen():
        anew = two.post(headers={"x-farthing-cache": "refresh"})
        assert anew.status == 200
        for _ in range(20):
            answer = one.post()
            if answer.body == anew.body:
                return answer.cache == "hit"
        return False  # redis does not tell of changes yet
    eventually(is_seen, "the other's answer")
    assert one.post().body == two.post().body
    assert len(counted.requests) > before


def test_what_was_finished_while_redis_was_away(counted, start, redis):
    redis.start()
    local = 'on_store_failure { idempotency = "local" }'
    one = start(store=f"{redis.store} {local}")
    headers = {"Idempotency-Key": "k-1", "x-farthing-cache": "bypass"}
    assert one.post().cache == "miss"
    assert one.post(body=question(seed=1), headers={**headers, "Idempotency-Key": "k-0"}).status == 200
    # One under way, or not known to be there, would wait, too.
    eventually(lambda: redis.values() == 2, "both writes there")
    eventually(lambda: one.get("/status")["store"]["queued"] == 0, "that it knows")
    redis.stop()
    eventually(lambda: not is_up(one), "the loss of redis")
    assert one.post(body=question(seed=2)).cache == "miss"
    first = one.post(headers=headers)
    assert first.status == 200
    eventually(lambda: 'farthing_store_kept{kind="redis"} 2' in one.metrics(), "two writes that wait")
    redis.start()
    eventually(lambda: is_up(one), "redis")
    eventually(lambda: 'farthing_store_kept{kind="redis"} 0' in one.metrics(), "no writes that wait")
    eventually(lambda: redis.values() == 2, "both writes there")  # it came back empty
    two = start(store=redis.store)
    assert two.post(body=question(seed=2)).cache == "hit"
    second = two.post(headers=headers)
    assert (second.cache, second.body) == ("idempotent", first.body)
