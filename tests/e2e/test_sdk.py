"""The official openai SDKs against the real binary."""
import json
import os
import subprocess

import openai
import pytest

from harness import chat, chat_answer, reply


@pytest.fixture
def client(farthing):
    return openai.OpenAI(base_url=farthing.url, api_key="client-key", max_retries=0)


MESSAGES = [{"role": "user", "content": "hello"}]


def test_chat(client, farthing, provider):
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert answer.choices[0].message.content == "Hello there."
    assert answer.usage.prompt_tokens == 10
    sent = provider.requests[0]
    assert sent.target == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer provider-key"
    assert not any(name.startswith("x-farthing") for name in sent.headers)
    row = farthing.rows()[0]
    assert row["cost_usd"] == "0.0000033"  # 10 * 0.15 + 3 * 0.60 for a million
    assert row["usage_source"] == "provider" and row["success"] is True


def test_stream_and_its_usage(client, farthing, provider):
    for include_usage in (True, False):
        options = {"stream_options": {"include_usage": True}} if include_usage else {}
        text, usage = "", None
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True,
                                                extra_headers={"x-farthing-cache": "bypass"}, **options)
        for event in stream:
            if event.choices:
                text += event.choices[0].delta.content or ""
            usage = event.usage or usage
        assert text == "Hello there."
        assert (usage is not None) == include_usage
        assert provider.requests[-1].json["stream_options"] == {"include_usage": True}
    for row in farthing.rows(2):
        assert (row["input_tokens"], row["output_tokens"], row["cached_tokens"],
                row["reasoning_tokens"]) == (10, 3, 4, 1)
        # 6 * 0.15 + 4 * 0.075 + 3 * 0.60 for a million
        assert row["cost_usd"] == "0.000003" and row["ttft_ms"] is not None


def test_tools(client, provider):
    call = {"id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}}
    provider.answer = lambda r, c: reply(c, body=chat(None, finish="tool_calls", tool_calls=[call]))
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}]
    for _ in range(2):  # from the provider, then from the cache
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, tools=tools)
        made = answer.choices[0].message.tool_calls[0]
        assert made.function.name == "weather" and json.loads(made.function.arguments) == {"city": "Bern"}
    assert len(provider.requests) == 1
    # And the cached answer as a stream.
    got = []
    for event in client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, tools=tools,
                                                stream=True):
        got += event.choices[0].delta.tool_calls or []
    assert got[0].function.name == "weather" and len(provider.requests) == 1


def test_structured_output(client, provider):
    import pydantic

    class City(pydantic.BaseModel):
        name: str

    provider.answer = lambda r, c: reply(c, body=chat('{"name":"Bern"}'))
    for _ in range(2):
        answer = client.chat.completions.parse(model="gpt-4o-mini", messages=MESSAGES,
                                               response_format=City)
        assert answer.choices[0].message.parsed == City(name="Bern")
    assert len(provider.requests) == 1


def test_embeddings(client, farthing, provider):
    provider.answer = lambda r, c: reply(c, body={
        "object": "list", "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4}})
    for _ in range(2):
        answer = client.embeddings.create(model="text-embedding-3-small", input="hello",
                                          encoding_format="float")
        assert answer.data[0].embedding == [0.5, -0.25]
    assert len(provider.requests) == 1
    first, second = farthing.rows(2)
    assert first["cost_usd"] == "0.00000008"  # the catalogue's 0.02 for a million
    assert second["cache"] == "hit" and second["cost_usd"] == "0"
    assert second["saved_usd"] == {"cache": "0.00000008"}


def test_responses_whole_then_streamed_from_the_cache(client, provider):
    provider.answer = lambda r, c: reply(c, body={
        "id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed",
        "error": None, "incomplete_details": None, "instructions": None, "model": "gpt-4o-mini",
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {},
        "temperature": 1.0, "top_p": 1.0,
        "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                    "content": [{"type": "output_text", "text": "Hello there, my good friend, how are you?",
                                 "annotations": []}]}],
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0},
                  "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 0},
                  "total_tokens": 13}})
    answer = client.responses.create(model="gpt-4o-mini", input="hello")
    assert answer.output_text.startswith("Hello there")
    with client.responses.stream(model="gpt-4o-mini", input="hello") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == answer.output_text == final.output_text
    assert len(provider.requests) == 1


