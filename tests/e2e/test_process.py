"""The process: options, configuration, reload, drain, death, disks, admin address."""
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from harness import (FARTHING, FARTHINGCTL, chat_answer, chat_events, eventually, hang_up, http_request, question,
                     read_all, read_until, reply)


def run(*args, **kwargs):
    return subprocess.run([FARTHING, *args], capture_output=True, text=True, timeout=60, **kwargs)


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# -------------------------------------------------------------------- options

def test_version_and_help():
    assert re.fullmatch(r"farthing \d+\.\d+\.\d+\n", run("--version").stdout)
    shown = run("--help")
    assert shown.returncode == 0 and all(o in shown.stdout for o in ("-c FILE", "-t", "demo", "--version"))


@pytest.mark.parametrize("args", [[], ["--nonsense"], ["-c"], ["-c", "/nonexistent/routing.conf"],
                                  ["-t", "-c", "/nonexistent/routing.conf"]])
def test_wrong_options(args):
    done = run(*args)
    assert done.returncode != 0 and done.stderr


def check(tmp_path, text, env=None):
    file = tmp_path / "routing.conf"
    file.write_text(text)
    done = run("-t", "-c", str(file), env={**os.environ, **(env or {})})
    return done.returncode, (done.stdout + done.stderr).replace(str(file), "FILE")


PROVIDER = 'provider "a" { base_url = "https://api.example.com/v1" api_key = "k" }\n'


def test_a_good_file(tmp_path):
    code, said = check(tmp_path, PROVIDER)
    assert code == 0, said


def test_the_sample_of_the_tree():
    here = os.path.dirname(__file__)
    done = run("-t", "-c", os.path.join(here, "..", "..", "conf", "routing.conf"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text,line,words", [
    ('provder "a" { }', 1, ["provder", "provider"]),
    ('\n\nserver { listn = {"127.0.0.1:1"} }', 3, ["listn", "listen"]),
    ('server { drain_timeout = "5 parsecs" }', 1, ["drain_timeout", "5 parsecs"]),
    ('cache { memory = "many" }', 1, ["memory", "many"]),
    (PROVIDER + 'tier "t" { models = {"b/m"} }', 2, ["b/m"]),
    (PROVIDER + 'model "b/m" { }', 2, ["b"]),
    (PROVIDER + 'route "r" { tiers = {"smal"} }', 2, ["smal"]),
    ('provider "a" { base_url = "ftp://x" }', 1, ["ftp://x"]),
    ('provider "a" { base_url = "https://x" api_key = "${FARTHING_TEST_UNSET}" }', 1,
     ["FARTHING_TEST_UNSET"]),
    ('provider "a" { base_url = "https://x" api_key = "file:/nonexistent" }', 1, ["/nonexistent"]),
    ('server { listen = {"0.0.0.0:4000"} }', 1, ["tenant"]),
    ('server { tls_certificate = "x" }', 1, ["tls_key"]),
    ('server {', None, []),
    (PROVIDER + 'server { tls_certificate = "/nonexistent.pem" tls_key = "/nonexistent.key" }', None,
     ["/nonexistent.pem"]),
    (PROVIDER + 'log { prices = "/nonexistent.json" }', None, ["/nonexistent.json"]),
])
def test_errors_name_the_place_and_what_would_be_right(tmp_path, text, line, words):
    code, said = check(tmp_path, text)
    assert code == 1
    assert re.search(rf"^FILE:{line}: " if line else r"^FILE(:\d+)?: ", said, re.M), said
    for word in words:
        assert word in said


def test_secrets_come_from_the_environment_and_from_files(tmp_path, start, provider):
    secret = tmp_path / "key"
    secret.write_text("from-a-file\n")
    for key, expected in (("${MY_KEY}", "from-env"), (f"file:{secret}", "from-a-file")):
        f = start(provider.url, provider=f'api_key = "{key}"',
                  environment={**os.environ, "MY_KEY": "from-env"})
        f.post()
        assert provider.requests[-1].headers["authorization"] == f"Bearer {expected}"
        assert expected not in f.log() + f.cost_log.read_text() + f.metrics()


# --------------------------------------------------------------------- reload

