"""The exact cache: what is one request, what is kept, for whom, and for how long."""
import hashlib
import json

import pytest

from harness import chat, chat_events, chunk, eventually, question, reply, row_of, stream_answer


def said(answer):
    return answer.json["choices"][0]["message"]["content"]


def events(answer):
    lines = answer.body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def streamed_text(answer):
    return "".join(e["choices"][0]["delta"].get("content") or "" for e in events(answer) if e["choices"])


def test_the_same_question_is_bought_once(counted, farthing):
    first, second = farthing.post(), farthing.post()
    assert (first.cache, second.cache) == ("miss", "hit")
    assert first.body == second.body and len(counted.requests) == 1
    assert second.headers["x-farthing-cost-usd"] == "0"
    assert second.headers["x-farthing-saved-usd"] == first.headers["x-farthing-cost-usd"] == "0.0000033"
    bought, kept = farthing.rows(2)
    assert (bought["cache"], kept["cache"]) == ("miss", "hit")
    assert kept["usage_source"] == "cache" and kept["attempts"] == []
    assert kept["saved_usd"] == {"cache": "0.0000033"} and kept["baseline_cost_usd"] == "0.0000033"
    assert (kept["input_tokens"], kept["output_tokens"]) == (10, 3)
    assert kept["request_id"] == second.headers["x-farthing-request-id"] != bought["request_id"]


@pytest.mark.parametrize("change", [
    {"user": "u"}, {"metadata": {"team": "x"}}, {"store": True}, {"safety_identifier": "s"},
    {"stream": False}, {"stream": None}, {"prompt_cache_key": "k"}])
def test_what_cannot_change_the_answer_is_no_other_question(counted, farthing, change):
    farthing.post()
    assert farthing.post(body=question(**change)).cache == "hit"


@pytest.mark.parametrize("change", [
    {"max_tokens": 5}, {"seed": 1}, {"top_p": 0.5}, {"stop": ["x"]}, {"n": 1, "logprobs": True},
    {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"a_field_of_tomorrow": 1},
    {"response_format": {"type": "json_object"}}, {"reasoning_effort": "low"}])
def test_what_can_change_the_answer_is_another_question(counted, farthing, change):
    farthing.post()
    assert farthing.post(body=question(**change)).cache == "miss"


def test_spelling_does_not_matter(counted, farthing):
    farthing.post(body=b'{"model":"openai/gpt-4o-mini","max_tokens":10,'
                       b'"messages":[{"role":"user","content":"\\u0068\\u00e9"}]}')
    again = farthing.post(body='{ "messages" : [ {"content":"hé","role":"user"} ],\n'
                               '"max_tokens" : 1e1, "model" : "openai/gpt-4o-mini" }'.encode())
    assert again.cache == "hit"


def test_what_the_body_does_not_say_is_part_of_the_key(counted, farthing):
    ask = lambda path, **headers: farthing.post(path, headers=headers).cache
    assert [ask("/chat/completions"), ask("/chat/completions?api-version=1"),
            ask("/chat/completions?api-version=2"), ask("/chat/completions?api-version=1")] == \
        ["miss", "miss", "miss", "hit"]
    assert [ask("/chat/completions", **{"OpenAI-Beta": "x=1"}) for _ in range(2)] == ["miss", "hit"]


@pytest.mark.parametrize("header", ["prompt-version", "corpus-version"])
def test_versions_are_part_of_the_key(counted, farthing, header):
    caches = [farthing.post(headers={f"x-farthing-{header}": v}).cache for v in ("1", "2", "1")]
    assert caches == ["miss", "miss", "hit"]


def test_modes(counted, farthing):
    def ask(mode):
        return farthing.post(headers={"x-farthing-cache": mode})

    missing = ask("only")
    assert missing.status == 504
    assert (ask("use").cache, ask("use").cache) == ("miss", "hit")
    bypassed = ask("bypass")
    assert (bypassed.cache, said(bypassed)) == ("bypass", "answer 2")
    assert said(ask("only")) == "answer 1"
    assert said(ask("refresh")) == "answer 3"
    assert said(ask("use")) == "answer 3"
    refused = ask("never")
    assert refused.status == 400 and refused.json["error"]["param"] == "x-farthing-cache"
    assert len(counted.requests) == 3
    missed = row_of(farthing, missing)
    assert missed["error_code"] == "cache_only_miss" and missed["cost_usd"] == "0"


