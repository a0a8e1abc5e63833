"""The proxies under test and the backend behind them: how each is configured, started and stopped.

All of them do the same work as a user would run it: keepalive to both backends, the forwarded headers of the guides, a request id, an
access log whose lines carry the upstream's part. One worker each.
"""

import base64
import os
import resource
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PROXY_CPU, LOAD_CPU = 0, 1
UPSTREAM_KEEPALIVE = 64
START_SECONDS = 60  # Under valgrind a start takes several seconds.
STOP_SECONDS = 20

LOG_FORMAT = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    '$proxy_host "$upstream_addr" "$upstream_status" "$upstream_connect_time" "$upstream_header_time" '
    '"$upstream_response_time" $request_time $request_id'
)

NGINX = """
daemon off; master_process %(master)s; worker_processes 1; pid %(home)s/pid; error_log %(home)s/error.log warn;
events { worker_connections 16384; }
http {
    access_log off; keepalive_requests 100000000; keepalive_timeout 75s;
    client_body_temp_path %(home)s/body; proxy_temp_path %(home)s/proxy;
    fastcgi_temp_path %(home)s/fastcgi; uwsgi_temp_path %(home)s/uwsgi; scgi_temp_path %(home)s/scgi;
    %(http)s
}
"""

NGINX_BACKEND = """
    sendfile on; tcp_nopush on; open_file_cache max=16 inactive=1h; default_type application/octet-stream;
    server {
        %(listen)s
        root %(home)s/files;
        location = /post { return 200 "taken\\n"; }
    }
"""

CERTIFICATE = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example")

NGINX_PROXY = """
    log_format upstream '%(log_format)s';
    access_log /dev/null upstream buffer=64k flush=1s;
    client_body_buffer_size 64k;
    upstream app { %(servers)s keepalive %(keepalive)s; keepalive_requests 100000000; }
    server {
        listen 127.0.0.1:%(port)s;
        listen 127.0.0.1:%(tls_port)s ssl http2;
        ssl_certificate %(home)s/both.pem;
        ssl_certificate_key %(home)s/both.pem;
        ssl_protocols TLSv1.2 TLSv1.3;  # The default since 1.23.4.
        ssl_session_cache shared:tls:10m;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Request-ID $request_id;
        }
    }
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4096
    log stdout format raw daemon
defaults
    mode http
    log global
    option httplog
    timeout connect 60s
    timeout client 75s
    timeout server 60s
    timeout http-request 60s
    http-reuse always
frontend http
    bind 127.0.0.1:%(port)s
    bind 127.0.0.1:%(tls_port)s ssl crt %(home)s/both.pem alpn h2,http/1.1
    unique-id-format %%[uuid]
    unique-id-header X-Request-ID
    option forwardfor
    http-request set-header X-Real-IP %%[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %%[req.hdr(host)]
    http-request set-header X-Forwarded-Port %%[dst_port]
    default_backend app
backend app
    balance roundrobin
    option redispatch
    %(servers)s
"""

FOREBAY = """
apiVersion: forebay.dev/v1alpha1
kind: UpstreamGroup
metadata: {name: app, namespace: default}
spec:
  servers:
%(servers)s
  keepalive: {connections: %(keepalive)s, requests: 1000000000}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: app, namespace: default}
spec:
  tls: [{secretName: bench}]
  defaultBackend: {resource: {apiGroup: forebay.dev, kind: UpstreamGroup, name: app}}
---
apiVersion: v1
kind: Secret
metadata: {name: bench, namespace: default}
type: kubernetes.io/tls
data: {tls.crt: %(crt)s, tls.key: %(key)s}
"""


@dataclass
class Process:
    """A started server and the processes it consists of."""

    name: str
    port: int
    tls_port: int
    popen: subprocess.Popen
    home: Path
    traced: bool = False  # Started by a tracer, which keeps signals to itself.

    def pids(self) -> list[int]:
        pids = [self.popen.pid]
        for pid in pids:  # Grows while it is walked: children of children too.
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            pids.extend(int(child) for child in children.split())
        return pids

    def stop(self) -> None:
        """Ends it and waits; what does not end in time is killed."""
        if self.popen.poll() is None:
            os.kill(self.pids()[1 if self.traced else 0], signal.SIGTERM)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for pid in reversed(self.pids()):
                    os.kill(pid, signal.SIGKILL)
                self.popen.wait()