def test_a_reload_takes_the_new_file_and_keeps_running_exchanges(provider, farthing):
    go_on = threading.Event()

    def answer(request, connection):
        if b"held" in request.body:
            assert go_on.wait(20)
        chat_answer(request, connection)

    provider.answer = answer
    held = farthing.connect()
    held.sendall(http_request(question("held"), headers="Connection: close\r\n"))
    eventually(lambda: provider.requests, "the held request")
    farthing.config.write_text(farthing.config.read_text().replace('0.60 usd', '6.00 usd')
                          .replace("provider-key", "new-key"))
    farthing.reload()
    eventually(lambda: farthing.post(headers={"x-farthing-cache": "bypass"})
               .headers["x-farthing-cost-usd"] == "0.0000195", "the new price")
    assert provider.requests[-1].headers["authorization"] == "Bearer new-key"
    go_on.set()
    assert b'x-farthing-cost-usd: 0.0000033\r\n' in read_all(held)


def test_a_bad_reload_keeps_the_old_configuration_and_says_why(farthing):
    good = farthing.config.read_text()
    farthing.config.write_text(good.replace("provider \"openai\"", "provder \"openai\""))
    farthing.reload()
    eventually(lambda: "provder" in farthing.log(), "the reason")
    assert farthing.post().status == 200
    assert "provder" in json.loads(get(farthing.admin + "/status")[1])["reload_error"]
    farthing.config.write_text(good)
    farthing.reload()
    eventually(lambda: json.loads(get(farthing.admin + "/status")[1])["reload_error"] is None, "recovery")


# -------------------------------------------------------------- ending, dying

def test_drain_finishes_what_runs_and_takes_nothing_new(provider, farthing):
    go_on = threading.Event()

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[0])
        assert go_on.wait(20)
        connection.sendall(b"".join(chat_events()[1:]))
        hang_up(connection)

    provider.answer = answer
    idle, running = farthing.connect(), farthing.connect()
    running.sendall(http_request(question(stream=True)))
    received = read_until(running, b"data: ")
    farthing.process.send_signal(signal.SIGTERM)
    assert idle.recv(1) == b""  # an idle connection is closed
    with pytest.raises(OSError):
        while True:
            farthing.connect().close()
    assert get(farthing.admin + "/readyz")[0] == 503 and get(farthing.admin + "/healthz")[0] == 200
    go_on.set()
    assert read_all(running, received).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert farthing.process.wait(20) == 0
    assert farthing.rows()[0]["success"] is True


def test_drain_ends_what_takes_too_long(provider, start):
    provider.answer = lambda r, c: None
    f = start(server='drain_timeout = "100ms"')
    connection = f.connect()
    connection.sendall(http_request())
    eventually(lambda: provider.requests, "the request")
    f.process.send_signal(signal.SIGTERM)
    assert f.process.wait(20) == 0
    row = f.rows()[0]
    assert row["ended_by"] == "shutdown" and row["success"] is False
    connection.close()


def test_who_still_waits_at_the_end_is_told(provider, start):
    def answer(request, connection):
        if request.json.get("stream"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chat_events()[1])
        connection.recv(1)  # until the proxy hangs up

    provider.answer = answer
    f = start(server='drain_timeout = "100ms"')
    whole, stream = f.connect(), f.connect()
    whole.sendall(http_request(question("whole")))
    stream.sendall(http_request(question("stream", stream=True)))
    received = read_until(stream, b"Hello")
    eventually(lambda: len(provider.requests) == 2, "both requests")
    assert f.stop() == 0
    refused = read_all(whole)
    assert refused.startswith(b"HTTP/1.1 503 ") and b'"code":"shutting_down"' in refused
    assert b"Retry-After: 1\r\n" in refused
    ended = read_all(stream, received)
    assert b'"code":"shutting_down"' in ended and b"[DONE]" not in ended and not ended.endswith(b"0\r\n\r\n")
    assert {(r["ended_by"], r["error_code"]) for r in f.rows(2)} == {("shutdown", "shutting_down")}


def test_what_outlives_its_client_leaves_a_row_at_the_end(provider, start):
    provider.answer = lambda r, c: c.recv(1)  # until the proxy hangs up
    f = start(extra='route "r" { on_client_gone = "finish" }', server='drain_timeout = "100ms"')
    connection = f.connect()
    connection.sendall(http_request())
    eventually(lambda: provider.requests, "the request")
    connection.close()
    assert f.stop() == 0
    assert [(r["ended_by"], r["status"], r["error_code"]) for r in f.rows()] == \
        [("shutdown", 503, "shutting_down")]


