"""Redis for the tests, the real thing: one server, a cluster, one with sentinels; and a proxy that is no good."""
import contextlib
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from harness import WAIT, eventually

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


def free_ports(count, also=0):
    """Ports that nobody has, nor those `also` above them (a cluster's bus has its own)."""
    found = []
    while len(found) < count:
        port = random.randrange(10000, 22000)
        with socket.socket() as s, socket.socket() as t, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            t.bind(("127.0.0.1", port + also if also else 0))
            if port not in found:
                found.append(port)
    return found


HASTY = ' command_timeout = "50ms"'  # as it is unless told
PATIENT = ' connect_timeout = "8s"'  # so that each of several is waited for


def store_at(url):
    """Waited for patiently: otherwise a look-up that comes late is a miss, and a key's is refused."""
    return f'kind = "redis" url = "{url}" command_timeout = "5s"'


class Tls:
    """An authority, and a certificate of it for this host."""
    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        (self.directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        self._openssl("req", "-x509", *self.KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                      "-subj", "/CN=authority")
        self._openssl("req", *self.KEY, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=x")
        self._openssl("x509", "-req", "-in", "request.pem", "-out", "certificate.pem", "-CA", "ca.pem", "-CAkey",
                      "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    @property
    def ca_file(self):
        return self.directory / "ca.pem"

    def require(self, server):
        """Its port is for TLS from its start on, and so is what it says to others of its kind."""
        server.more += ("--port", "0", "--tls-port", str(server.port), "--tls-cluster", "yes", "--tls-replication",
                        "yes", "--tls-auth-clients", "optional", "--tls-ca-cert-file", str(self.ca_file),
                        "--tls-cert-file", str(self.directory / "certificate.pem"),
                        "--tls-key-file", str(self.directory / "key.pem"))


class RedisServer:
    """On a socket of its own; with a port, on that, too."""

    def __init__(self, *more, port=0):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="farthing-redis-"))
        self.path = self.directory / "redis"
        self.port = port
        self.more = more
        self.password = None  # for what is asked here
        self.process = None

    @property
    def url(self):
        return f"redis+unix://{self.path}"

    @property
    def tcp_url(self):
        return f"redis://127.0.0.1:{self.port}"

    @property
    def store(self):
        return store_at(self.url)

    def start(self, ready=True):
        self.process = subprocess.Popen(
            ["redis-server", *self._config(), "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket",
             str(self.path), "--save", "", "--appendonly", "no", "--dir", str(self.directory), *self.more],
            stdout=subprocess.DEVNULL)
        if ready:
            eventually(lambda: self.ask("PING"), "redis")
        return self

    def _config(self):
        return ()

    def ask(self, line):
        """The first bytes of the answer; empty where there is nobody."""
        return self._talk(line.encode() + b"\r\n").decode(errors="replace")

    def call(self, *words):
        """The same, of words of any bytes."""
        return self._talk(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))

    def _talk(self, request):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(WAIT)
                s.connect(str(self.path))
                if self.password:
                    s.sendall(b"AUTH %b\r\n" % self.password.encode())
                    assert s.recv(64) == b"+OK\r\n"
                s.sendall(request)
                return s.recv(65536)
        except OSError:
            return b""

    def values(self):
        """How many cached answers and results under keys there are, and nothing else."""
        return int(self.ask("KEYS farthing:*:*:{*}").split("\r\n")[0][1:])

    def role(self):
        return self.ask("ROLE").split("\r\n")[2:3]

    def pause(self):
        """Silent from here on, and not gone."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(WAIT)
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def is_up(farthing):
    return 'farthing_store_up{kind="redis"} 1' in farthing.metrics()


def know_each_other(fleet):
    for f in fleet:
        eventually(lambda f=f: f.get("/status")["store"]["instances"] == len(fleet), "that they know of each other")


class RedisCluster:
    """Three masters and a replica of each: nodes[n] and nodes[n + 3]."""
    MASTERS = 3
    SLOTS = 16384

    def __init__(self, *more, timeout_ms=1000):
        ports = free_ports(2 * self.MASTERS, also=10000)
        self.nodes = [RedisServer("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
                                  "--cluster-node-timeout", str(timeout_ms), "--repl-diskless-sync-delay", "0",
                                  *more, port=port) for port in ports]
        self.ids = [f"{n:x}" * 40 for n in range(1, len(ports) + 1)]
        for n, node in enumerate(self.nodes):
            (node.directory / "nodes.conf").write_text(self._nodes(n))

    def _nodes(self, of):
        """They know each other from the start, which saves the seconds of getting to know."""
        lines = []
        for n, node in enumerate(self.nodes):
            of_master = n % self.MASTERS
            flags = ("myself," if n == of else "") + ("master" if n < self.MASTERS else "slave")
            master = "-" if n < self.MASTERS else self.ids[of_master]
            slots = " {}-{}".format(*self.slots(n)) if n < self.MASTERS else ""
            lines.append(f"{self.ids[n]} 127.0.0.1:{node.port}@{node.port + 10000} {flags} {master} 0 0 "
                         f"{of_master + 1} connected{slots}\n")
        return "".join(lines) + f"vars currentEpoch {self.MASTERS} lastVoteEpoch 0\n"

    def slots(self, master):
        return self.SLOTS * master // self.MASTERS, self.SLOTS * (master + 1) // self.MASTERS - 1

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{n.port}" for n in self.nodes[:2])

    @property
    def store(self):
        return store_at(self.url)

    def start(self):
        for node in self.nodes:
            node.start(ready=False)
        eventually(self.is_whole, "a cluster")
        return self

    def is_whole(self):
        """All nodes that run say so, and every replica follows its master."""
        running = [n for n in self.nodes if n.process is not None]
        return all("cluster_state:ok" in n.ask("CLUSTER INFO") for n in running) and all(
            n.role() != ["slave"] or "connected\r\n" in n.ask("ROLE") for n in running)

    def master_of(self, slot):
        """The index of the node that serves it, as the running nodes say."""
        for n, node in enumerate(self.nodes):
            if node.process is not None and node.role() == ["master"]:
                mine = [w for line in node.ask("CLUSTER NODES").splitlines() if "myself" in line
                        for w in line.split()[8:] if not w.startswith("[")]
                for first, _, last in (w.partition("-") for w in mine):
                    if int(first) <= slot <= int(last or first):
                        return n
        return None

    def values(self):
        """Of the masters; a replica has the same."""
        return sum(n.values() for n in self.nodes if n.process is not None and n.role() == ["master"])

    def stop(self):
        for node in self.nodes:
            node.stop()

    def remove(self):
        for node in self.nodes:
            node.remove()


class Sentinel(RedisServer):
    def __init__(self, config, port):
        super().__init__("--sentinel", port=port)
        (self.directory / "sentinel.conf").write_text(config)

    def _config(self):
        return (str(self.directory / "sentinel.conf"),)


class RedisSentinels:
    """A master and a replica, nodes[0] and nodes[1], under the eyes of three sentinels."""
    NAME = "books"

    def __init__(self, *more, down_after_ms=500):
        ports = free_ports(5)
        self.nodes = [RedisServer("--repl-diskless-sync-delay", "0", *more, port=p) for p in ports[:2]]
        self.nodes[1].more += ("--replicaof", "127.0.0.1", str(ports[0]))
        ids = [f"{n:x}" * 40 for n in range(1, 4)]
        self.sentinels = [Sentinel(self._config(ports, ids, n, down_after_ms), ports[2 + n]) for n in range(3)]

    def _config(self, ports, ids, of, down_after_ms):
        """What they would find out of each other within some seconds stands there at once."""
        lines = [f"sentinel myid {ids[of]}", f"sentinel monitor {self.NAME} 127.0.0.1 {ports[0]} 2",
                 f"sentinel down-after-milliseconds {self.NAME} {down_after_ms}",
                 f"sentinel failover-timeout {self.NAME} 3000",
                 f"sentinel known-replica {self.NAME} 127.0.0.1 {ports[1]}"]
        lines += [f"sentinel known-sentinel {self.NAME} 127.0.0.1 {ports[2 + n]} {ids[n]}"
                  for n in range(3) if n != of]
        return "\n".join(lines) + "\n"

    @property
    def url(self):
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels) + f"/{self.NAME}"

    @property
    def store(self):
        return store_at(self.url)

    def start(self):
        for node in self.nodes + self.sentinels:
            node.start()
        eventually(lambda: "connected\r\n" in self.nodes[1].ask("ROLE"), "a replica")
        eventually(lambda: all(s.ask(f"SENTINEL CKQUORUM {self.NAME}").startswith("+OK") for s in self.sentinels),
                   "sentinels that agree")
        return self

    def master(self):
        """The index of the node that they say it is."""
        answer = self.sentinels[0].ask(f"SENTINEL GET-MASTER-ADDR-BY-NAME {self.NAME}").split("\r\n")
        return next((n for n, node in enumerate(self.nodes) if str(node.port) in answer), None)

    def stop(self):
        for node in self.nodes + self.sentinels:
            node.stop()

    def remove(self):
        for node in self.nodes + self.sentinels:
            node.remove()


class ChaosProxy:
    """Between a client and a server: bytes go through, until it is told to do otherwise.

    proxy.delay = 0.2         each piece of bytes comes so many seconds later
    proxy.black_hole = True   nothing goes through any more, and nothing is closed;
                              what came meanwhile goes on when it is False again
    proxy.drop = 0.1          this part of the pieces of the server's is lost
    proxy.corrupt = 0.1       in this part of them one byte is another
    proxy.refuse = True       new connections are closed at once
    proxy.cut()               closes all connections
    """

    def __init__(self, to):
        """`to`: a port of this host, or a socket's path."""
        self.to = to
        self.delay, self.drop, self.corrupt = 0, 0, 0
        self.refuse = False
        self.random = random.Random(1)
        self.connections = 0
        self._open = threading.Event()
        self._open.set()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._sockets = set()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    @property
    def store(self):
        return store_at(self.url)

    @property
    def black_hole(self):
        return not self._open.is_set()

    @black_hole.setter
    def black_hole(self, is_one):
        if is_one:
            self._open.clear()
        else:
            self._open.set()

    def _connect(self):
        family = socket.AF_INET if isinstance(self.to, int) else socket.AF_UNIX
        s = socket.socket(family)
        s.connect(("127.0.0.1", self.to) if isinstance(self.to, int) else str(self.to))
        return s

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            try:
                if self.refuse:
                    raise ConnectionRefusedError
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, target, spoils in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, target, spoils), daemon=True).start()

    def _spoil(self, piece):
        if self.random.random() < self.drop:
            return b""
        if self.random.random() < self.corrupt:
            at = self.random.randrange(len(piece))
            return piece[:at] + bytes([piece[at] ^ 1 << self.random.randrange(8)]) + piece[at + 1:]
        return piece

    def _pump(self, source, target, spoils):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                self._ended.wait(self.delay)
                self._open.wait()
                target.sendall(self._spoil(piece) if spoils else piece)
        self._close({source, target})

    def _close(self, sockets):
        with self._lock:
            mine = sockets & self._sockets
            self._sockets -= mine
        for s in mine:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def cut(self):
        self._close(set(self._sockets))

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._ended.set()
        self._open.set()
        self.cut()
