"""Where the time of one catch-up goes: each stage's share, the daemon's functions, and which process limits the rest.

One sysbench oltp_write_only backlog, cdcd with its default settings. Three views:

- stages: what the daemon says of itself in /status when the backlog is applied (``seconds_*`` of every stage), and how
  long it took to stream at all. Stages run side by side, so their seconds need not add up to the wall's.
- processes: CPU seconds of the source, of the target and of the daemon. One event loop has one core: a daemon near
  100 % is the limit itself; where both servers' cores are idle too, it waits for a flush to disk or for the network.
- functions, where ``perf`` is installed and may be used: the daemon's samples, by the module that they fell into.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bench.contenders import cpu_seconds, running, wait_until_applied
from bench.recorded import QUICK, Recorded, recorded
from bench.workload import Sysbench

SAMPLES_PER_SECOND = 1999
SYMBOLS_SHOWN = 15
COMPILED = {
    "decoder": "decoder",
    "transaction": "decoder",
    "rows": "rows and values",
    "values": "rows and values",
    "keys": "rows and values",
    "net": "merge and split",
    "walk": "merge and split",
    "statement": "render",
    "connection": "asyncmy",
    "protocol": "asyncmy",
}
"""What each compiled module is called here; one that is not listed goes by its own name."""
GROUPS = (  # (shared object, symbol, group): the first that matches names the group
    (
        r"\[.*\]|.*vmlinux.*|.*\.ko.*",
        r".*(fault|clear_page|zap_|folio|alloc_pages|pte|mmap|munmap|unmap).*",
        "kernel, memory",
    ),
    (r"\[.*\]|.*vmlinux.*|.*\.ko.*", r".*", "kernel, sockets and the rest"),
    (
        r".*python.*",
        r".*(gc_collect|visit_|_traverse|dict_traverse|subtract_refs|deduce_unreach|update_refs|untrack).*",
        "gc",
    ),
    (r"(lib)?python3?[.\d]*(\.so.*)?", r".*", "Python interpreter"),
    (r"(libc|ld-linux|libpthread|libm|libstdc).*", r".*", "libc"),
    (r"loop\..*", r".*", "uvloop"),
)


def group_of(shared_object: str, symbol: str) -> str:
    """Return the group that a sample belongs to."""
    for object_pattern, symbol_pattern, group in GROUPS:
        if re.fullmatch(object_pattern, shared_object) and re.fullmatch(symbol_pattern, symbol):
            return group
    module = shared_object.partition(".")[0]
    return COMPILED.get(module, module)


@contextmanager
def sampled(pid: int, found: dict[str, Any]) -> Iterator[None]:
    """Sample a process with perf, if it is installed; put the shares into ``found``, or why there are none."""
    if shutil.which("perf") is None:
        found["skipped"] = "perf is not installed"
        yield
        return
    with tempfile.TemporaryDirectory(prefix="cdcd-perf-") as folder:
        samples = Path(folder, "samples")
        command = ["perf", "record", "-q", "-F", str(SAMPLES_PER_SECOND), "-p", str(pid), "-o", str(samples)]
        with Path(folder, "log").open("w+") as log:
            perf = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                yield
            finally:
                perf.send_signal(signal.SIGINT)
                perf.wait()
            log.seek(0)
            said = log.read()
        if not samples.exists() or not samples.stat().st_size:
            found["skipped"] = f"perf could not sample: {said[-300:].strip()}"
            return
        found.update(shares(_report(samples)))


def _report(samples: Path) -> str:
    command = ["perf", "report", "-i", str(samples), "--no-children", "--stdio", "-t", ";", "--sort", "dso,symbol"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def shares(report: str) -> dict[str, Any]:
    """Return the share of each group and of the functions that take the most, from what ``perf report`` prints."""
    groups: dict[str, float] = defaultdict(float)
    symbols: list[tuple[float, str, str]] = []
    for line in report.splitlines():
        parts = [part.strip() for part in line.split(";")]
        if line.startswith("#") or len(parts) < 3:
            continue
        share = float(parts[0].rstrip("%")) / 100
        symbol = re.sub(r"^\[.\]\s*", "", parts[2])
        group = group_of(parts[1], symbol)
        groups[group] += share
        symbols.append((share, group, symbol))
    symbols.sort(reverse=True)
    ordered = dict(sorted(groups.items(), key=lambda each: -each[1]))
    return {"groups": ordered, "symbols": symbols[:SYMBOLS_SHOWN]}


def catch_up(log: Recorded, *, with_perf: bool) -> dict[str, Any]:
    """Catch up once; return what each process and each stage has spent."""
    link = {"source": "east", "target": "west", "tables": [f"{log.database}.*"], "start": log.start}
    samples: dict[str, Any] = {}
    with log.replica() as target:
        servers = {"source": log.source, "target": target}
        before = {name: cpu_seconds(server.pid) for name, server in servers.items()}
        with running({"east": log.source, "west": target}, {"forward": link}) as daemon:
            with sampled(daemon.pid, samples) if with_perf else nullcontext():
                daemon.wait_until_streaming()
                seconds_starting = time.perf_counter() - daemon.began
                seconds = wait_until_applied(daemon, target, log.database, log.end)
                spent = {name: cpu_seconds(server.pid) - before[name] for name, server in servers.items()}
                spent["daemon"] = daemon.cpu_seconds
                stages, rss_mib = daemon.status["forward"]["stages"], daemon.rss_mib
    return {
        "seconds": seconds,
        "seconds_starting": seconds_starting,
        "stages": stages,
        "cpu_seconds": spent,
        "rss_mib": rss_mib,
        "perf": samples,
    }


def run(quick: bool) -> dict[str, Any]:
    """Catch up twice: once to take the figures, and once more under perf, which makes it slower."""
    with recorded(QUICK if quick else Sysbench()) as log:
        result = catch_up(log, with_perf=False)
        result["perf"] = catch_up(log, with_perf=True)["perf"]
    result["changes"] = log.written.changes
    result["cores"] = os.cpu_count()
    return result


def describe(result: dict[str, Any]) -> list[str]:
    """The three views."""
    wall = result["seconds"]
    lines = [f"{result['changes']:,} changes in {wall:.2f} s, {result['rss_mib']:.0f} MiB", "", "stages"]

    def add(label: str, seconds: float, note: str = "") -> None:
        lines.append(f"  {label:34} {seconds:7.3f} s {seconds / wall:6.1%}{note}")

    add("start of the daemon", result["seconds_starting"])
    for stage, figures in result["stages"].items():
        for key, seconds in figures.items():
            if key.startswith("seconds_"):
                add(f"{stage}, {key.removeprefix('seconds_').replace('_', ' ')}", seconds)
    others = {key: value for each in result["stages"].values() for key, value in each.items()}
    counts = {key: round(others[key]) for key in ("chunks", "batches", "statements", "careful") if key in others}
    lines.append("  " + ", ".join(f"{value:,} {key}" for key, value in counts.items()))
    lines += ["", f"processes, on {result['cores']} cores"]
    for name, seconds in result["cpu_seconds"].items():
        add(f"{name}, CPU", seconds, " of one core")
    busiest = max(result["cpu_seconds"], key=result["cpu_seconds"].__getitem__)
    lines.append(f"  the {busiest} is the busiest")
    return [*lines, "", "the daemon's samples", *_describe_samples(result["perf"])]


def _describe_samples(perf: dict[str, Any]) -> list[str]:
    if "groups" not in perf:
        return [f"  {perf.get('skipped', 'none')}"]
    lines = [f"  {group:34} {share:6.1%}" for group, share in perf["groups"].items() if share >= 0.005]
    lines.append("  of them the most:")
    return lines + [f"  {share:6.1%}  {group:20} {symbol}" for share, group, symbol in perf["symbols"]]