def test_asked_twice_to_end(provider, farthing):
    provider.answer = lambda r, c: c.recv(1)
    connection = farthing.connect()
    connection.sendall(http_request())
    eventually(lambda: provider.requests, "the request")
    for signal_number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        seen = len(farthing.log())
        farthing.process.send_signal(signal_number)
        eventually(lambda: len(farthing.log()) > seen, "a word about it")
    assert farthing.process.wait(20) == 0 and farthing.rows()[0]["ended_by"] == "shutdown"


def test_no_row_is_lost_on_sigterm(farthing):
    for i in range(200):
        farthing.post(headers={"x-farthing-feature": f"f{i % 3}"})
    assert farthing.stop() == 0
    assert len(farthing.cost_log.read_text().splitlines()) == 200
    assert len(table(farthing, "select request_id from requests")) == 200


def table(farthing, query):
    files = [p for p in (farthing.directory / "data").iterdir() if p.name.endswith((".db", ".sqlite"))]
    with sqlite3.connect(f"file:{files[0]}?mode=ro", uri=True) as db:
        return db.execute(query).fetchall()


def test_the_table_of_requests_has_the_rows_columns(farthing):
    farthing.post(headers={"x-farthing-feature": "support"})
    row = farthing.rows()[0]
    farthing.stop()
    columns = [name for name in row]
    kept = table(farthing, f"select {', '.join(columns)} from requests")[0]
    plain = {c: v for c, v in zip(columns, kept) if not isinstance(row[c], (dict, list))}
    for name, value in plain.items():
        assert value == row[name] or (isinstance(row[name], bool) and bool(value) == row[name]), name


def test_killed_and_started_again(provider, farthing):
    farthing.post()
    farthing.rows()
    # The store writes behind; what is there after the kill is whole or absent.
    farthing.stop(signal.SIGKILL)
    farthing.start()
    answer = farthing.post()
    assert answer.status == 200 and answer.json["choices"][0]["message"]["content"] == "Hello there."
    for line in farthing.cost_log.read_text().splitlines():
        json.loads(line)


def test_a_port_that_is_taken(farthing, tmp_path):
    other = tmp_path / "other.conf"
    text = farthing.config.read_text().replace(str(farthing.directory), str(tmp_path))
    taken = farthing.admin.removeprefix("http://")
    other.write_text(text.replace('admin_listen = "127.0.0.1:0"', f'admin_listen = "{taken}"'))
    done = run("-c", str(other))
    assert done.returncode == 1 and f"cannot listen on {taken}" in done.stderr
    other.write_text(text.replace('listen = {"127.0.0.1:0"}', f'listen = {{"127.0.0.1:{farthing.port}"}}'))
    done = run("-c", str(other))
    assert done.returncode == 1 and f"cannot listen on 127.0.0.1:{farthing.port}" in done.stderr


# ---------------------------------------------------------------------- disks

def test_the_cost_log_may_be_renamed_or_removed(farthing):
    farthing.post()
    assert len(farthing.rows()) == 1
    moved = farthing.cost_log.with_suffix(".1")
    farthing.cost_log.rename(moved)
    eventually(lambda: farthing.post().status == 200 and farthing.cost_log.exists(), "a new file")
    farthing.cost_log.unlink()
    eventually(lambda: farthing.post().status == 200 and farthing.cost_log.exists(), "a new file")
    farthing.cost_log.rename(moved)
    farthing.reload()  # SIGHUP opens it anew without a row
    eventually(farthing.cost_log.exists, "a new file")


def test_a_full_disk_never_stops_traffic(start, provider):
    f = start(log='cost_log = "/dev/full"')
    for _ in range(5):
        assert f.post().status == 200
    eventually(lambda: json.loads(get(f.admin + "/status")[1])["cost_log"]["errors"] > 0, "the report")
    assert "/dev/full" in f.log()
    assert len(re.findall("/dev/full", f.log())) < 5  # said, not repeated for each row


def test_a_store_that_is_full(start):
    f = start(store='max_size = "1m"')
    for i in range(50):
        assert f.post(body=question(f"{i}" + "x" * 50000)).status == 200


