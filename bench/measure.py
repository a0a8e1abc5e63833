"""What is measured of a proxy: CPU time per request, instructions and system calls per request, memory per idle connection."""

import re
import time
from pathlib import Path

from load import Clients, Workload, load
from proxies import Process, Proxy

TOOL_CONNECTIONS = 16
WARM_ROUNDS = 20
IDLE_FEW, IDLE_MANY = 500, 2500


def cpu_seconds(process: Process) -> float:
    """Run time of every thread, user and system, as the scheduler accounts it."""
    nanoseconds = 0
    for pid in process.pids():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def cpu_per_request(process: Process, workload: Workload, home: Path) -> float:
    """Microseconds per request over one slice of load."""
    before = cpu_seconds(process)
    requests = load(workload, process, home)
    return (cpu_seconds(process) - before) / requests * 1e6


def kib_per_idle_connection(process: Process) -> float:
    """Resident memory that two thousand more connections take, each of which has made one request."""
    request = b"GET /1k HTTP/1.1\r\nHost: bench.example:80\r\n\r\n"
    clients = Clients(process.port, 0)
    resident = []
    for count in (IDLE_FEW, IDLE_MANY):
        for _ in range(count - len(clients.sockets)):
            fresh = Clients(process.port, 1)
            fresh.rounds(request, 1)
            clients.sockets += fresh.sockets
        time.sleep(0.5)  # The last answers' work after the last byte.
        resident.append(resident_kib(process))
    clients.close()
    return (resident[1] - resident[0]) / (IDLE_MANY - IDLE_FEW)


def resident_kib(process: Process) -> int:
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in process.pids()]
    return sum(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) for status in statuses)


def under_tool(proxy: Proxy, workload: Workload, backends: list[int], home: Path, tool: str, rounds: int) -> float:
    """A count per request: the difference between a longer and a shorter run, so that starting and stopping cancel out."""
    counts = []
    for times in (WARM_ROUNDS, WARM_ROUNDS + rounds):
        where = home / f"{tool}-{workload.name}-{proxy.name}-{times}"
        where.mkdir(parents=True)
        out = where / "out"
        process = proxy.start(where, backends, wrapper(tool, out))
        try:
            clients = Clients(process.port, TOOL_CONNECTIONS)
            clients.rounds(workload.wire(), times)
            clients.close()
        finally:
            process.stop()
        counts.append(count(tool, out))
    return (counts[1] - counts[0]) / (rounds * TOOL_CONNECTIONS)


def wrapper(tool: str, out: Path) -> tuple[str, ...]:
    match tool:
        case "valgrind":
            return ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}")
        case _:
            return ("strace", "-f", "-c", "-o", str(out))


def count(tool: str, out: Path) -> int:
    text = out.read_text()
    match tool:
        case "valgrind":
            found = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            return int(found[1])
        case _:
            # `100.00    0.012345          12      1000        10 total`
            total = text.strip().splitlines()[-1].split()
            return int(total[3])
