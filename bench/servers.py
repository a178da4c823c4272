"""What the programs of this folder run: the proxies, the mock provider, requests, configurations."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PROXY_CORE, LOAD_CORE = 0, 1
TICK = os.sysconf("SC_CLK_TCK")

ANSWER = {
    "id": "chatcmpl-bench", "object": "chat.completion", "created": 1700000000,
    "model": "gpt-4o-mini", "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                                         "message": {"role": "assistant", "refusal": None,
                                                     "content": "word " * 140}}],
    "usage": {"prompt_tokens": 380, "completion_tokens": 140, "total_tokens": 520}}


def prompt(size):
    words = "The quick brown fox jumps over the lazy dog and says that \"all is well\".\n"
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    left = size - 150
    while left > 0:  # an agent's turns
        text = (words * 60)[:min(left, 4000)]
        messages.append({"role": "user" if len(messages) % 2 else "assistant", "content": text})
        left -= len(text) + 60
    return {"model": "gpt-4o-mini", "messages": messages}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, patience_s=5):
    for _ in range(int(patience_s * 100)):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


class Server:
    """A process on one core, with the CPU time and memory of it and its children."""

    def __init__(self, name, core, port, command, patience_s=5):
        self.name, self.port = name, port
        self.process = subprocess.Popen(["taskset", "-c", str(core), *command],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port, patience_s)

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True,
                                  text=True).stdout.split()
        return [self.process.pid, *map(int, children)]

    def cpu(self):
        """Seconds in user space and in the kernel."""
        user = kernel = 0
        for pid in self.pids():
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            user += int(fields[11])
            kernel += int(fields[12])
        return user / TICK, kernel / TICK

    def rss(self):
        total = 0
        for pid in self.pids():
            text = open(f"/proc/{pid}/status").read()
            total += int(re.search(r"VmRSS:\s+(\d+)", text).group(1))
        return total * 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


NGINX = """
daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 1h;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_max_body_size 32m; client_body_buffer_size 1m;
  {upstream}
  server {{ listen 127.0.0.1:{port} reuseport; {server} }}
}}
"""


def nginx(directory, name, core, server, upstream=""):
    port = free_port()
    file = directory / f"{name}.conf"
    file.write_text(NGINX.format(dir=directory, name=name, port=port, server=server, upstream=upstream))
    return Server(name, core, port, ["nginx", "-c", str(file), "-e", "/dev/null"])


def nginx_proxy(directory, mock):
    return nginx(directory, "nginx", PROXY_CORE,
                 "location / { proxy_pass http://mock; proxy_http_version 1.1; "
                 "proxy_set_header Connection \"\"; proxy_buffering off; }",
                 f"upstream mock {{ server 127.0.0.1:{mock.port}; keepalive 2000; "
                 "keepalive_requests 100000000; }")


def haproxy(directory, mock):
    port = free_port()
    file = directory / "haproxy.cfg"
    file.write_text(f"""
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
  option http-keep-alive
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{mock.port}
""")
    return Server("haproxy", PROXY_CORE, port, ["haproxy", "-f", str(file), "-db"])


# ------------------------------------------------------------- Farthing's set-ups

# load's key, whose tenant has most of what follows.
KEYS = f'keys = {{"sha256:{hashlib.sha256(b"sk-load").hexdigest()}"}}'
# Nothing here refuses, waits or lowers below what the request wants: what is
# measured is what it costs to ask. Whole lines of routing.conf, by part.
LIMITS = """
  concurrency = 2000  queue = 1000  queue_timeout = "10s"
  requests = "1000000000/min"  tokens = "1000000000000/min"
  each_key { requests = "1000000000/min"  concurrency = 2000 }"""
BUDGETS = """
  budget "daily"  { amount = "1000000 usd"  window = "1d"  feature = "chat_*" }
  budget "person" { amount = "1000000 usd"  window = "1d"  per = "user" }"""
CAPS = """
  max_output_tokens = 300  max_input_tokens = 100000  max_cost = "1 usd"
  context "system"  { max_tokens = 10000 }
  context "history" { max_tokens = 50000  action = "trim_oldest" }"""
RUN = """
  run { max_steps = 1000  max_attempts = 2000  max_tokens = 100000000  max_cost = "100 usd"
        max_wall = "1h" }"""


def guards(tenant="", route=""):
    """Sections for one tenant with these lines, and one route for everything."""
    text = f'tenant "acme" {{ {KEYS} {tenant}\n}}\n'
    return text + (f'route "all" {{ {route}\n}}\n' if route else "")


ALL = guards(LIMITS + BUDGETS + RUN, CAPS)
# A thousand users, runs of 20 steps: see load.c.
NAMED = ["x-farthing-feature: chat_help", "x-farthing-user: %%%%%%%%", "x-farthing-run: run-$$$$$$$$"]
BYPASS = ["x-farthing-cache: bypass"]


def farthing_config(directory, mock, port, admin, sections="", workers=1, store=""):
    file = directory / "routing.conf"
    shutil.rmtree(directory / "data", ignore_errors=True)
    file.write_text(f"""
server {{ listen = {{"127.0.0.1:{port}"}} admin_listen = "127.0.0.1:{admin}" workers = {workers} }}
store {{ path = "{directory}/data" {store} }}
provider "openai" {{ base_url = "http://127.0.0.1:{mock.port}/v1" api_key = "k" max_inflight = 0 }}
{sections}
log {{ cost_log = "{directory}/cost.jsonl" level = "warning"
       prices = "{HERE.parent}/conf/prices.json" }}
""")
    return file


def farthing(directory, mock, build, sections="", workers=1, core=PROXY_CORE, name="farthing", store=""):
    port, admin = free_port(), free_port()
    file = farthing_config(directory, mock, port, admin, sections, workers, store)
    server = Server(name, core, port, [str(build / "farthing"), "-c", str(file)])
    server.admin = admin
    return server


def fast_mock(directory):
    body = json.dumps(ANSWER).replace("'", "\\'")
    return nginx(directory, "mock", LOAD_CORE,
                 f"location / {{ default_type application/json; return 200 '{body}'; }}")


class Redis(Server):
    """One with nothing on disk, that counts."""

    def __init__(self, core=LOAD_CORE):
        port = free_port()
        super().__init__("redis", core, port, ["redis-server", "--port", str(port), "--save", ""])
        self.store = f'kind = "redis" url = "redis://127.0.0.1:{port}"'

    def figures(self):
        """Commands, of scripts too, bytes read and written, and CPU seconds, since its start."""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"INFO stats\r\nQUIT\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        numbers = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
        names = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
        return {"commands": int(numbers[names[0]]), "in": int(numbers[names[1]]),
                "out": int(numbers[names[2]]), "cpu_s": sum(self.cpu())}

    def since(self, then):
        return {name: value - then[name] for name, value in self.figures().items()}


def write_bodies(directory):
    small = prompt(1600)
    varied = json.loads(json.dumps(small))  # each request another, so that none is found again
    varied["messages"][0]["content"] += " This is request ########."
    for name, body in (("small", small), ("large", prompt(300_000)),
                       ("stream", {**small, "stream": True, "stream_options": {"include_usage": True}}),
                       ("varied", varied), ("warm", {**varied, "temperature": 1})):
        (directory / name).write_text(json.dumps(body))


def require(*tools):
    os.environ["PATH"] += ":/usr/sbin"
    for tool in tools:
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed: apt-get install nginx-light haproxy util-linux valgrind")