def test_a_corrupted_store_is_moved_aside(farthing):
    farthing.post()
    farthing.rows()
    assert farthing.stop() == 0
    data = farthing.directory / "data"
    database = [p for p in data.iterdir() if p.name.endswith((".db", ".sqlite"))][0]
    database.write_bytes(b"this is no database" * 1000)
    farthing.start()
    assert [farthing.post().cache, farthing.post().cache] == ["miss", "hit"]
    assert "corrupt" in farthing.log() or "damaged" in farthing.log()
    aside = [p for p in data.iterdir() if p != database and p.name.startswith(database.name)
             and not p.name.endswith(("-wal", "-shm"))]
    assert aside and aside[0].read_bytes().startswith(b"this is no database")


def test_few_descriptors(provider, start):
    f = start(server="workers = 1 keepalive_timeout = \"1h\"")
    resource.prlimit(f.process.pid, resource.RLIMIT_NOFILE, (120, 120))
    many = [f.connect() for _ in range(150)]
    eventually(lambda: "cannot accept" in f.log(), "the report")
    for connection in many:
        connection.close()
    assert eventually(lambda: f.post(), "recovery").status == 200
    assert f.log().count("cannot accept") < 20


# ---------------------------------------------------------------------- admin

def test_health(farthing):
    for base in (farthing.admin, f"http://127.0.0.1:{farthing.port}"):
        assert get(base + "/healthz")[0] == get(base + "/readyz")[0] == 200
    assert get(farthing.admin + "/nothing")[0] == 404


