"""Who catches up: the server's own replication and cdcd, each started, watched and ended in one way.

A backlog is caught up with when its last row is there and the contender says that it has reached the end.
Until that row is there only the replica is asked, over one connection and equally often for all: asking the
daemon would cost the daemon time.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from bench.recorded import LAST
from cdcd.model.position import Position
from tests.fixtures.daemon import Address, Daemon
from tests.fixtures.mariadb import PASSWORD, USER, MariaDB

POLL_SECONDS = 0.02
FAILURE_POLL_SECONDS = 1
SECONDS_MAX = 600


class Stuck(RuntimeError):
    """A contender failed, or took longer than SECONDS_MAX."""


class Contender(Protocol):
    """One that catches up. ``began`` is when it was started (time.perf_counter)."""

    began: float

    def failure(self) -> str | None:
        """Return in its own words why it will not get any further; None while it may."""

    def has_reached(self, end: str) -> bool:
        """Return whether its position is at the given one (GTIDs), or past it."""


class Native:
    """MariaDB's own replication."""

    def __init__(self, replica: MariaDB) -> None:
        self._replica = replica
        self.began = time.perf_counter()

    def failure(self) -> str | None:
        """Return the replica's status when one of its threads has stopped."""
        [row] = self._replica.sql("SHOW SLAVE STATUS")
        stopped = row[10] == "No" or row[11] == "No"  # Slave_IO_Running, Slave_SQL_Running
        return f"native replication stopped: {row}" if stopped else None

    def has_reached(self, end: str) -> bool:
        """Return whether the replica is there."""
        [(position,)] = self._replica.sql("SELECT @@gtid_slave_pos")
        return _includes(position, end)


@contextmanager
def replicating(source: Address, replica: MariaDB, start: str, threads: int = 0) -> Iterator[Native]:
    """Let the replica follow the source from a GTID position; ``threads`` 0 is serial. End that afterwards."""
    replica.sql(
        f"SET GLOBAL gtid_slave_pos = '{start}', slave_parallel_threads = {threads};"
        " SET GLOBAL slave_parallel_mode = 'optimistic';"
        f" CHANGE MASTER TO master_host='{source.host}', master_port={source.port},"
        f" master_user='{USER}', master_password='{PASSWORD}', master_use_gtid=slave_pos"
    )
    native = Native(replica)
    replica.sql("START SLAVE")
    try:
        yield native
    finally:
        replica.sql("STOP SLAVE; RESET SLAVE ALL")


class Cdcd(Daemon):
    """A running ``cdcd run`` and what it costs."""

    cpu_seconds_in_all: float
    """What the process has used from its start to its end, once that has come."""

    def start(self) -> None:
        """Start the process; the clock runs from here."""
        self.began = time.perf_counter()
        super().start()

    def end(self) -> None:
        """End the process in order; raise Stuck when it says that something went wrong."""
        assert self._process is not None
        self.signal(signal.SIGTERM)
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode:
            raise Stuck(f"cdcd ended with {self._process.returncode}:\n{self.log[-4000:]}")
        self.cpu_seconds_in_all = usage.ru_utime + usage.ru_stime

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        """What the process has used since it started, its start included."""
        return cpu_seconds(self.pid)

    @property
    def rss_mib(self) -> float:
        """The most memory that it has had resident."""
        return self.peak_bytes / 2**20

    @property
    def connected_at(self) -> float:
        """When it first read a source's log, by its own log, in Unix seconds."""
        return datetime.fromisoformat(self.events("source_connected")[0]["timestamp"]).timestamp()

    def failure(self) -> str | None:
        """Return the log when the process has ended, or a link has failed. Does not ask the daemon."""
        assert self._process is not None
        failed = self._process.poll() is not None or self.events("link_failed")
        return f"cdcd failed:\n{self.log[-4000:]}" if failed else None

    def has_reached(self, end: str, link: str = "forward") -> bool:
        """Return whether a link is there."""
        status = self.status
        return link in status and _includes(status[link]["position"], end)

    def wait_until_streaming(self) -> None:
        """Return once every link streams."""
        wait(lambda: set(self.states.values()) == {"streaming"}, self.failure)


@contextmanager
def running(
    sites: Mapping[str, Address], links: Mapping[str, Mapping[str, Any]], checkout: Path | None = None
) -> Iterator[Cdcd]:
    """Start cdcd, a checkout's if told which; end it in order afterwards. It does not outlive this, however it goes."""
    program = _installed(checkout) if checkout else Cdcd.program
    _write_byte_code(program)
    with tempfile.TemporaryDirectory(prefix="cdcd-bench-") as folder:
        daemon = Cdcd(Path(folder), sites, links)
        daemon.program = program
        daemon.start()
        try:
            yield daemon
            daemon.end()
        finally:
            daemon.close()


@functools.cache
def _write_byte_code(program: tuple[str, ...]) -> None:
    """Compile what an installation has compiled, so that no measured start has to."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([*program, "--help"], check=True, stdout=subprocess.DEVNULL)


def _installed(checkout: Path) -> tuple[str, ...]:
    return (str(checkout.resolve() / ".venv/bin/cdcd"),)


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, in user and system mode (proc(5), "stat"; in steps of 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_applied(contender: Contender, replica: MariaDB, database: str, end: str) -> float:
    """Return once the contender has caught up, and how many seconds it took from its start."""
    wait_for_last_row(contender, replica, database)
    wait(lambda: contender.has_reached(end), contender.failure)
    return time.perf_counter() - contender.began


def wait_for_last_row(contender: Contender, replica: MariaDB, database: str) -> None:
    """Return once the replica has the row that was written last."""
    with replica.connect() as connection, connection.cursor() as cursor:
        wait(lambda: cursor.execute(f"SELECT * FROM {database}.{LAST}") > 0, contender.failure)


def wait(is_reached: Callable[[], bool], failure: Callable[[], str | None], poll_seconds: float = POLL_SECONDS) -> None:
    """Ask until it is so; raise Stuck with the contender's own words when it will not be."""
    began = asked = time.perf_counter()
    while not is_reached():
        now = time.perf_counter()
        if now - asked > FAILURE_POLL_SECONDS:
            asked = now
            if reason := failure():
                raise Stuck(reason)
        if now - began > SECONDS_MAX:
            raise Stuck(f"not caught up after {SECONDS_MAX} s")
        time.sleep(poll_seconds)


def _includes(position: str, end: str) -> bool:
    reached = Position.parse(position)
    return all(reached.includes(gtid) for gtid in Position.parse(end))
