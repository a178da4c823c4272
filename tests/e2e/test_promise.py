"""The promise: nobody spends more than his budget, however many ask at once,
whatever fails, and whenever the process dies; and the books agree to the last unit."""
import asyncio
import json
import resource
import sqlite3
from decimal import Decimal

import pytest

from harness import eventually, tenant
from storm import MODELS, PICO, FickleProvider, Storm

CLIENTS = 2000
BUDGET = tenant("a", 'budget "all" { amount = "1 usd" }')
RETRIES = 'max_inflight = "0" retry { attempts = 3 backoff = "1ms" backoff_max = "5ms" }'


@pytest.fixture(autouse=True)
def many_sockets():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(hard, 4 * CLIENTS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sum_of_file(f):
    with open(f.cost_log) as log:
        return sum(Decimal(json.loads(line)["cost_usd"]) for line in log)


def sum_of_table(f):
    with sqlite3.connect(f"file:{f.directory}/data/farthing.db?mode=ro", uri=True) as db:
        return sum(Decimal(cost) for (cost,) in db.execute("SELECT cost_usd FROM requests"))


def weather(start, kill_at=()):
    """A storm over one proxy; returns that, the storm, and its provider."""
    async def blow():
        async with FickleProvider() as provider:
            f = await asyncio.to_thread(start, provider.url, extra=BUDGET, models=MODELS, provider=RETRIES,
                                        log='level = "info"')
            storm = Storm(f, provider, CLIENTS, kill_at)
            await storm.spend_all()
            return f, storm, provider
    return asyncio.run(blow())


def check_books(f, storm):
    view = f.budget("all")
    assert view["reserved"] == 0 and view["overrun"] == 0
    assert view["spent"] == 1 - view["remaining"] <= 1
    eventually(lambda: sum_of_table(f) == view["spent"], "the table's agreement")
    assert sum_of_file(f) == view["spent"]
    assert len(storm.samples) > 10
    for spent, reserved, remaining in storm.samples:
        assert spent + reserved <= 1 and 0 <= remaining <= 1
    booked = [spent for spent, _, _ in storm.samples]
    assert booked == sorted(booked)  # what is spent is never given back
    return view["spent"]


def test_two_thousand_at_once_cannot_spend_more_than_there_is(start):
    f, storm, provider = weather(start)
    spent = check_books(f, storm)
    assert spent >= Decimal("0.95")
    assert any(reserved > Decimal("0.5") for _, reserved, _ in storm.samples)  # they did press
    assert all(storm.outcomes.values()) and provider.failed > 100
    rows = f.rows()
    assert {r["ended_by"] for r in rows} >= {"farthing", "budget", "client", "provider"}
    assert max(len(r["attempts"]) for r in rows) == 3
    assert {r["cache"] for r in rows} >= {"hit", "miss", "coalesced"}


def test_the_process_dies_again_and_again_and_nothing_is_forgotten(start):
    f, storm, provider = weather(start, kill_at=(300, 300, 300))
    spent = check_books(f, storm)
    assert not storm.kill_at and f.log().count("serves on") == 4
    assert provider.billed * PICO <= spent
    recovered = [r for r in f.rows() if r["ended_by"] == "recovered"]
    assert 1 <= len(recovered) <= 3 and all(Decimal(r["cost_usd"]) > 0 for r in recovered)