@dataclass
class Proxy:
    """Something that can be started in front of the backend."""

    name: str
    command: str
    kind: str  # nginx | haproxy | forebay

    def start(self, home: Path, backends: list[int], wrapper: tuple[str, ...] = ()) -> Process:
        """Starts it, under `wrapper` (a tool's command line) if there is one."""
        home.mkdir(parents=True, exist_ok=True)
        certificate(home)
        port, tls_port, admin = free_port(), free_port(), free_port()
        config = home / "config.yaml" if self.kind == "forebay" else home / "config"
        config.write_text(self.config(home, port, tls_port, backends, alone=bool(wrapper)))
        match self.kind:
            case "nginx":
                command = [self.command, "-e", str(home / "error.log"), "-c", str(config)]
            case "haproxy":
                command = [self.command, "-db", "-f", str(config)]
            case _:
                command = [self.command, "run", "--config", str(config), "--workers", "1", "--access-log", "/dev/null"]
                command += ["--http", f"127.0.0.1:{port}=default/app", "--https", f"127.0.0.1:{tls_port}=default/app", "--admin", f"127.0.0.1:{admin}"]
                command += ["--drain-delay", "0s", "--drain-timeout", "2s"]
                # A benchmark's connections outlive nginx's default number of requests; the others are not limited either.
                command += ["--client-keepalive-requests", "0"]
        process = spawn(self.name, [*wrapper, *command], home, port, PROXY_CPU, tls_port)
        process.traced = wrapper[:1] == ("strace",)
        return process

    def config(self, home: Path, port: int, tls_port: int, backends: list[int], alone: bool) -> str:
        values = {"home": home, "port": port, "tls_port": tls_port, "keepalive": UPSTREAM_KEEPALIVE, "log_format": LOG_FORMAT}
        match self.kind:
            case "nginx":
                servers = "".join(f"server 127.0.0.1:{backend}; " for backend in backends)
                values["http"] = NGINX_PROXY % {**values, "servers": servers}
                return NGINX % {**values, "master": "off" if alone else "on"}
            case "haproxy":
                lines = [f"server s{n} 127.0.0.1:{backend} pool-max-conn {UPSTREAM_KEEPALIVE}" for n, backend in enumerate(backends)]
                return HAPROXY % {**values, "servers": "\n    ".join(lines)}
            case _:
                lines = [f"  - {{name: s{n}, address: '127.0.0.1:{backend}'}}" for n, backend in enumerate(backends)]
                crt, key = (base64.b64encode((home / name).read_bytes()).decode() for name in ("crt.pem", "key.pem"))
                return FOREBAY % {**values, "servers": "\n".join(lines), "crt": crt, "key": key}


def start_backend(nginx: str, home: Path, sizes: dict[str, int]) -> tuple[Process, list[int]]:
    """An nginx that serves files of `sizes` and takes POST, on two ports."""
    files = home / "files"
    files.mkdir(parents=True)
    for name, size in sizes.items():
        (files / name).write_bytes(b"x" * size)
    ports = [free_port(), free_port()]
    listen = " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in ports)
    config = home / "config"
    http = NGINX_BACKEND % {"home": home, "listen": listen}
    config.write_text(NGINX % {"home": home, "master": "on", "http": http})
    # Its workers may not be root's, and must read the files below a private directory.
    user = ["-g", "user root;"] if os.getuid() == 0 else []
    command = [nginx, "-e", str(home / "error.log"), "-c", str(config), *user]
    return spawn("backend", command, home, ports[0], LOAD_CPU), ports


def certificate(home: Path) -> None:
    """A certificate and its key, apart and in one file: everybody wants them otherwise."""
    crt, key = home / "crt.pem", home / "key.pem"
    subprocess.run([*CERTIFICATE, "-out", str(crt), "-keyout", str(key)], check=True, capture_output=True)
    (home / "both.pem").write_bytes(crt.read_bytes() + key.read_bytes())


def spawn(name: str, command: list[str], home: Path, port: int, cpu: int, tls_port: int = 0) -> Process:
    def confine() -> None:
        os.sched_setaffinity(0, {cpu % os.cpu_count()})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    with open(home / "stderr", "wb") as stderr:
        popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, preexec_fn=confine)
    process = Process(name, port, tls_port, popen, home)
    deadline = time.monotonic() + START_SECONDS
    while True:
        if popen.poll() is not None:
            raise SystemExit(f"bench: {name} ended at once: {(home / 'stderr').read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            if time.monotonic() > deadline:
                process.stop()
                raise SystemExit(f"bench: {name} does not listen on port {port}; its output is in {home}/stderr") from None
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
