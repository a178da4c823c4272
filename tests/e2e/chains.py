"""What tests of chains share: two providers, small and large, and words for what they do."""
import json
import re
import time
from decimal import Decimal

from harness import chat, chat_events, hang_up, question, reply, stream_answer

# A token of small costs 1 and 10 USD a million, of large 5 and 20.
MODELS = """
model "openai/small" { input_price = "1 usd" output_price = "10 usd" %s }
model "big/large" { input_price = "5 usd" output_price = "20 usd" %s }
tier "small" { models = {"openai/small"} }
tier "large" { models = {"big/large"} }
"""
ONCE = 'retry { attempts = 1 }'
SHORT = 'first_byte_timeout = "500ms" idle_timeout = "500ms" '
SMALL_COST, LARGE_COST = Decimal("0.00004"), Decimal("0.00011")  # of 10 tokens in and 3 out


def answer_of(name, request, connection):
    """The provider's name is the answer, whole or streamed."""
    if request.json.get("stream"):
        stream_answer(chat_events((name, " answer")))(request, connection)
    else:
        reply(connection, body=chat(f"{name} answer"))


def ask(f, text="hello", model="auto", headers=None, **more):
    return f.post(body=question(text, model=model, **more), headers=headers)


def said(answer):
    """The text of an answer, whole or streamed; a stream must be well-formed and end."""
    if not answer.body.startswith(b"data:"):
        return answer.json["choices"][0]["message"]["content"]
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""] and all(e.startswith("data: ") for e in events[:-1])
    pieces = [json.loads(e[6:]) for e in events[:-2]]
    return "".join(c["delta"].get("content") or "" for p in pieces for c in p["choices"])


def raw(data, then=hang_up):
    def answer(_request, connection):
        connection.sendall(data)
        then(connection)
    return answer


def sleep(_connection):
    time.sleep(2)


def status(code, /, **error):
    return lambda r, c: reply(c, code, {"error": {"message": "no", "type": "t", "code": "c", **error}})


def reasons(row):
    return [a["reason"] for a in row["attempts"]]


def series(f, name):
    """All series of a metric: their labels' text, and the figure."""
    return {m.group(1): float(m.group(2))
            for m in re.finditer(rf"^{name}\{{(.*)\}} (\S+)$", f.metrics(), re.M)}


def escalations(f):
    return {m.group(1): figure for labels, figure in series(f, "farthing_escalations_total").items()
            if (m := re.search(r'reason="(\w+)"', labels))}
