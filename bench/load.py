"""Load: wrk for time (h2load for HTTP/2), a plain client of our own where the number of requests must be exact."""

import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from proxies import LOAD_CPU, Process

KIB = 1024
CONNECTIONS = 64
SECONDS = 1  # wrk knows whole seconds only.

REPORT = """
function done(summary, latency, requests)
    local e = summary.errors
    io.stderr:write(string.format("bench %d %d\\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Workload:
    """One kind of request."""

    name: str
    title: str
    path: str
    body: int = 0  # Bytes the client sends.
    answer: int = 0  # Bytes of the file it asks for.
    close: bool = False  # One connection per request.
    tls: bool = False
    http2: bool = False  # Over TLS.

    def is_counted(self) -> bool:
        """Whether our plain client speaks it: on kept connections, without TLS."""
        return not (self.close or self.tls)

    def lua(self) -> str:
        lines = []
        if self.body:
            lines += ['wrk.method = "POST"', f'wrk.body = string.rep("x", {self.body})']
        if self.close:
            lines += ['wrk.headers["Connection"] = "close"']
        return "\n".join([*lines, REPORT])

    def wire(self) -> bytes:
        """The request as bytes, as wrk writes it."""
        method = "POST" if self.body else "GET"
        length = f"Content-Length: {self.body}\r\n" if self.body else ""
        return f"{method} {self.path} HTTP/1.1\r\nHost: bench.example:80\r\n{length}\r\n".encode() + b"x" * self.body


WORKLOADS = {
    workload.name: workload
    for workload in [
        Workload("get1k", "GET 1 KiB", "/1k", answer=KIB),
        Workload("get64k", "GET 64 KiB", "/64k", answer=64 * KIB),
        Workload("get1m", "GET 1 MiB", "/1m", answer=KIB * KIB),
        Workload("post16k", "POST 16 KiB", "/post", body=16 * KIB),
        Workload("close", "GET 1 KiB, a connection per request", "/1k", answer=KIB, close=True),
        Workload("tls", "GET 1 KiB over TLS", "/1k", answer=KIB, tls=True),
        Workload("handshake", "GET 1 KiB, a TLS handshake per request", "/1k", answer=KIB, tls=True, close=True),
        Workload("http2", "GET 1 KiB, HTTP/2 over TLS", "/1k", answer=KIB, tls=True, http2=True),
    ]
}


def load(workload: Workload, process: Process, home: Path) -> int:
    """Loads for a second; returns how many requests were answered, all of them well."""
    requests, errors, report = h2load(workload, process.tls_port) if workload.http2 else wrk(workload, process, home)
    if errors or not requests:
        raise SystemExit(f"bench: {errors} of {requests} requests failed ({workload.title}): {report}")
    return requests


def wrk(workload: Workload, process: Process, home: Path) -> tuple[int, int, str]:
    script = home / f"{workload.name}.lua"
    if not script.exists():
        script.write_text(workload.lua())
    origin = f"https://127.0.0.1:{process.tls_port}" if workload.tls else f"http://127.0.0.1:{process.port}"
    run = on_its_core(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "-s", str(script), origin + workload.path])
    requests, errors = (int(field) for field in run.stderr.split("bench ")[1].split())
    return requests, errors, run.stdout


def h2load(workload: Workload, port: int) -> tuple[int, int, str]:
    run = on_its_core(["h2load", "-t1", f"-c{CONNECTIONS}", "-m1", f"-D{SECONDS}", f"https://127.0.0.1:{port}{workload.path}"])
    good = re.search(r"^status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", run.stdout, re.MULTILINE)
    errors = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", run.stdout)
    return int(good[1]) if good else 0, sum(map(int, errors.groups())) if errors else 0, run.stdout


def on_its_core(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU % os.cpu_count()}),
    )


class Clients:
    """Keepalive connections that are used in step: a request on each, then an answer from each."""

    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []
        self.open(count)

    def open(self, count: int) -> None:
        for _ in range(count):
            self.sockets.append(socket.create_connection(("127.0.0.1", self.port), timeout=60))

    def rounds(self, request: bytes, count: int) -> None:
        for _ in range(count):
            for client in self.sockets:
                client.sendall(request)
            for client in self.sockets:
                read_answer(client)

    def close(self) -> None:
        for client in self.sockets:
            client.close()


def read_answer(client: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(client)
    head, rest = received.split(b"\r\n\r\n", 1)
    lines = head.lower().split(b"\r\n")
    if b" 200 " not in lines[0]:
        raise SystemExit(f"bench: unexpected answer: {head.decode(errors='replace')}")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    missing = length - len(rest)
    while missing > 0:
        missing -= len(more(client))


def more(client: socket.socket) -> bytes:
    received = client.recv(1 << 16)
    if not received:
        raise SystemExit("bench: the connection was closed in the middle of an answer")
    return received
