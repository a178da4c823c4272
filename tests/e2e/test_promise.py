"""The promise: nobody spends more than his budget, however many ask at once,
whatever fails, and whenever the process dies; and the books agree to the last unit."""
import asyncio
import resource
import signal
import sqlite3
from decimal import Decimal

import pytest

from harness import PRICED, budget, eventually, http_request, key, key_text, question, tenant
from storm import MODELS, PICO, FickleProvider, Storm, rows_of

CLIENTS = 2000
BUDGET = tenant("a", 'budget "all" { amount = "1 usd" }')
RETRIES = ('max_inflight = "0" retry { attempts = 3 backoff = "1ms" backoff_max = "5ms" budget_percent = 100 } '
           'breaker { failures = 1000000 }')  # every request is to reach the provider


@pytest.fixture(autouse=True)
def many_sockets():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(hard, 4 * CLIENTS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sum_of_file(f):
    return sum(Decimal(row["cost_usd"]) for row in rows_of(f))


def sum_of_table(f):
    with sqlite3.connect(f"file:{f.directory}/data/farthing.db?mode=ro", uri=True) as db:
        return sum(Decimal(cost) for (cost,) in db.execute("SELECT cost_usd FROM requests"))


def books_agree(f, spent):
    """Rows are written a moment after their requests."""
    eventually(lambda: sum_of_table(f) == spent, f"a table that sums up to {spent}")
    eventually(lambda: sum_of_file(f) == spent, f"a file that sums up to {spent}")


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
    books_agree(f, view["spent"])
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
    recovered = [r for r in rows_of(f) if r["ended_by"] == "recovered"]
    assert 1 <= len(recovered) <= 3 and all(Decimal(r["cost_usd"]) > 0 for r in recovered)


# ----------------------------------------------------- one process, one request, one end

def held_request(f, provider, headers=""):
    """A request whose provider never answers: its worst case is reserved."""
    provider.answer = lambda r, c: c.recv(1)  # until the proxy hangs up
    connection = f.connect()
    request = http_request(question(max_tokens=100), headers=headers)
    connection.sendall(request.replace(b"client-key", key_text("a").encode()))
    eventually(lambda: provider.requests, "the request")
    return connection


@pytest.mark.parametrize("user", ["x-farthing-user: u\r\n", ""], ids=["user", "nobody"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_reserved_when_the_process_ended(provider, start, how, user):
    two = budget("1", name="all") + budget("1", 'per = "user"', name="each")
    f = start(provider.url, server='drain_timeout = "100ms"', models=PRICED,
              extra=tenant("a", two) + tenant("b", budget("1", name="b's")))
    connection = held_request(f, provider, user)
    reserved = f.budget("all")["reserved"]
    assert reserved > Decimal("0.001") and f.budget("each")["reserved"] == reserved
    f.stop(how)
    connection.close()
    for _ in range(2):  # the second time there is nothing more to recover
        f.start()
        view = f.budget("all")
        spent = view["spent"]
        assert view["reserved"] == 0
        books_agree(f, spent)
        recovered = [r for r in f.rows() if r["ended_by"] == "recovered"]
        if how == signal.SIGKILL:  # its worst case, and what was granted but not yet asked for
            assert reserved <= spent <= reserved + Decimal("0.016") and f.budget("each")["spent"] >= reserved
            assert [(r["tenant_id"], r["cost_usd"]) for r in recovered] == [("a", view["spent_usd"])]
        else:  # in order: a row of its own, and no more than that
            assert 0 < spent < reserved and not recovered and f.budget("each")["spent"] == spent
            assert [r["ended_by"] for r in f.rows()] == ["shutdown"]
        assert all(b["spent"] == 0 for b in f.budgets("b's"))
        f.stop()


def test_a_crash_costs_no_more_than_was_left(provider, start):
    f = start(provider.url, models=PRICED, extra=tenant("a", budget("0.0012", name="all")))
    connection = held_request(f, provider)
    f.stop(signal.SIGKILL)
    connection.close()
    f.start()
    view = f.budget("all")
    assert view["spent"] <= Decimal("0.0012") and view["spent"] + view["remaining"] == Decimal("0.0012")
    refused = f.post(body=question(max_tokens=100), headers=key("a"))
    assert refused.code == "budget_exceeded"
    books_agree(f, view["spent"])