def test_models(client, start):
    assert [m.id for m in client.models.list()] == ["auto", "small", "openai/gpt-4o-mini"]
    assert client.models.retrieve("openai/gpt-4o-mini").owned_by == "openai"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


@pytest.mark.parametrize("status,error", [
    (400, openai.BadRequestError), (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError), (404, openai.NotFoundError), (429, openai.RateLimitError),
    (500, openai.InternalServerError)])
def test_the_providers_errors_reach_the_client(client, farthing, provider, status, error):
    body = {"error": {"message": "as it is", "type": "t", "param": None, "code": "c"}}
    provider.answer = lambda r, c: reply(c, status, body, {"x-request-id": "req_1"})
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.message.endswith("as it is}") or "as it is" in caught.value.message
    assert caught.value.response.headers["x-request-id"] == "req_1"
    row = farthing.rows()[0]
    assert row["status"] == status and row["success"] is False and row["cost_usd"] == "0"
    assert len(row["attempts"]) == len(provider.requests) == (3 if status in (429, 500) else 1)


def test_the_clients_own_retries(farthing, provider):
    failures = iter([500, 500, 500, 500])

    def answer(request, connection):
        status = next(failures, None)
        if status:
            reply(connection, status, {"error": {"message": "no"}}, {"x-should-retry": "false"})
        else:
            chat_answer(request, connection)

    provider.answer = answer
    client = openai.OpenAI(base_url=farthing.url, api_key="k", max_retries=2)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert len(provider.requests) == 1  # x-should-retry is passed on, and both obey it


def test_timeouts(start, provider):
    provider.answer = lambda r, c: None  # never
    f = start(provider.url, provider='first_byte_timeout = "200ms" ')
    client = openai.OpenAI(base_url=f.url, api_key="k", max_retries=0)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.status_code == 504 and caught.value.code == "upstream_timeout"
    row = f.rows()[0]
    assert [a["reason"] for a in row["attempts"]] == ["first_byte_timeout"] * 3


def test_unknown_key_and_known_key(start, provider):
    import hashlib
    digest = hashlib.sha256(b"good-key").hexdigest()
    f = start(provider.url, extra=f'tenant "acme" {{ keys = {{"sha256:{digest}"}} }}')
    with pytest.raises(openai.AuthenticationError) as caught:
        openai.OpenAI(base_url=f.url, api_key="bad-key").chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.code == "invalid_api_key"
    openai.OpenAI(base_url=f.url, api_key="good-key").chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES)
    rows = f.rows(2)
    assert [r["tenant_id"] for r in rows] == [None, "acme"] and rows[0]["feature"] is None
    assert "bad-key" not in f.log() + f.cost_log.read_text()


def test_attribution_by_header_and_by_metadata(client, farthing, provider):
    client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, metadata={"farthing_run": "r1", "farthing_step": "2"},
        extra_headers={"x-farthing-feature": "support_chat", "x-farthing-user": "u1",
                       "x-farthing-prompt-version": "7"})
    client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, metadata={"farthing_run": "r2", "team": "blue"})
    assert "metadata" not in provider.requests[0].json
    first, second = farthing.rows(2)
    assert (first["feature"], first["user_id"], first["run_id"], first["step_id"],
            first["prompt_version"]) == ("support_chat", "u1", "r1", "2", "7")
    assert provider.requests[1].json["metadata"] == {"team": "blue"}
    assert second["run_id"] == "r2"


def test_node_sdk(farthing, provider):
    modules = os.environ.get("FARTHING_NODE_MODULES")
    if not modules or not os.path.isdir(modules):
        pytest.skip("the Node SDK is not installed")
    script = os.path.join(os.path.dirname(__file__), "client.mjs")
    code = open(script).read().replace("'openai'", f"'{modules}/openai/index.mjs'")
    done = subprocess.run(["node", "--input-type=module", "-e", code], capture_output=True, text=True,
                          env={**os.environ, "OPENAI_BASE_URL": farthing.url, "OPENAI_API_KEY": "k"},
                          timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("all well")
