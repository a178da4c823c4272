"""Instances with one Redis: what one finds out of a provider, the others know."""
import pytest

from ctl import ctl_ok
from chains import ask, reasons, said, status
from harness import Provider, eventually
from redis_servers import needs_redis
from test_breaker import FOREVER, breaker

pytestmark = needs_redis


@pytest.fixture
def fleet(begin_chain, redis):
    """Starts instances, whose breakers open with three failures, until each listens to the others."""
    redis.start()
    running = []

    def go(more=FOREVER, **kwargs):
        running.append(begin_chain(provider_more=breaker(more=more), store=redis.store, **kwargs))
        eventually(lambda: redis.ask("PUBSUB NUMSUB farthing:gossip").endswith(f":{len(running)}\r\n"), "listening")
        return running[-1]
    return go


def metric(f, name):
    """The value of one series; 0 where there is none."""
    return next((float(line.rsplit(" ", 1)[1]) for line in f.metrics().splitlines() if line.startswith(name + " ")), 0)


def heard(f):
    return metric(f, 'farthing_gossip_messages_total{what="heard"}')


def is_open(f):
    return metric(f, 'farthing_breaker_state{provider="openai",model="small"}') == 2


def shown(f):
    return next(b for b in f.get("/breakers")["breakers"] if b["name"] == "openai/small")


def ask_again(f):
    return said(ask(f, headers={"x-farthing-cache": "bypass"}))


def trip(f, provider):
    provider.answer = status(500)
    for _ in range(3):
        ask_again(f)
    assert is_open(f)


def test_what_one_found_out_the_other_does_not_try(provider, large, fleet):
    one, two = fleet(), fleet()
    trip(one, provider)
    eventually(lambda: is_open(two), "hearsay")
    assert (shown(one)["hearsay"], shown(two)["hearsay"]) == (False, True)
    answer = ask(two, headers={"x-farthing-cache": "bypass"})
    assert said(answer) == "large answer" and len(provider.requests) == 3
    assert reasons(two.rows(1)[0]) == ["breaker_open", "ok"]
    table = ctl_ok(two, "breakers")
    line = next(row for row in table.splitlines() if row.startswith("openai/small"))
    assert "HEARSAY" in table and "open" in line and line.rstrip().endswith("yes"), table
    assert two.log().count("another instance says that 3 of 3 calls failed") == 1
    # Who comes later is told by one of those who are there.
    three = fleet()
    eventually(lambda: is_open(three), "an answer to its hello")
    assert ask_again(three) == "large answer" and len(provider.requests) == 3
    # And the operator's word is for all.
    ctl_ok(one, "breakers", "reset", "openai/small")
    eventually(lambda: not is_open(two) and not is_open(three), "the reset")


def test_a_probe_of_one_is_enough(provider, large, fleet):
    one, two = (fleet('open_for = "3s"') for _ in range(2))
    answer = provider.answer
    trip(one, provider)
    eventually(lambda: is_open(two), "hearsay")
    provider.answer = answer
    eventually(lambda: ask_again(one) == "small answer", "the probe")
    eventually(lambda: not is_open(two), "its closing")  # without a request
    assert len(two.log().split("its probe was answered")) == 2 and ask_again(two) == "small answer"


def test_one_that_is_cut_off_shuts_it_for_nobody_else(provider, large, fleet):
    nobody = Provider()
    one, two = fleet(url=nobody.url), fleet()
    assert ask_again(two) == "small answer"
    before = heard(two)
    trip(one, nobody)
    eventually(lambda: heard(two) > before and ask_again(two) == "small answer", "a word of the first")
    assert not is_open(two) and shown(two)["opened"] == 0
    nobody.close()


def test_without_redis_each_goes_by_what_it_sees(provider, large, redis, fleet):
    one, two = fleet(), fleet()
    redis.stop()
    trip(one, provider)
    for _ in range(3):
        assert ask_again(two) == "large answer"
    assert is_open(two) and not shown(two)["hearsay"] and len(provider.requests) == 6
