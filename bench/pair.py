"""An active-active pair at full load: what two links cost together, and what each costs alone.

Two servers each hold a backlog of sysbench oltp_write_only in a database of their own, so nothing conflicts. Four runs,
each with fresh copies of both servers, logs and all:

- idle: both links from where the logs end: what the start of the daemon costs;
- forward, reverse: one link alone;
- pair: both links in one daemon. Each link now also meets what the other has written, and passes it over.

The wall clock runs from the start of the process until the backlogs are applied. CPU is the daemon's, until nothing
more is read, so that passing over the echo is in it. The cost of the loop guard, and of everything else that the two
links do to each other, is what the pair uses beyond forward and reverse together, one start taken off these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bench.contenders import Cdcd, running, wait, wait_for_last_row
from bench.recorded import OPTIONS, check_rows, checksums, copy, prepare, write
from bench.workload import Sysbench
from tests.fixtures.mariadb import MariaDB

SITES = ("east", "west")
SIZE = Sysbench(rows=20_000, transactions=20_000, threads=8)
QUICK = Sysbench(rows=2_000, transactions=2_000, threads=4)
QUIET_SECONDS = 0.5
LINKS = {
    "forward": {"source": "east", "target": "west"},
    "reverse": {"source": "west", "target": "east"},
}


@dataclass(frozen=True, slots=True)
class Backlogs:
    """Two stopped servers with a backlog each, in the database that is named like the site."""

    servers: dict[str, MariaDB]
    ends: dict[str, str]
    checksums: dict[str, dict[str, int]]

    @contextmanager
    def fresh(self) -> Iterator[dict[str, MariaDB]]:
        """Yield running, durable copies of both servers; remove them afterwards."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(copy(server, with_log=True)) for name, server in self.servers.items()}


@contextmanager
def backlogs(size: Sysbench) -> Iterator[Backlogs]:
    """Record a backlog on each of two servers that began with the same data; remove them afterwards."""
    loads = {site: replace(size, database=site) for site in SITES}
    with ExitStack() as stack:
        common = stack.enter_context(MariaDB(OPTIONS))
        for load in loads.values():
            prepare(common, load)
        common.stop()
        made = Backlogs({}, {}, {})
        for site, load in loads.items():
            made.servers[site] = server = stack.enter_context(copy(common))
            write(server, load)
            made.ends[site], made.checksums[site] = server.binlog_position()[2], checksums(server, site)
            server.stop()
        yield made


def measure(made: Backlogs, links: tuple[str, ...], start: str) -> dict[str, Any]:
    """Run these links until their backlogs are applied and all is quiet; fail when a target ends different."""
    chosen = {name: {**LINKS[name], "tables": [f"{site}.*" for site in SITES], "start": start} for name in links}
    ways = {name: (LINKS[name]["source"], LINKS[name]["target"]) for name in links} if start == "earliest" else {}
    with made.fresh() as servers:
        with running(servers, chosen) as daemon:
            daemon.wait_until_streaming()
            for source, target in ways.values():
                wait_for_last_row(daemon, servers[target], source)
            for name, (source, _) in ways.items():
                wait(partial(daemon.has_reached, made.ends[source], name), daemon.failure)
            seconds = time.perf_counter() - daemon.began
            wait_until_quiet(daemon)
            status = daemon.status
            figures = {"seconds": seconds, "cpu_seconds": daemon.cpu_seconds, "rss_mib": daemon.rss_mib}
        for source, target in ways.values():
            check_rows(servers[target], source, made.checksums[source])
    per_link = ("transactions", "rows", "suppressed", "conflicts")
    return {**figures, "links": {name: {key: status[name][key] for key in per_link} for name in links}}


def wait_until_quiet(daemon: Cdcd) -> None:
    """Return once no link has read anything for a while: echoes of its own writes included."""
    read = -1

    def is_quiet() -> bool:
        nonlocal read
        before, read = read, sum(link["stages"]["source"]["bytes_read"] for link in daemon.status.values())
        return before == read

    wait(is_quiet, daemon.failure, poll_seconds=QUIET_SECONDS)


def run(quick: bool) -> dict[str, Any]:
    """Make the backlogs and measure all four."""
    size = QUICK if quick else SIZE
    with backlogs(size) as made:
        result: dict[str, Any] = {
            "transactions": size.transactions,
            "idle": measure(made, ("forward", "reverse"), "now"),
            "forward": measure(made, ("forward",), "earliest"),
            "reverse": measure(made, ("reverse",), "earliest"),
            "pair": measure(made, ("forward", "reverse"), "earliest"),
        }
    assert all(link["suppressed"] for link in result["pair"]["links"].values()), "no link met its echo"
    result["loop_guard"] = {
        "seconds_ratio": result["pair"]["seconds"] / sum(result[name]["seconds"] for name in LINKS),
        "cpu_seconds_ratio": result["pair"]["cpu_seconds"] / sum(result[name]["cpu_seconds"] for name in LINKS),
        "cpu_seconds_extra": result["pair"]["cpu_seconds"]
        - sum(result[name]["cpu_seconds"] for name in LINKS)
        + result["idle"]["cpu_seconds"],
    }
    return result


def describe(result: dict[str, Any]) -> list[str]:
    """One line for each run, and what the pair costs beyond the sum."""
    lines = [f"{result['transactions']:,} transactions of four changes on each site"]
    for name in ("idle", "forward", "reverse", "pair"):
        figures = result[name]
        suppressed = sum(link["suppressed"] for link in figures["links"].values())
        lines.append(
            f"{name:8} {figures['seconds']:6.2f} s  daemon {figures['cpu_seconds']:6.2f} s CPU,"
            f" {figures['rss_mib']:.0f} MiB  {suppressed} transactions passed over"
        )
    cost = result["loop_guard"]
    return [
        *lines,
        f"the pair takes {cost['seconds_ratio']:.2f}x the seconds and {cost['cpu_seconds_ratio']:.2f}x the CPU of"
        f" forward and reverse together ({cost['cpu_seconds_extra']:+.2f} s CPU beyond one start and their work)",
    ]
