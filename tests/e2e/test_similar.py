"""Similarity: what says nearly the same as an example goes to its category's tier."""
import threading
from decimal import Decimal

import pytest

from chains import series, status
from harness import WAIT, Provider, eventually, hang_up, reply
from test_classify import answer_to

REFUND = 'category "refund" { examples = {"where is my money", "i want a refund"} tier = "large" %s }'
VECTORS = {"where is my money": [1, 0, 0], "i want a refund": [0.8, 0.6, 0], "give it back": [2, 0.1, 0],
           "write a poem": [0, 0, 3]}


def categories(*sections, more=""):
    return "classifier {\n" + "\n".join(sections) + f"\n{more} }}\n"


# ------------------------------------------------------------------ by the request alone

def test_words_decide(begin_chain):
    f = begin_chain(extra=categories(REFUND % "threshold = 0.6"))
    assert answer_to(f, "Where is my money?") == ("large", "category:refund")
    assert answer_to(f, "Write a poem about a river in spring.") == ("small", "default")
    signals = [r["signals"] for r in f.rows(2)]
    assert signals[0]["similar"] == "refund" and signals[0]["similarity"] > 0.6 > signals[1].get("similarity", 0)
    assert series(f, "farthing_classifier_category_total") == {'category="refund"': 1}


def test_a_rule_comes_before_it(begin_chain):
    f = begin_chain(extra=categories(REFUND % "threshold = 0.6",
                                     'rule "money" { keywords = {"money"} tier = "small" }'))
    assert answer_to(f, "Where is my money?") == ("small", "money")
    assert answer_to(f, "I want a refund.") == ("large", "category:refund")


def test_a_tier_outside_of_the_chain_is_passed_over(begin_chain):
    f = begin_chain(extra=categories(REFUND.replace('"large"', '"other"') % "threshold = 0.6") +
                    'model "openai/other" { }\ntier "other" { models = {"openai/other"} }\n')
    assert answer_to(f, "Where is my money?") == ("small", "default")


# ------------------------------------------------------------------------- by an endpoint

def embed(request, connection):
    texts = request.json["input"]
    data = [{"object": "embedding", "index": i, "embedding": VECTORS.get(t, [0, 1, 0])} for i, t in enumerate(texts)]
    reply(connection, body={"object": "list", "model": "e", "data": data[::-1],
                            "usage": {"prompt_tokens": 5 * len(texts), "total_tokens": 5 * len(texts)}})


@pytest.fixture
def vectors():
    p = Provider(embed)
    yield p
    p.close()


@pytest.fixture
def endpoint(begin_chain, vectors):
    """Starts a proxy whose vectors come from an endpoint; a token of it is 0.000001 USD."""
    def go(more="", **kwargs):
        extra = (f'provider "vec" {{ base_url = "{vectors.url}" api_key = "vec-key" retry {{ attempts = 1 }} }}\n'
                 'model "vec/e" { input_price = "1 usd" }\n')
        by_vectors = categories(REFUND % "threshold = 0.9", more=f'embedding_model = "vec/e" {more}')
        return begin_chain(extra=extra + by_vectors, **kwargs)
    return go


def of_embeddings(f, count):
    def found():
        rows = [r for r in f.rows() if r["feature"] == "embeddings"]
        return rows if len(rows) >= count else None
    return eventually(found, f"{count} rows of embeddings")


def has_examples(f, vectors):
    """The first request asks for the examples' vectors, and does not wait for them."""
    assert answer_to(f, "the first") == ("small", "default")
    of_embeddings(f, 1)
    eventually(lambda: not f.get("/inflight")["inflight"], "their use")
    assert vectors.requests[0].json["input"] == ["where is my money", "i want a refund"]


def until_in_time(f, text):
    """A request is classified without its vector where that comes late; the next finds it in the cache."""
    def decided():
        tier, rule = answer_to(f, text, temperature=1)
        return tier if rule == "category:refund" else None
    return eventually(decided, "a vector in time")


