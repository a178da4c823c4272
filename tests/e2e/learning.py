"""farthingctl train, classify, eval on files: what their tests share."""
import json
import random

from ctl import ctl as ctl_of


def ctl(*words, **more):
    """No proxy is asked, whatever stands there."""
    return ctl_of(None, *words, **more)


def ctl_ok(*words, **more):
    done = ctl(*words, **more)
    assert done.returncode == 0, done.stderr
    return done


def ctl_json(*words, **more):
    return json.loads(ctl_ok(*words, "--json", **more).stdout)


def classified(model, *files, **more):
    return [json.loads(line) for line in ctl_ok("classify", "--model", model, *files, **more)
            .stdout.splitlines()]


def made_up(count, seed=1):
    """What says "integral" is hard: there the small model fails."""
    draw = random.Random(seed)
    for i in range(count):
        words = ["".join(draw.choices("abcdefghij", k=draw.randint(3, 8))) for _ in range(12)]
        words[draw.randrange(12)] = "integral" if i % 2 else "hello"
        yield {"prompt": " ".join(words), "small_ok": i % 2 == 0, "large_ok": draw.random() < 0.9}


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path