def test_only_says_that_trying_again_is_useless(farthing):
    answer = farthing.post(headers={"x-farthing-cache": "only"})
    assert answer.json["error"]["code"] == "cache_only_miss"
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("control,expected", [
    ("no-store", ["bypass", "miss"]), ("no-cache", ["miss", "hit"]), ("max-age=0", ["miss", "hit"])])
def test_cache_control(counted, farthing, control, expected):
    assert [farthing.post(headers={"Cache-Control": control}).cache, farthing.post().cache] == expected
    again = farthing.post(headers={"Cache-Control": control})
    assert said(again) == ("answer 1" if control == "max-age=0" else f"answer {len(counted.requests)}")


def test_temperature(counted, start):
    f = start()
    assert [f.post(body=question(temperature=0)).cache for _ in range(2)] == ["miss", "hit"]
    assert [f.post(body=question(temperature=0.0)).cache for _ in range(1)] == ["hit"]
    assert [f.post(body=question(temperature=0.7)).cache for _ in range(2)] == ["bypass"] * 2
    warm = start(extra='route "r" { cache { when_temperature_above_zero = true '
                       'when_temperature_unset = false } }')
    assert [warm.post(body=question(temperature=0.7)).cache for _ in range(2)] == ["miss", "hit"]
    assert [warm.post().cache for _ in range(2)] == ["bypass"] * 2


def test_ttl_of_the_route_and_of_the_request(counted, start):
    f = start(extra='route "short" { match { features = {"short"} } cache { ttl = "50ms" } }\n'
                    'route "long" { cache { ttl = "1h" } }')
    f.post(headers={"x-farthing-feature": "short"})
    eventually(lambda: f.post(headers={"x-farthing-feature": "short"}).cache == "miss", "expiry")
    # The request may shorten the route's, and zero keeps nothing.
    assert f.post(body=question("x"), headers={"x-farthing-cache-ttl": "0"}).cache == "bypass"
    assert f.post(body=question("x")).cache == "miss"
    wrong = f.post(headers={"x-farthing-cache-ttl": "soon"})
    assert wrong.status == 400 and wrong.json["error"]["param"] == "x-farthing-cache-ttl"


def test_scope_user(counted, start):
    f = start(extra='route "r" { cache { scope = "user" } }')
    ask = lambda user: f.post(headers={"x-farthing-user": user} if user else {}).cache
    assert [ask("a"), ask("b"), ask("a"), ask("")] == ["miss", "miss", "hit", "bypass"]
    assert f.post(body=question(user="a")).cache == "hit"  # the API's own field says it too


@pytest.mark.parametrize("asked,baseline", [
    ("openai/big", "0.00013"), ("big", "0.00013"), ("auto", "0.000013"), ("openai/small", "0.000013"),
    ("small", "0.000013")])
def test_the_baseline_is_of_the_model_that_was_asked_for(provider, start, asked, baseline):
    f = start(models='model "openai/big" { input_price = "10 usd" output_price = "10 usd" }\n'
                     'model "openai/small" { input_price = "1 usd" output_price = "1 usd" }\n'
                     'tier "cheap" { models = {"openai/small"} }',
              extra='route "r" { override_model = true tiers = {"cheap"} }')
    f.post(body=question(model=asked))
    row = f.rows()[0]
    assert (row["model"], row["cost_usd"], row["baseline_cost_usd"]) == ("small", "0.000013", baseline)


def test_tenants_do_not_share(counted, start):
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("ka", "kb", "kb2")}
    f = start(extra=f'tenant "a" {{ keys = {{"sha256:{keys["ka"]}"}} }}\n'
                    f'tenant "b" {{ keys = {{"sha256:{keys["kb"]}", "sha256:{keys["kb2"]}"}} }}')
    ask = lambda key: f.post(headers={"Authorization": f"Bearer {key}"}).cache
    assert [ask("ka"), ask("kb"), ask("ka"), ask("kb2")] == ["miss", "miss", "hit", "hit"]