def test_vectors_decide(endpoint, vectors):
    f = endpoint()
    has_examples(f, vectors)
    assert until_in_time(f, "give it back") == "large"
    assert answer_to(f, "write a poem") == ("small", "default")
    rows = of_embeddings(f, 2)
    assert {(r["tenant_id"], r["route"], r["model"], r["endpoint"]) for r in rows} == {
        ("farthing", "r", "e", "embeddings")}
    assert (rows[0]["cost_usd"], rows[0]["input_tokens"], rows[0]["saved_usd"]) == ("0.00001", 10, {})
    sent = vectors.requests[1]
    assert sent.json == {"model": "e", "input": ["give it back"]} and sent.headers["authorization"] == "Bearer vec-key"
    assert not any(name.startswith("x-farthing") for name in sent.headers)


def test_equal_texts_are_asked_once(endpoint, vectors):
    f = endpoint()
    has_examples(f, vectors)
    for _ in range(5):
        until_in_time(f, "give it back")
    assert [r.json["input"] for r in vectors.requests[1:]] == [["give it back"]]


def test_a_late_vector_keeps_nobody_waiting(endpoint, vectors):
    f = endpoint()
    has_examples(f, vectors)
    go_on = threading.Event()

    def late(request, connection):
        go_on.wait(WAIT)
        embed(request, connection)
    vectors.answer = late
    assert answer_to(f, "give it back") == ("small", "default")
    go_on.set()
    of_embeddings(f, 2)
    assert until_in_time(f, "give it back") == "large" and len(vectors.requests) == 2


BROKEN = {
    "error": status(500), "closed": lambda r, c: hang_up(c), "no vector": lambda r, c: reply(c, body={"data": []}),
    "another length": lambda r, c: reply(c, body={"data": [{"index": 0, "embedding": [1, 2]}]}),
    "zeros": lambda r, c: reply(c, body={"data": [{"index": 0, "embedding": [0, 0, 0]}]}),
}


@pytest.mark.parametrize("how", BROKEN)
def test_without_a_vector_it_goes_on(endpoint, vectors, how):
    f = endpoint()
    has_examples(f, vectors)
    vectors.answer = BROKEN[how]
    assert answer_to(f, "give it back") == ("small", "default")
    of_embeddings(f, 2)
    assert answer_to(f, "give it back", temperature=1) == ("small", "default")


def test_without_the_examples_it_goes_on(endpoint, vectors):
    vectors.answer = status(500)
    f = endpoint()
    for i in range(3):
        assert answer_to(f, f"question {i}") == ("small", "default")
    of_embeddings(f, 1)
    eventually(lambda: "the vectors of the classifier's examples cannot be had" in f.log(), "a warning")
    assert len(vectors.requests) == 1  # not again at once


def test_its_budget_holds(endpoint, vectors):
    f = endpoint('embedding_budget = "0.00006 usd"')
    has_examples(f, vectors)
    for i in range(12):
        assert answer_to(f, f"question {i} is another one")[0] == "small"
    rows = of_embeddings(f, 13)
    f.nothing_reserved()
    spent = sum(Decimal(r["cost_usd"]) for r in rows)
    assert f.budget("embeddings")["spent"] == spent <= Decimal("0.00006")
    assert any(r["error_code"] == "budget_exceeded" for r in rows)


def test_a_reload_asks_for_the_new_examples(endpoint, vectors):
    f = endpoint()
    has_examples(f, vectors)
    f.config.write_text(f.config.read_text().replace("i want a refund", "give it back"))
    f.reload()
    assert answer_to(f, "after the reload") == ("small", "default")
    eventually(lambda: ["where is my money", "give it back"] in [r.json["input"] for r in vectors.requests],
               "the new examples")


def test_a_client_that_goes_while_it_is_classified(endpoint, vectors):
    f = endpoint()
    has_examples(f, vectors)
    vectors.answer = lambda r, c: hang_up(c, reset=True)
    for i in range(20):
        connection = f.connect()
        body = b'{"model":"auto","messages":[{"role":"user","content":"q%d"}]}' % i
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.close()
    eventually(lambda: len([r for r in f.rows() if r["tenant_id"] == "default"]) >= 21, "a row for each")
    eventually(lambda: f.get("/inflight")["inflight"] == [], "the end of what nobody waits for")
