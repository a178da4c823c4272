"""Idempotency-Key: one result for one key and tenant, whoever asks again and whenever."""
import json
import os
import signal
import sqlite3
import subprocess

import openai
import pytest

from gates import CLOSE, ask, parse
from harness import (chat_answer, endpoint_answer, eventually, hang_up, http_request, key, question, read_all,
                     reply, row_of, tenant)

HOT = {"temperature": 1}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
FORMS = {"whole": {}, "stream": {"stream": True}, "usage": USAGE}
NO_RETRY = "retry { attempts = 1 }"
NO_CACHE = "cache { enabled = false }"


def named(name="k-1", **more):
    return {"Idempotency-Key": name, **more}


def lines(name="k-1"):
    return f"Idempotency-Key: {name}\r\n"


def route(options):
    return f'route "r" {{ {options} }}\n'


def number(provider):
    """Each answer says which purchase it is."""
    def answer(request, connection):
        n = len(provider.requests)
        if request.target.endswith("/embeddings"):
            reply(connection, body={"object": "list", "model": "m",
                                    "data": [{"object": "embedding", "index": 0, "embedding": [n, -0.25]}],
                                    "usage": {"prompt_tokens": 4, "total_tokens": 4}})
        else:
            body = json.dumps(endpoint_answer(request.target, (10, 3)))
            reply(connection, body=body.replace("Hello", f"Hello {n}").encode())
    provider.answer = answer


def open_figures(f):
    return [(x["state"], x["client_gone"]) for x in f.get("/inflight")["inflight"]]


def client_noticed_gone(f, count=1):
    eventually(lambda: sum(gone for _, gone in open_figures(f)) == count, f"{count} without their clients")


def idle(f):
    eventually(lambda: not open_figures(f), "the end of all requests")


def is_replay(row, first):
    """The row of what was given once more."""
    assert (row["cost_usd"], row["attempts"], row["usage_source"]) == ("0", [], "cache")
    assert row["saved_usd"] == {"idempotency": first["cost_usd"]}
    assert (row["cache"], row["status"], row["success"]) == ("idempotent", 200, True)
    assert (row["provider"], row["model"], row["output_tokens"]) == (
        first["provider"], first["model"], first["output_tokens"])
    assert row["request_id"] != first["request_id"]
    return True


# ------------------------------------------------------------------ what is stored

