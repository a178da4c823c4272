"""Two instances with one Redis: what one bought, the other has; and without Redis both go on."""
import json
import subprocess

import pytest

from harness import FARTHING, WAIT, eventually, key, question, tenant
from redis_servers import HASTY, is_up, needs_redis

pytestmark = needs_redis


def kept(redis, values):
    """Writes take their time."""
    eventually(lambda: redis.values() >= values, f"{values} values in redis")


def test_what_one_bought_the_other_has(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store), start(store=redis.store)
    first = one.post()
    kept(redis, 1)
    second = two.post()
    assert (first.cache, second.cache) == ("miss", "hit") and first.body == second.body
    assert second.headers["x-farthing-cost-usd"] == "0"
    assert len(counted.requests) == 1
    assert two.rows(1)[0]["saved_usd"]["cache"] != "0"
    figures = dict(line.rsplit(" ", 1) for line in two.metrics().splitlines() if line.startswith("farthing_store_"))
    seconds = 'farthing_store_command_seconds_{}{{kind="redis",command="get"{}}}'
    assert int(figures[seconds.format("count", "")]) == 1 == int(figures[seconds.format("bucket", ',le="1"')])
    assert 0 < float(figures[seconds.format("sum", "")]) < 1
    streamed = two.post(body=question(stream=True))
    assert streamed.cache == "hit" and b"[DONE]" in streamed.body and len(counted.requests) == 1


def test_a_restart_finds_it_again(counted, start, redis):
    redis.start()
    one = start(store=redis.store)
    assert one.post().cache == "miss"
    kept(redis, 1)
    one.stop()
    one.start()
    assert one.post().cache == "hit" and len(counted.requests) == 1


def test_a_key_s_result_is_given_by_either(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store), start(store=redis.store)
    headers = {"Idempotency-Key": "k-1", "x-farthing-cache": "bypass"}
    first = one.post(headers=headers)
    kept(redis, 1)
    second = two.post(headers=headers)
    assert (first.status, second.status, second.cache) == (200, 200, "idempotent")
    assert first.body == second.body and len(counted.requests) == 1
    other = two.post(body=question(seed=5), headers=headers)
    assert (other.status, other.code) == (422, "idempotency_mismatch")


def test_tenants_stay_apart(counted, start, redis):
    redis.start()
    tenants = tenant("a") + tenant("b")
    one, two = start(store=redis.store, extra=tenants), start(store=redis.store, extra=tenants)
    assert one.post(headers=key("a")).cache == "miss"
    kept(redis, 1)
    assert two.post(headers=key("b")).cache == "miss"
    assert two.post(headers=key("a")).cache == "hit"
    assert len(counted.requests) == 2


def test_a_purge_reaches_the_memory_of_all(counted, start, redis):
    redis.start()
    one, two = start(store=redis.store), start(store=redis.store)
    assert one.post().cache == "miss"
    kept(redis, 1)
    assert [f.post().cache for f in (one, two)] == ["hit", "hit"]
    redis.ask("SET farthing:cache:generation another")  # as docs/redis.md says
    for f in (one, two):
        eventually(lambda f=f: f.get("/status")["cache"]["entries"] == 0, "an empty memory")
    assert one.post().cache == "miss" and len(counted.requests) == 2


def test_without_redis_from_the_start(counted, start, redis):
    one = start(store=redis.store)
    assert [one.post().cache for _ in range(2)] == ["miss", "hit"]  # from memory
    assert not is_up(one)
    assert one.log().count("fails:") == 1 and str(redis.path) in one.log()
    redis.start()
    eventually(lambda: is_up(one), "redis")
    two = start(store=redis.store)
    assert one.post(body=question(seed=2)).cache == "miss"
    kept(redis, 1)
    assert two.post(body=question(seed=2)).cache == "hit"


def test_redis_goes_and_comes_back(counted, start, redis):
    redis.start()
    one = start(store=redis.store)
    assert one.post().cache == "miss"
    redis.stop()
    eventually(lambda: not is_up(one), "the loss of redis")
    assert one.post().cache == "hit"  # of its own memory
    assert [one.post(body=question(seed=n)).status for n in range(20)] == [200] * 20
    assert one.post(headers={"Idempotency-Key": "k"}).status == 503
    redis.start()
    eventually(lambda: is_up(one), "redis")
    assert one.post(body=question(seed=100)).cache == "miss"
    kept(redis, 1)
    log = one.log()
    assert log.count("fails:") == 1 and log.count("is there again") == 1


def test_redis_is_silent(counted, start, redis):
    redis.start()
    one = start(store=redis.store + HASTY)
    assert one.post().cache == "miss"
    redis.pause()
    try:
        answers = [one.post(body=question(seed=n)) for n in range(10)]
        assert [a.status for a in answers] == [200] * 10
        eventually(lambda: not is_up(one), "the loss of redis")
        assert one.post().cache == "hit"
    finally:
        redis.resume()
    eventually(lambda: is_up(one), "redis")


def test_redis_is_full(counted, start, redis):
    redis.more = ("--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
    redis.start()
    one = start(store=redis.store)
    redis.ask("CONFIG SET maxmemory 1")
    assert [one.post().cache for _ in range(2)] == ["miss", "hit"]
    eventually(lambda: 'farthing_store_errors_total{kind="redis",error="oom"} 0' not in one.metrics(), "the error")
    eventually(lambda: "OOM" in one.log(), "what is said of it")


def test_no_secret_is_shown(counted, start, redis):
    redis.more = ("--requirepass", "hush-hush")
    redis.start()
    wrong = start(store=f'kind = "redis" url = "redis+unix://:not-hush@{redis.path}"')
    (redis.directory / "secret").write_text("hush-hush\n")
    right = start(store=f'{redis.store} password = "file:{redis.directory}/secret"')
    assert wrong.post().status == 200 and not is_up(wrong)
    assert right.post().status == 200 and is_up(right)
    for f in (wrong, right):
        assert "hush" not in f.log() + f.metrics() + json.dumps(f.get("/status"))


@pytest.mark.parametrize("store, said", [
    ('kind = "redis"', "needs one"),
    ('kind = "redis" url = "redis+cluster://a,b/1"', "no databases but 0"),
    ('kind = "redis" url = "redis+sentinel://a,b"', "names no master"),
    ('kind = "redis" url = "redis+sentinel://a,b/m" sentinel_user = "u"', "no sentinel_password"),
    ('kind = "redis" url = "redis://h:0"', "port"),
    ('kind = "redis" url = "rediss://h" ca_file = "/nonexistent"', "ca_file"),
    ('kind = "redis" url = "rediss://h" certificate = "c"', "together")])
def test_what_cannot_be_is_said_before(tmp_path, store, said):
    config = tmp_path / "routing.conf"
    config.write_text(f'store {{ {store} }}\nprovider "p" {{ base_url = "http://127.0.0.1:1/v1" }}\n'
                      'tier "t" { models = {"p/m"} }\n')
    done = subprocess.run([FARTHING, "-t", "-c", str(config)], capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 1 and said in done.stderr, done.stderr
