"""Who catches up: the server's own replication, and cdcd, timed the same way on the same backlog.

The clock runs from the start of replication (for cdcd: of its process, interpreter and all) until the
backlog's last row is there and the contender says that it has reached the backlog's end. Until that row is
there only the replica is asked, over one connection and equally often for all: asking the daemon would
cost the daemon time. Both sides are durable.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.error import URLError

from tests.fixtures.mariadb import MariaDB, free_port

LAST = "last_row"
"""The table that the backlog's last transaction writes: who sees a row there is at the end, or close to it."""

POLL_SECONDS = 0.02
FAILURE_POLL_SECONDS = 1
SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is to be caught up with: the changes of one database between two positions of a source's log."""

    source: MariaDB
    database: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Result:
    """One catch-up. CPU and memory are the daemon's own; the servers' are not counted.

    ``seconds`` counts the start of cdcd's process; ``seconds_from_connect`` begins when it reads the log.
    """

    name: str
    seconds: float
    seconds_from_connect: float | None = None
    cpu_seconds: float | None = None
    rss_mib: float | None = None


class Stuck(RuntimeError):
    """A contender failed, or took longer than SECONDS_MAX."""


def make_durable(server: MariaDB) -> None:
    """Give both contenders the same durability."""
    server.sql("SET GLOBAL sync_binlog = 1, innodb_flush_log_at_trx_commit = 1")


def run_native(backlog: Backlog, replica: MariaDB, *, threads: int) -> Result:
    """Catch up with MariaDB's own replication; ``threads`` 0 is serial."""
    source = backlog.source
    replica.sql(
        f"SET GLOBAL gtid_slave_pos = '{backlog.start}', slave_parallel_threads = {threads};"
        " SET GLOBAL slave_parallel_mode = 'optimistic';"
        f" CHANGE MASTER TO master_host='{source.host}', master_port={source.port},"
        f" master_user='{source.user}', master_password='{source.password}', master_use_gtid=slave_pos"
    )

    def failure() -> str | None:
        [row] = replica.sql("SHOW SLAVE STATUS")
        stopped = row[10] == "No" or row[11] == "No"  # Slave_IO_Running, Slave_SQL_Running
        return f"native replication stopped: {row}" if stopped else None

    def at_end() -> bool:
        return [(backlog.end,)] == replica.sql("SELECT @@gtid_slave_pos")

    began = time.perf_counter()
    replica.sql("START SLAVE")
    _wait_for_last_row(backlog, replica, failure)
    _wait(at_end, failure)
    seconds = time.perf_counter() - began
    replica.sql("STOP SLAVE")
    return Result(f"native, {threads} threads" if threads else "native, serial", seconds)


def run_cdcd(backlog: Backlog, replica: MariaDB, *, writers: int) -> Result:
    """Catch up with one cdcd link, default settings but for ``writers``."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder, "cdcd.toml"), Path(folder, "log")
        config.touch(mode=0o600)
        config.write_text(_config(backlog, replica, writers, port))
        began = time.perf_counter()
        with _running(config, log) as daemon:

            def failure() -> str | None:
                return None if daemon.poll() is None else f"cdcd ended:\n{log.read_text()[-4000:]}"

            _wait_for_last_row(backlog, replica, failure)
            _wait(lambda: _position(port) == backlog.end, failure)
            seconds, ended_at = time.perf_counter() - began, time.time()
            rss_mib = _peak_rss_mib(daemon.pid)
            daemon.send_signal(signal.SIGTERM)
            _, status, usage = os.wait4(daemon.pid, 0)
            daemon.returncode = os.waitstatus_to_exitcode(status)
        if daemon.returncode:
            raise Stuck(f"cdcd ended with {daemon.returncode}:\n{log.read_text()[-4000:]}")
        from_connect = ended_at - _connected_at(log)
    name = f"cdcd, {writers} writer" + ("s" if writers > 1 else "")
    return Result(name, seconds, from_connect, usage.ru_utime + usage.ru_stime, rss_mib)


@contextmanager
def _running(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the daemon; it does not outlive this, however it goes."""
    command = [sys.executable, "-m", "cdcd", "run", "-c", str(config)]
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield daemon
    finally:
        if daemon.returncode is None:
            daemon.kill()
            daemon.wait()


def _config(backlog: Backlog, replica: MariaDB, writers: int, port: int) -> str:
    sites = "".join(
        f'[sites.{name}]\nhost = "{server.host}"\nport = {server.port}\nuser = "{server.user}"\n'
        f'password = "{server.password}"\n'
        for name, server in (("source", backlog.source), ("replica", replica))
    )
    return (
        f'[daemon]\nlisten = "127.0.0.1:{port}"\n{sites}[links.forward]\nsource = "source"\ntarget = "replica"\n'
        f'tables = ["{backlog.database}.*"]\nstart = "{backlog.start}"\nwriters = {writers}\n'
    )


def _wait_for_last_row(backlog: Backlog, replica: MariaDB, failure: Callable[[], str | None]) -> None:
    with replica.connect() as connection, connection.cursor() as cursor:
        query = f"SELECT * FROM {backlog.database}.{LAST}"
        _wait(lambda: cursor.execute(query) > 0, failure)


def _wait(is_reached: Callable[[], bool], failure: Callable[[], str | None]) -> None:
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
        time.sleep(POLL_SECONDS)


def _position(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
            position: str = json.load(answer)["links"]["forward"]["position"]
            return position
    except URLError:
        return None


def _connected_at(log: Path) -> float:
    """Return when the daemon first read the source's log, in Unix seconds, by its own log."""
    events = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    first = next(event for event in events if event["event"] == "source_connected")
    return datetime.fromisoformat(first["timestamp"]).timestamp()


def _peak_rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
