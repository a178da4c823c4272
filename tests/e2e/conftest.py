import shutil

import pytest

import harness


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
