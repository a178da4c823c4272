import itertools
import shutil

import pytest

import chains
import gates
import harness
import redis_servers


@pytest.fixture
def provider():
    p = harness.Provider()
    yield p
    p.close()


@pytest.fixture
def start(provider):
    """Starts proxies; every one must end cleanly (sanitizers report by exit status)."""
    started = []

    def begin(*args, **kwargs):
        f = harness.Farthing(*(args or (provider.url,)), **kwargs)
        started.append(f)
        return f

    yield begin
    for f in started:
        running = f.process.poll() is None
        code = f.stop()
        log = f.log()
        assert "ERROR: AddressSanitizer" not in log and "runtime error:" not in log \
            and "LeakSanitizer" not in log, log
        assert code == 0 or not running, f"farthing exited with {code}: {log}"
    for f in started:
        shutil.rmtree(f.directory, ignore_errors=True)


@pytest.fixture
def farthing(start):
    return start()


@pytest.fixture
def begin_priced(provider, start):
    """Starts a proxy with these sections and known prices; its provider uses all that it may."""
    provider.answer = harness.answer_as_asked()

    def go(extra, **kwargs):
        return start(provider.url, extra=extra, **{"models": harness.PRICED, **kwargs})
    return go


@pytest.fixture
def held(provider):
    """A provider that answers requests with "held" in them when it is told to."""
    h = harness.Held(provider)
    yield h
    h.go_on.set()


@pytest.fixture
def counted(provider):
    """Each purchase gives another answer."""
    numbers = itertools.count(1)

    def answer(request, connection):
        text = f"answer {next(numbers)}"
        if request.json.get("stream"):
            events = harness.chat_events([w + " " for w in text.split()], harness.wants_usage(request))
            harness.stream_answer(events)(request, connection)
        else:
            harness.reply(connection, body=harness.chat(text))

    provider.answer = answer
    return provider


@pytest.fixture
def gate(provider):
    g = gates.Gate(provider)
    yield g
    g.release()


@pytest.fixture
def redis():
    """A server that is not started yet."""
    r = redis_servers.RedisServer()
    yield r
    r.remove()


@pytest.fixture
def large():
    p = harness.Provider(lambda r, c: chains.answer_of("large", r, c))
    yield p
    p.close()


@pytest.fixture
def begin_chain(provider, large, start):
    """Starts a proxy whose chain is small (provider) and large."""
    provider.answer = lambda r, c: chains.answer_of("small", r, c)

    def go(route="", extra="", provider_more=chains.ONCE, models=("", ""), large_more=chains.ONCE, url=None, **kwargs):
        big = (f'provider "big" {{ base_url = "{large.url}" api_key = "big-key" {large_more} }}\n'
               f'route "r" {{ tiers = {{"small", "large"}} {route} }}\n')
        return start(url or provider.url, extra=extra, provider=provider_more, models=big + chains.MODELS % models,
                     **kwargs)
    return go
