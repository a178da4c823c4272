"""farthingctl, as an operator types it."""
import json
import subprocess

from harness import FARTHINGCTL

HANGS = 250  # seconds; to train a model takes some of them


def ctl(f, *words, stdin=None, env=None):
    """Of this proxy; of None where nobody is to be asked."""
    address = f.admin.removeprefix("http://") if f else "127.0.0.1:1"
    return subprocess.run([FARTHINGCTL, "--admin", address, *map(str, words)], capture_output=True, text=True,
                          timeout=HANGS, input=stdin, env=env)


def ctl_ok(f, *words, **more):
    """What it prints."""
    done = ctl(f, *words, **more)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def ctl_json(f, *words, **more):
    return json.loads(ctl_ok(f, *words, "--json", **more))
