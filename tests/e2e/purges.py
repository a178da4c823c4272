"""Answers of two tenants, with all that a purge can go by."""
from harness import key, question, tenant

SETUP = tenant("a") + tenant("b") + 'route "main" { match { features = {"chat"} } }\nroute "other" { }\n'
BASE = {**key("a"), "x-farthing-feature": "chat", "x-farthing-prompt-version": "p1", "x-farthing-corpus-version": "c1"}
# By each kind, what it purges; and what makes a request one of another tenant, feature, ...
KINDS = {
    "tenant": ("a", key("b")),
    "feature": ("chat", {"x-farthing-feature": "search"}),
    "prompt-version": ("p1", {"x-farthing-prompt-version": "p2"}),
    "corpus-version": ("c1", {"x-farthing-corpus-version": "c2"}),
    "route": ("main", {"x-farthing-route": "other"}),
}


def ask(f, n, headers=()):
    return f.post(body=question(seed=n), headers={**BASE, **dict(headers)})


def has(f, n, headers=()):
    """Is it in the cache?"""
    answer = ask(f, n, {"x-farthing-cache": "only", **dict(headers)})
    assert answer.status in (200, 504), answer.body
    return answer.status == 200