ENDPOINTS = {
    "chat": ("/chat/completions", question()),
    "completions": ("/completions", {"model": "openai/gpt-4o-mini", "prompt": "hello"}),
    "responses": ("/responses", {"model": "openai/gpt-4o-mini", "input": "hello"}),
    "embeddings": ("/embeddings", {"model": "openai/gpt-4o-mini", "input": "hello"}),
    "messages": ("/messages", {"model": "openai/gpt-4o-mini", "max_tokens": 9,
                               "messages": [{"role": "user", "content": "hello"}]}),
}
WAYS = {  # body, headers, route, cache word of the first
    "cold": ({"temperature": 0}, {}, "", "miss"),
    "hot": (HOT, {}, "", "bypass"),
    "bypass": ({}, {"x-farthing-cache": "bypass"}, "", "bypass"),
    "refresh": ({}, {"x-farthing-cache": "refresh"}, "", "miss"),
    "route without cache": ({}, {}, route(NO_CACHE), "bypass"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_second_gets_what_the_first_bought(provider, start, way):
    more, headers, extra, word = WAYS[way]
    number(provider)
    f = start(extra=extra)
    for n, (name, (path, body)) in enumerate(ENDPOINTS.items(), 1):
        word_here = "miss" if way == "hot" and name == "embeddings" else word  # whatever its temperature
        first = f.post(path, {**body, **more}, named(name, **headers))
        second = f.post(path, {**body, **more}, named(name, **headers))
        assert (first.status, first.cache, second.status, second.cache) == (200, word_here, 200, "idempotent")
        assert second.body == first.body and second.headers["content-type"] == first.headers["content-type"]
        assert second.headers["x-farthing-cost-usd"] == "0"
        assert second.headers["x-farthing-saved-usd"] == first.headers["x-farthing-cost-usd"] != "0"
        assert second.headers["x-farthing-model"] == first.headers["x-farthing-model"]
        assert len(provider.requests) == n
        assert is_replay(row_of(f, second), row_of(f, first))


def test_without_a_cache_at_all(provider, start):
    number(provider)
    f = start(cache="enabled = false")
    assert [f.post(headers=named()).cache for _ in range(2)] == ["bypass", "idempotent"]
    assert len(provider.requests) == 1


def test_another_key_is_another_purchase(provider, farthing):
    number(provider)
    first, second = (farthing.post(body=question(**HOT), headers=named(name)) for name in ("a", "b"))
    assert first.body != second.body and len(provider.requests) == 2
    assert [r["saved_usd"] for r in farthing.rows(2)] == [{}, {}]


def test_a_hit_is_a_result_too(provider, start):
    number(provider)
    f = start(cache='ttl = "1s"')
    bought = f.post()
    hit = f.post(headers=named())
    assert hit.cache == "hit" and hit.body == bought.body
    eventually(lambda: f.post().cache == "miss", "the end of the cached answer")
    again = f.post(headers=named())
    assert again.cache == "idempotent" and again.body == bought.body and len(provider.requests) == 2


def test_a_cut_response_is_a_result(provider, farthing):
    statuses = {"length": {"max_output_tokens": 3}, "queued": {"background": True}}
    for n, (finish, more) in enumerate(statuses.items()):
        def answer(request, connection):
            body = endpoint_answer(request.target, (10, 3), "length")
            if finish == "queued":
                body.update(status="queued", incomplete_details=None, output=[])
            reply(connection, body={**body, "id": f"resp_{len(provider.requests)}"})
        provider.answer = answer
        body = {"model": "openai/gpt-4o-mini", "input": "hello", **more}
        first, second = (farthing.post("/responses", body, named(finish)) for _ in range(2))
        assert (second.cache, second.body) == ("idempotent", first.body)
        assert len(provider.requests) == 2 * n + 1
        assert farthing.post("/responses", body).cache != "hit"  # nobody else's


# ---------------------------------------------------------------- which request it is

def test_another_request_with_the_key_is_refused(gate, start):
    f = start()
    first = ask(f, lines(), **HOT)
    eventually(lambda: gate.provider.requests, "the purchase")

    def mismatch(**more):
        refused = f.post(headers=named(), **more)
        assert refused.status == 422 and refused.json["error"]["code"] == "idempotency_mismatch"
        assert refused.json["error"]["param"] == "Idempotency-Key"
        assert refused.headers["x-should-retry"] == "false"

    others = [{"body": question("other", **HOT)}, {"body": question(temperature=0.9)},
              {"path": "/responses", "body": {"model": "openai/gpt-4o-mini", "input": "hello"}},
              {"path": "/chat/completions?x=1", "body": question(**HOT)}]
    for other in others:  # while it runs
        mismatch(**other)
    gate.release()
    assert parse(read_all(first))[0] == 200
    for other in others:  # afterwards
        mismatch(**other)
    f.stop()
    f.start()
    mismatch(**others[0])
    assert f.post(body=question(**HOT), headers=named()).cache == "idempotent"
    assert len(gate.provider.requests) == 1
    refused = [r for r in f.rows(11) if r["status"] == 422]
    assert len(refused) == 9 and {(r["error_code"], r["cost_usd"]) for r in refused} == {
        ("idempotency_mismatch", "0")}


def test_how_it_is_written_does_not_matter(provider, farthing):
    number(provider)
    model, text = '"model":"openai/gpt-4o-mini"', '"messages":[{"role":"user","content":"h\\u00e9"}]'
    bodies = ["{%s,%s,\"temperature\":1}" % (model, text),
              "{ \"temperature\" : 1.0,\n%s , %s }" % (text.replace("\\u00e9", "é"), model),
              "{%s,%s,\"temperature\":1,\"metadata\":{\"farthing_feature\":\"f\",\"a\":\"b\"}}" % (model, text),
              "{%s,%s,\"temperature\":1,\"user\":\"u2\"}" % (model, text)]
    answers = [farthing.post(body=b.encode(), headers=named()) for b in bodies]
    assert [a.cache for a in answers] == ["bypass"] + ["idempotent"] * 3
    assert len({a.body for a in answers}) == 1 and len(provider.requests) == 1
    streamed = farthing.post(body=question("hé", stream=True, **HOT), headers=named())
    assert streamed.cache == "idempotent" and streamed.body.endswith(b"data: [DONE]\n\n")


def test_quoted_and_bare_are_one_key(provider, farthing):
    number(provider)
    pairs = [("a-1", '"a-1"'), ('say \\"hi\\"', '"say \\\\\\"hi\\\\\\""'), ("x" * 255, '"' + "x" * 255 + '"')]
    for n, pair in enumerate(pairs, 1):
        words = [farthing.post(body=question(**HOT), headers=named(name)).cache for name in pair]
        assert words == ["bypass", "idempotent"] and len(provider.requests) == n


BAD_KEYS = {
    "empty": b"Idempotency-Key:\r\n",
    "empty and quoted": b'Idempotency-Key: ""\r\n',
    "too long": b"Idempotency-Key: " + b"x" * 256 + b"\r\n",
    "a control character": b"Idempotency-Key: a\x01b\r\n",
    "a tab": b"Idempotency-Key: a\tb\r\n",
    "not ASCII": "Idempotency-Key: schlüssel\r\n".encode(),
    "an open quote": b'Idempotency-Key: "a\r\n',
    "something behind": b'Idempotency-Key: "a";b=1\r\n',
    "two": b"Idempotency-Key: a\r\nidempotency-key: a\r\n",
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_bad_keys(provider, farthing, name):
    request = http_request(headers=CLOSE).replace(CLOSE.encode(), CLOSE.encode() + BAD_KEYS[name])
    status, headers, body, _ = parse(farthing.raw(request))
    error = json.loads(body)["error"]
    assert (status, error["code"], headers["x-should-retry"]) == (400, "invalid_request", "false")
    assert not provider.requests


def test_tenants_do_not_share_keys(provider, start):
    number(provider)
    f = start(extra=tenant("a", keys=2) + tenant("b"))
    body = question(**HOT)
    a = f.post(body=body, headers={**named(), **key("a")})
    b = f.post(body=question("other", **HOT), headers={**named(), **key("b")})
    assert (a.cache, b.cache) == ("bypass", "bypass") and a.body != b.body
    again = f.post(body=body, headers={**named(), **key("a", 1)})  # its other key
    assert again.cache == "idempotent" and again.body == a.body and len(provider.requests) == 2
    assert [row_of(f, answer)["tenant_id"] for answer in (a, b, again)] == ["a", "b", "a"]


# ------------------------------------------------------------------------ errors

def error(status):
    return lambda r, c: reply(c, status, {"error": {"message": f"no {status}", "code": "c"}})


def reset(_request, connection):
    hang_up(connection, reset=True)


CURABLE = {"500": error(500), "503": error(503), "429": error(429), "401": error(401), "reset": reset,
           "timeout": lambda r, c: None, "not JSON": lambda r, c: reply(c, body=b"<html>"),
           "error in 200": lambda r, c: reply(c, body={"error": {"message": "no"}})}


@pytest.mark.parametrize("form", ["whole", "stream"])
@pytest.mark.parametrize("name", CURABLE)
def test_what_a_retry_can_cure_is_not_stored(provider, start, name, form):
    f = start(provider=NO_RETRY + ' first_byte_timeout = "600ms"')
    body = question(**HOT, **FORMS[form])
    provider.answer = CURABLE[name]
    assert f.post(body=body, headers=named()).status >= 400
    provider.answer = chat_answer
    again = f.post(body=body, headers=named())
    assert (again.status, again.cache, len(provider.requests)) == (200, "bypass", 2)
    assert not any("idempotency" in r["saved_usd"] for r in f.rows(2))
    assert f.post(body=body, headers=named()).cache == "idempotent"


@pytest.mark.parametrize("form", ["whole", "stream"])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_no_retry_can_cure_is_stored(provider, farthing, status, form):
    body = question(**HOT, **FORMS[form])
    provider.answer = error(status)
    first = farthing.post(body=body, headers=named())
    provider.answer = chat_answer
    again = farthing.post(body=body, headers=named())
    assert (first.status, first.cache, again.status, again.cache) == (status, "bypass", status, "idempotent")
    assert again.body == first.body and again.headers["content-type"] == first.headers["content-type"]
    assert len(provider.requests) == 1
    row = row_of(farthing, again)
    assert (row["status"], row["success"], row["ended_by"]) == (status, False, "provider")
    assert (row["error_code"], row["cost_usd"], row["saved_usd"], row["attempts"]) == (
        "upstream_error", "0", {}, [])
    farthing.stop(signal.SIGTERM)
    farthing.start()
    assert farthing.post(body=body, headers=named()).body == first.body
    assert farthing.post(body=question("other"), headers=named()).status == 422
    assert len(provider.requests) == 1


def test_own_refusals_are_not_stored(gate, start):
    limited = tenant("a", 'concurrency = 1 queue = 0') + tenant("b", 'budget "all" { amount = "0.0001 usd" }')
    f = start(extra=limited)
    body = question(max_tokens=100, **HOT)

    def ask_as(name):
        connection = f.connect()
        connection.sendall(http_request(question("held", max_tokens=100, **HOT), headers=CLOSE)
                           .replace(b"client-key", f"key-of-{name}".encode()))
        return connection

    refusals = {"a": "concurrency_limited", "b": "budget_exceeded"}
    held = []
    for n, name in enumerate(refusals, 1):
        held.append(ask_as(name))
        eventually(lambda: len(gate.provider.requests) == n, "the purchase that is in the way")
        refused = f.post(body=body, headers={**named(), **key(name)})
        assert (refused.status, refused.json["error"]["code"]) == (429, refusals[name])
    too_dear = f.post(body=body, headers={**named("dear", **{"x-farthing-max-cost-usd": "0.0000001"}), **key("b")})
    assert too_dear.json["error"]["code"] == "max_cost_exceeded"
    gate.release()
    assert {parse(read_all(c))[0] for c in held} == {200}
    idle(f)
    for name in refusals:
        assert f.post(body=body, headers={**named(), **key(name)}).cache == "bypass"
    assert f.post(body=body, headers={**named("dear"), **key("b")}).cache == "bypass"
    assert len(gate.provider.requests) == 5


# --------------------------------------------------------------- for how long, and where

def test_how_long_it_is_kept(provider, start):
    """The route's time, else the cache's."""
    number(provider)
    f = start(cache='idempotency_ttl = "1s"', extra='route "long" { match { features = {"long"} } '
              'idempotency_ttl = "1h" }\nroute "short" { match { features = {"short"} } }\n')

    def word(feature):
        return f.post(body=question(**HOT), headers=named(feature, **{"x-farthing-feature": feature})).cache

    assert word("long") == word("short") == "bypass"
    eventually(lambda: word("short") == "bypass", "the end of what is kept for a second")
    assert word("long") == "idempotent"
    f.config.write_text(f.config.read_text().replace('"1s"', '"24h"').replace('"1h"', '"1s"'))
    f.reload()
    before = len(provider.requests)
    assert word("long") == "idempotent"  # what is kept keeps its time
    assert len(provider.requests) == before


def test_a_reload_that_changes_caps_changes_no_result(provider, start):
    number(provider)
    f = start(extra='route "r" { max_output_tokens = 300 }\n')
    first = f.post(body=question(**HOT), headers=named())
    f.config.write_text(f.config.read_text().replace("300", "200"))
    f.reload()
    again = f.post(body=question(**HOT), headers=named())
    assert (again.status, again.cache, again.body) == (200, "idempotent", first.body)
    assert len(provider.requests) == 1


def stored(f, count):
    """Waits until so many rows are in the store: what was queued before is there, too."""
    def count_rows():
        with sqlite3.connect(f"file:{f.directory}/data/farthing.db?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM requests").fetchone()[0] == count
    eventually(count_rows, f"{count} rows in the store")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_it_survives(provider, start, how):
    number(provider)
    f = start()
    whole, streamed = question(**HOT), question("streamed", stream=True, **HOT)
    first = f.post(body=whole, headers=named("whole"))
    provider.answer = chat_answer
    f.post(body=streamed, headers=named("streamed"))
    stored(f, 2)
    f.stop(how)
    f.start()
    again = f.post(body=whole, headers=named("whole"))
    assert (again.cache, again.body) == ("idempotent", first.body)
    stream = f.post(body=streamed, headers=named("streamed"))
    assert stream.cache == "idempotent" and stream.body.endswith(b"data: [DONE]\n\n")
    assert f.post(body=question("other"), headers=named("whole")).status == 422
    assert len(provider.requests) == 2
    assert is_replay(row_of(f, again), row_of(f, first))


# ----------------------------------------------------------------- limits and budgets

def test_a_replay_reserves_costs_and_counts_nothing(provider, start):
    provider.answer = chat_answer
    f = start(extra=tenant("a", 'tokens = "1000/min" budget "all" { amount = "0.00001 usd" }'))
    body = question(max_tokens=10, **HOT)
    first = f.post(body=body, headers={**named(), **key("a")})
    f.nothing_reserved()
    spent = f.budget("all")["spent"]
    assert first.status == 200 and spent > 0
    other = f.post(body=question("x" * 400, max_tokens=10, **HOT), headers=key("a"))
    assert other.json["error"]["code"] == "budget_exceeded"  # nothing but replays can be had
    idle(f)
    for _ in range(5):
        again = f.post(body=body, headers={**named(), **key("a")})
        assert (again.status, again.cache) == (200, "idempotent")
    f.nothing_reserved()
    assert f.budget("all")["spent"] == spent and len(provider.requests) == 1
    replays = [r for r in f.rows(7) if r["cache"] == "idempotent"]
    assert [(r["cost_usd"], r["reserved_usd"]) for r in replays] == [("0", "0")] * 5
    # 13 tokens went of the thousand, once; the last holds what it might have used.
    assert int(again.headers["x-ratelimit-remaining-tokens"]) >= 1000 - 13 - 40


# -------------------------------------------------------------------- other paths, SDKs

def test_what_is_passed_through_goes_with_its_key(provider, farthing):
    provider.answer = lambda r, c: reply(c, body={"id": "file-1"})
    for _ in range(2):
        answer = farthing.post("/files", {"purpose": "batch"}, named("k" * 300))  # the provider's affair
        assert answer.status == 200 and answer.cache != "idempotent"
    assert [r.headers["idempotency-key"] for r in provider.requests] == ["k" * 300] * 2


def test_what_is_kept_here_goes_without_its_key(provider, start):
    """Two tenants' keys are two keys, for a provider that minds them, too."""
    f = start(extra=tenant("a") + tenant("b"))
    for name in ("a", "b"):
        assert f.post(body=question(**HOT), headers={**named(), **key(name)}).status == 200
    assert len(provider.requests) == 2
    assert not any("idempotency-key" in r.headers for r in provider.requests)


def test_python_sdk(provider, farthing):
    number(provider)
    client = openai.OpenAI(base_url=farthing.url, api_key="k", max_retries=0)
    ask_for = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "temperature": 1,
               "extra_headers": {"Idempotency-Key": "order-7"}}
    first = client.chat.completions.create(**ask_for)
    again = client.chat.completions.with_raw_response.create(**ask_for)
    assert again.headers["x-farthing-cache"] == "idempotent" and again.parse() == first
    text = "".join(e.choices[0].delta.content or "" for e in
                   client.chat.completions.create(**ask_for, stream=True) if e.choices)
    assert text == first.choices[0].message.content and len(provider.requests) == 1
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(**{**ask_for, "temperature": 0.5})
    assert caught.value.code == "idempotency_mismatch"


NODE = """
import OpenAI from 'openai';
import assert from 'node:assert/strict';
const client = new OpenAI({ maxRetries: 0 });
const ask = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'from node' }], temperature: 1 };
for (const options of [{ idempotencyKey: 'a' }, { headers: { 'Idempotency-Key': 'b' } }]) {
  const first = await client.chat.completions.create(ask, options);
  const again = await client.chat.completions.create(ask, options).withResponse();
  const given = again.response.headers.get('x-farthing-cache');
  if ('headers' in options || given === 'idempotent') {
    assert.equal(given, 'idempotent');
    assert.deepEqual(again.data, first);
  }
}
console.log('all well');
"""


def test_node_sdk(provider, farthing):
    modules = os.environ.get("FARTHING_NODE_MODULES")
    if not modules or not os.path.isdir(modules):
        pytest.skip("the Node SDK is not installed")
    number(provider)
    code = NODE.replace("'openai'", f"'{modules}/openai/index.mjs'")
    done = subprocess.run(["node", "--input-type=module", "-e", code], capture_output=True, text=True,
                          env={**os.environ, "OPENAI_BASE_URL": farthing.url, "OPENAI_API_KEY": "k"}, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("all well")