def test_passthrough_keys_do_not_share(counted, start):
    f = start(provider='api_key = "passthrough"')
    ask = lambda key: f.post(headers={"Authorization": f"Bearer {key}"}).cache
    assert [ask("one"), ask("two"), ask("one")] == ["miss", "miss", "hit"]
    assert [r.headers["authorization"] for r in counted.requests] == ["Bearer one", "Bearer two"]


def test_a_whole_answer_serves_a_stream(counted, farthing):
    whole = farthing.post()
    for options in ({}, {"stream_options": {"include_usage": True}}):
        again = farthing.post(body=question(stream=True, **options))
        assert again.cache == "hit" and again.headers["content-type"].startswith("text/event-stream")
        assert streamed_text(again) == said(whole)
        replayed = events(again)
        assert replayed[0]["choices"][0]["delta"]["role"] == "assistant"
        assert {e["id"] for e in replayed} == {whole.json["id"]}
        finishes = [e["choices"][0]["finish_reason"] for e in replayed if e["choices"]]
        assert finishes[-1] == "stop" and set(finishes[:-1]) == {None}
        assert [e["usage"] for e in replayed if not e["choices"]] == \
            ([whole.json["usage"]] if options else [])
    assert len(counted.requests) == 1


def test_a_stream_serves_a_whole_request(counted, farthing):
    first = farthing.post(body=question(stream=True))
    assert first.cache == "miss" and streamed_text(first) == "answer 1 "
    again = farthing.post()
    assert again.cache == "hit" and said(again) == "answer 1 "
    answer = again.json
    assert answer["object"] == "chat.completion" and answer["system_fingerprint"] == "fp_1"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    assert farthing.rows(2)[1]["cost_usd"] == "0"


