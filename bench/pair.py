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

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.alone import alone
from bench.daemon import running
from bench.recorded import LOGGED, UNLOGGED, checksums, clone
from bench.workload import DURABLE, copy
from tests.fixtures.mariadb import MariaDB

NAME = "pair"
SITES = ("east", "west")
TABLES = 4
LINKS = {
    "forward": {"source": "east", "target": "west"},
    "reverse": {"source": "west", "target": "east"},
}


@dataclass(frozen=True, slots=True)
class Load:
    """What each site writes, and into how many rows of each table."""

    rows: int = 20_000
    transactions: int = 20_000
    threads: int = 8


def sysbench(server: MariaDB, database: str, load: Load, action: str, *arguments: str) -> None:
    """Run sysbench's oltp_write_only in a database."""
    command = [
        "sysbench",
        "oltp_write_only",
        "--db-driver=mysql",
        f"--mysql-host={server.host}",
        f"--mysql-port={server.port}",
        f"--mysql-user={server.user}",
        f"--mysql-password={server.password}",
        f"--mysql-db={database}",
        f"--tables={TABLES}",
        f"--table-size={load.rows}",
        *arguments,
        action,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class Backlogs:
    """Two stopped servers with a backlog each, where each ends, and both databases' rows once all is applied."""

    servers: dict[str, MariaDB]
    ends: dict[str, str]
    checksums: dict[str, dict[str, int]]

    @contextmanager
    def fresh(self) -> Iterator[dict[str, MariaDB]]:
        """Yield running, durable copies of both servers; remove them afterwards."""
        with ExitStack() as stack:
            copies = {}
            for name, server in self.servers.items():
                copies[name] = clone(server)
                stack.callback(copies[name].close)
                copies[name].start()
            yield copies


@contextmanager
def backlogs(load: Load) -> Iterator[Backlogs]:
    """Record a backlog on each of two servers that began with the same data; remove them afterwards."""
    with ExitStack() as stack:
        common = stack.enter_context(MariaDB(DURABLE))
        common.sql(f"SET GLOBAL {UNLOGGED}")
        for site in SITES:
            common.sql(f"CREATE DATABASE {site}")
            sysbench(common, site, load, "prepare")
        common.stop()
        servers, ends, rows = {}, {}, {}
        for number, site in enumerate(SITES):
            server = servers[site] = copy(common, server_id=3001 + number)
            stack.callback(server.close)
            server.start()
            server.sql(f"SET GLOBAL {UNLOGGED}")
            sysbench(
                server, site, load, "run", f"--events={load.transactions}", "--time=0", f"--threads={load.threads}"
            )
            server.sql(f"SET GLOBAL {LOGGED}")
            ends[site], rows[site] = server.binlog_position()[2], checksums(server, site)
            server.stop()
        yield Backlogs(servers, ends, rows)


def measure(made: Backlogs, links: tuple[str, ...], start: str) -> dict[str, Any]:
    """Run these links until their backlogs are applied and all is quiet; fail when a target ends different."""
    chosen = {name: {**LINKS[name], "tables": [f"{site}.*" for site in SITES], "start": start} for name in links}
    ends = {name: made.ends[LINKS[name]["source"]] for name in links}
    with made.fresh() as servers:
        began = time.perf_counter()
        with running(servers, chosen) as daemon:
            daemon.wait_until_streaming()
            if start == "earliest":
                daemon.wait_until_applied(ends)
            seconds = time.perf_counter() - began
            status = daemon.wait_until_quiet()
            figures = {"seconds": seconds, "cpu_seconds": daemon.cpu_seconds, "rss_mib": daemon.rss_mib}
        for name in links if start == "earliest" else ():
            site, target = LINKS[name]["source"], LINKS[name]["target"]
            assert made.checksums[site] == checksums(servers[target], site), f"{name} ended different"
    per_link = ("transactions", "rows", "suppressed", "conflicts")
    return {**figures, "links": {name: {key: status[name][key] for key in per_link} for name in links}}


def run(quick: bool) -> dict[str, Any]:
    """Make the backlogs and measure all four."""
    load = Load(rows=2_000, transactions=2_000, threads=4) if quick else Load()
    with backlogs(load) as made:
        result: dict[str, Any] = {
            "transactions": load.transactions,
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


def main() -> None:
    """Run alone."""
    alone(run, describe, __doc__)


if __name__ == "__main__":
    main()