def test_metrics(provider, farthing):
    farthing.post(headers={"x-farthing-feature": "support"})
    farthing.post(headers={"x-farthing-feature": "support"})
    farthing.post(body=b"{")
    farthing.rows(3)
    text = farthing.metrics()
    labels = 'tenant="default",feature="support"'
    for line in (
            f'farthing_requests_total{{{labels},route="",tier="small",model="gpt-4o-mini",status="200"}} 2',
            f'farthing_cost_usd_total{{{labels},route="",model="gpt-4o-mini"}} 0.0000033',
            'farthing_cache_requests_total{result="hit"} 1',
            'farthing_cache_requests_total{result="miss"} 1'):
        assert line in text, text
    assert re.search(r'^farthing_saved_usd_total\{lever="cache".*\} 0\.0000033$', text, re.M)
    for name in ("farthing_request_duration_seconds", "farthing_overhead_seconds",
                 "farthing_time_to_first_token_seconds"):
        assert f"# TYPE {name} histogram" in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) .*|[a-z_]+(\{([a-z_]+="[^"]*",?)*\})? -?[0-9.e+-]+(Inf)?', line), line


def test_labels_that_clients_invent_are_bounded(farthing):
    for i in range(600):
        farthing.post(headers={"x-farthing-feature": f"feature-{i}"})
    farthing.rows(600)
    text = farthing.metrics()
    series = [line for line in text.splitlines() if line.startswith("farthing_requests_total")]
    assert len(series) < 300 and any('feature="other"' in line for line in series)
    total = sum(float(line.rsplit(" ", 1)[1]) for line in series)
    assert total == 600


def test_farthingctl_status(farthing):
    farthing.post()
    farthing.rows()
    address = farthing.admin.removeprefix("http://")
    shown = subprocess.run([FARTHINGCTL, "--admin", address, "status"], capture_output=True, text=True,
                           timeout=20)
    assert shown.returncode == 0 and "serving" in shown.stdout, shown.stderr
    raw = subprocess.run([FARTHINGCTL, "--admin", address, "status", "--json"], capture_output=True,
                         text=True, timeout=20)
    status = json.loads(raw.stdout)
    assert status["state"] == "serving" and status["cost_log"]["rows"] == 1
    nobody = subprocess.run([FARTHINGCTL, "--admin", "127.0.0.1:1", "status"], capture_output=True,
                            text=True, timeout=20)
    assert nobody.returncode != 0 and "127.0.0.1:1" in nobody.stderr


@pytest.mark.parametrize("address", ["http://127.0.0.1:4001", "127.0.0.1", "::1:4001", "127.0.0.1:65536",
                                     "127.0.0.1:40x", ""])
def test_farthingctl_says_what_is_no_address(address):
    done = subprocess.run([FARTHINGCTL, "--admin", address, "status"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and f'"{address}" is no address' in done.stderr


def test_farthingctl_speaks_ipv6_too(start):
    f = start(server='admin_listen = "[::1]:0"')
    admin = f.admin.removeprefix("http://")
    done = subprocess.run([FARTHINGCTL, "--admin", admin, "status"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "serving" in done.stdout, f.log() + done.stderr


def test_farthingctl_names_a_command_that_is_none():
    done = subprocess.run([FARTHINGCTL, "stauts"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and '"stauts"' in done.stderr


@pytest.mark.parametrize("args", [["-t", "-c"], ["-c"]])
def test_the_order_of_options_does_not_matter(tmp_path, args):
    file = tmp_path / "routing.conf"
    file.write_text(PROVIDER)
    done = run(*args, str(file), *([] if "-t" in args else ["-t"]))
    assert done.returncode == 0 and "valid" in done.stdout


@pytest.mark.parametrize("args", [["demo", "--help"], ["mock", "--help"]])
def test_help_behind_a_command(args):
    done = run(*args)
    assert done.returncode == 0 and done.stdout.startswith("usage: farthing")


def test_a_word_behind_demo():
    assert run("demo", "please").returncode == 2


def test_no_secret_is_written_anywhere(provider, start):
    f = start()
    provider.answer = lambda r, c: reply(c, 500, {"error": {"message": "no"}})
    f.post(body=question("a secret prompt"), headers={"Authorization": "Bearer a-secret-key"})
    f.rows()
    written = f.log() + f.cost_log.read_text() + f.metrics()
    for secret in ("a secret prompt", "a-secret-key", "provider-key"):
        assert secret not in written


def test_what_clients_say_cannot_break_rows_or_lines(farthing):
    odd = {"x-farthing-feature": 'a"b\\c', "x-farthing-user": "\xff\xfe", "x-farthing-run": "é" * 200,
           "x-farthing-step": "a,b=c"}
    farthing.post(headers=odd)
    farthing.rows(1)  # each worker's come in their own time
    farthing.post(body=question(metadata={"farthing_feature": "line\nbreak\u0000\u2028"}))
    rows = farthing.rows(2)
    assert rows[0]["feature"] == 'a"b\\c' and len(rows[0]["run_id"]) <= 256
    assert rows[1]["feature"].startswith("line\nbreak")
    for line in farthing.metrics().split("\n"):
        assert not line or line.startswith(("#", "farthing_")), line
    farthing.stop()
    kept = table(farthing, "select feature, user_id, run_id from requests")
    assert kept == [(r["feature"], r["user_id"], r["run_id"]) for r in rows]


@pytest.mark.parametrize("path", ["/chat/completions", "/images/generations"])
def test_a_model_may_not_be_endless(provider, farthing, path):
    answer = farthing.post(path, {"model": "openai/" + "a" * 1000000, "messages": []})
    assert answer.status == 400 and answer.json["error"]["param"] == "model"
    assert provider.requests == [] and len(json.dumps(farthing.rows()[0])) < 5000


# ----------------------------------------------------------------------- demo

def test_demo(tmp_path):
    process = subprocess.Popen([FARTHING, "demo"], cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        shown = ""
        while "curl" not in shown:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            shown += line
        url = re.search(r"http://127\.0\.0\.1:\d+", shown).group(0)
        ask = urllib.request.Request(url + "/v1/chat/completions", method="POST", headers={
            "Content-Type": "application/json"}, data=json.dumps(
                {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}).encode())
        caches = []
        for _ in range(2):
            with urllib.request.urlopen(ask, timeout=20) as answer:
                caches.append(answer.headers["x-farthing-cache"])
                assert json.loads(answer.read())["choices"][0]["message"]["content"]
        assert caches == ["miss", "hit"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_started_without_a_place_for_its_state(tmp_path):
    file = tmp_path / "routing.conf"
    file.write_text(PROVIDER + 'server { listen = {"127.0.0.1:0"} admin_listen = "127.0.0.1:0" }\n'
                    'store { path = "/proc/farthing-data" }')
    done = run("-c", str(file), cwd=tmp_path)
    assert done.returncode == 1 and "/proc/farthing-data" in done.stderr
    shutil.rmtree(tmp_path, ignore_errors=True)
