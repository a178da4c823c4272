#!/usr/bin/env python3
"""Costs by the ledger against costs computed here, in decimals, from the
catalogue's own text: every model of it, every service tier, several usages.

usage: check_catalogue.py COSTS-PROGRAM PRICES-JSON"""
import datetime
import itertools
import json
import subprocess
import sys
from decimal import ROUND_CEILING, Decimal, getcontext

getcontext().prec = 60
PICO = Decimal(10) ** -12
USAGES = [  # input, output, cached, written, of these for 1 h, reasoning
    (1, 1, 0, 0, 0, 0),
    (1234, 567, 0, 0, 0, 89),
    (150001, 4321, 100000, 777, 333, 0),
    (1000003, 99, 3, 5, 5, 99),
]
WHENS = [datetime.datetime(y, m, d, h, tzinfo=datetime.timezone.utc)
         for y, m, d, h in [(2024, 6, 1, 9), (2026, 11, 21, 12), (2026, 11, 21, 20),
                            (2030, 1, 1, 0)]]


def names_of(match):
    (kind, value), = match.items()
    if kind in ("or", "and"):
        return [n for part in value for n in names_of(part)]
    if kind == "not":
        return []
    example = {"starts_with": value + "-x", "like": value.replace("#", "7").replace("*", "z")}
    return [example.get(kind, value)]


def fits(match, name):
    (kind, value), = match.items()
    if kind == "or":
        return any(fits(part, name) for part in value)
    if kind == "and":
        return all(fits(part, name) for part in value)
    if kind == "not":
        return not fits(value, name)
    value = value.lower()
    if kind == "like":
        wild = value.endswith("*")
        stem = value.rstrip("*")
        head = name[:len(stem)]
        return (wild or len(name) == len(stem)) and len(head) == len(stem) and all(
            c.isdigit() if want == "#" else c == want for want, c in zip(stem, head))
    return {"equals": name == value, "starts_with": name.startswith(value),
            "ends_with": name.endswith(value), "contains": value in name}[kind]


def holds(price, when):
    if "from" in price and when.date().isoformat() < price["from"]:
        return False
    if "start_time" not in price:
        return True
    now, start, end = when.strftime("%H:%M:%SZ"), price["start_time"], price["end_time"]
    return start <= now < end if start <= end else now >= start or now < end


def price_at(model, when):
    return next((p for p in reversed(model["prices"][1:]) if holds(p, when)), model["prices"][0])


def cost(price, percent, usage):
    if not {"input", "output", "request"} & set(price):
        return "null"
    request = Decimal(price.get("request", 0))
    for step in price.get("steps", []):
        if usage[0] > step["above"]:
            price = {**price, **step}

    def of(*kinds):
        kind = next((k for k in kinds if k in price), None)
        if kind is None:
            return Decimal(0)
        million = Decimal(price[kind]).quantize(PICO, ROUND_CEILING) * percent / 100
        return million.quantize(PICO, ROUND_CEILING)

    given, out, cached, written, written_1h, reasoning = usage
    cached = min(cached, given)
    written = min(written, given - cached)
    written_1h = min(written_1h, written)
    reasoning = min(reasoning, out)
    million = ((given - cached - written) * of("input") + cached * of("cached_input", "input")
               + (written - written_1h) * of("cache_write", "input")
               + written_1h * of("cache_write_1h", "cache_write", "input")
               + (out - reasoning) * of("output") + reasoning * of("reasoning", "output"))
    text = format((million / 1000000).quantize(PICO, ROUND_CEILING) + request, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def main(program, path):
    with open(path, encoding="utf-8") as f:
        vendors = json.load(f)["providers"]
    questions, answers, models = [], [], 0
    for vendor in vendors:
        tiers = {"": 100, **vendor["service_tiers"]}
        for model in vendor["models"]:
            models += 1
            for name in {n.lower() for n in [model["id"], *names_of(model["match"])]}:
                found = next((m for m in vendor["models"]
                              if m["id"].lower() == name or fits(m["match"], name)), None)
                for (tier, percent), when, usage in itertools.product(tiers.items(), WHENS, USAGES):
                    ms = int(when.timestamp() * 1000)
                    questions.append("\t".join(map(str, (
                        vendor["id"], "", name, tier, ms, usage[0], usage[1], *usage[2:]))))
                    answers.append("null" if found is None
                                   else cost(price_at(found, when), percent, usage))
    run = subprocess.run([program, path], input="\n".join(questions) + "\n", text=True,
                         capture_output=True, check=True)
    got = run.stdout.split("\n")[:-1]
    wrong = [(q, a, g) for q, a, g in zip(questions, answers, got) if a != g]
    for question, expected, seen in wrong[:20]:
        print(f"{question}: {seen}, expected {expected}")
    priced = sum(a != "null" for a in answers)
    print(f"{models} models, {len(questions)} costs, {priced} of them known, {len(wrong)} wrong")
    enough = len(got) == len(questions) and models >= 300 and priced * 2 >= len(answers)
    return 0 if enough and not wrong else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