def test_tool_calls_of_a_stream_are_put_together(provider, farthing):
    def call(**of):
        return {"tool_calls": [of]}

    provider.answer = stream_answer([
        chunk({"role": "assistant", "content": None}),
        chunk(call(index=0, id="c1", type="function", function={"name": "f", "arguments": ""})),
        chunk(call(index=0, function={"arguments": "{\"a\""})),
        chunk(call(index=1, id="c2", type="function", function={"name": "g", "arguments": "{"})),
        chunk(call(index=0, function={"arguments": ":1}"})),
        chunk(call(index=1, function={"arguments": "}"})),
        chunk({}, "tool_calls"), b"data: [DONE]\n\n"])
    farthing.post(body=question(stream=True))
    message = farthing.post().json["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]


@pytest.mark.parametrize("what,answer", [
    ("an error", lambda r, c: reply(c, 400, {"error": {"message": "no"}})),
    ("a choice missing", lambda r, c: reply(c, body={**chat(), "choices": []})),
    ("no finish reason", lambda r, c: reply(c, body=chat(finish=None))),
    ("a stream without its end", stream_answer(chat_events()[:-3])),
])
def test_what_is_not_whole_is_not_kept(provider, farthing, what, answer):
    provider.answer = answer
    body = question(n=1, stream="stream" in what)
    farthing.post(body=body)
    farthing.post(body=body)
    assert len(provider.requests) == 2, what


def test_of_n_answers_none_may_be_missing(provider, farthing):
    def choice(i):
        return {"index": i, "message": {"role": "assistant", "content": str(i)}, "finish_reason": "stop"}

    provider.answer = lambda r, c: reply(c, body={**chat(), "choices": [choice(0), choice(2)]})
    for _ in range(2):
        farthing.post(body=question(n=3))
    assert len(provider.requests) == 2
    provider.answer = lambda r, c: reply(c, body={**chat(), "choices": [choice(i) for i in range(3)]})
    assert [farthing.post(body=question(n=3)).cache for _ in range(2)] == ["miss", "hit"]
    streamed = farthing.post(body=question(n=3, stream=True))
    assert {e["choices"][0]["index"] for e in events(streamed)} == {0, 1, 2}


def test_a_restart_keeps_the_cache(counted, farthing):
    first = farthing.post()
    assert farthing.stop() == 0
    farthing.start()
    again = farthing.post()
    assert again.cache == "hit" and again.body == first.body and len(counted.requests) == 1
    assert again.headers["x-farthing-saved-usd"] == "0.0000033"


def test_one_entry_serves_all_workers(counted, farthing):
    farthing.post()
    assert {farthing.post().cache for _ in range(20)} == {"hit"}  # a connection each: both loops


def test_the_memory_is_bounded(counted, start):
    f = start(cache='memory = "64k"', store='max_size = "1m"')
    big = "x" * 20000
    for i in range(30):
        f.post(body=question(f"{i} {big}"))
    counted.answer = lambda r, c: reply(c, body=chat(big))
    for i in range(30):
        f.post(body=question(f"again {i}"))
    metrics = {line.split(" ")[0]: float(line.split(" ")[1]) for line in f.metrics().splitlines()
               if not line.startswith("#")}
    assert 0 < metrics["farthing_cache_bytes"] <= 64 * 1024


def test_embeddings_and_completions_are_kept(provider, farthing):
    provider.answer = lambda r, c: reply(c, body={
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{"text": "x", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    body = {"model": "openai/gpt-4o-mini", "prompt": "x"}
    assert [farthing.post("/completions", body).cache for _ in range(2)] == ["miss", "hit"]
    provider.answer = lambda r, c: reply(c, body={
        "object": "list", "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]})
    body = {"model": "openai/gpt-4o-mini", "input": "x", "temperature": 1}
    assert [farthing.post("/embeddings", body).cache for _ in range(2)] == ["miss", "hit"]


def test_what_an_answer_repeats_of_its_asker_is_not_kept(provider, farthing):
    def answer(request, connection):
        reply(connection, body={
            "id": "resp_1", "object": "response", "status": "completed", "model": "m", "error": None,
            "metadata": request.json.get("metadata", {}), "user": request.json.get("user"),
            "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                        "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})

    provider.answer = answer
    body = {"model": "openai/gpt-4o-mini", "input": "x"}
    first = farthing.post("/responses", {**body, "user": "ann", "metadata": {"team": "blue"}})
    assert (first.json["user"], first.json["metadata"]) == ("ann", {"team": "blue"})
    again = farthing.post("/responses", {**body, "user": "bob"})
    assert again.cache == "hit" and (again.json["user"], again.json["metadata"]) == (None, {})
    assert again.json["output"] == first.json["output"]


def test_embeddings_have_no_stream(provider, farthing):
    provider.answer = lambda r, c: reply(c, body={
        "object": "list", "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]})
    body = {"model": "openai/gpt-4o-mini", "input": "x", "stream": True}
    assert [farthing.post("/embeddings", body).cache for _ in range(2)] == ["miss", "hit"]
    assert "cannot be replayed" not in farthing.log()


@pytest.mark.parametrize("prompt,caches", [
    (["a", "b"], ["miss", "miss"]), ([[1], [2]], ["miss", "miss"]), (["a"], ["miss", "hit"]),
    ([1, 2], ["miss", "hit"]), ("a", ["miss", "hit"])])
def test_of_many_prompts_none_may_be_missing(provider, farthing, prompt, caches):
    provider.answer = lambda r, c: reply(c, body={
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{"text": "x", "index": 0, "logprobs": None, "finish_reason": "stop"}]})
    body = {"model": "openai/gpt-4o-mini", "prompt": prompt}
    assert [farthing.post("/completions", body).cache for _ in range(2)] == caches


def test_null_in_metadata_says_nothing(farthing):
    farthing.post(body=question(metadata={"farthing_feature": None, "farthing_cache": None}))
    assert farthing.rows()[0]["feature"] is None


def test_embeddings_that_are_not_all_there_are_not_kept(provider, farthing):
    def answer(request, connection):
        reply(connection, body={"object": "list", "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4},
                                "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]})

    provider.answer = answer
    for text, expected in ((["a", "b"], "miss"), (["a"], "hit"), ("a", "hit"), ([1, 2], "hit")):
        body = {"model": "openai/gpt-4o-mini", "input": text}
        assert [farthing.post("/embeddings", body).cache for _ in range(2)][1] == expected


def test_a_body_with_two_meanings_is_refused(provider, farthing):
    answer = farthing.post(body=b'{"model":"openai/gpt-4o-mini","messages":[],"messages":[]}')
    assert answer.status == 400 and "messages" in answer.json["error"]["message"]
    assert provider.requests == []
