"""Who catches up: the server's own replication, and cdcd, timed the same way on the same backlog.

The clock runs from the start of replication (for cdcd: of its process, interpreter and all) until the
replica's last transaction is the source's last. Both sides are durable.
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
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from tests.fixtures.mariadb import MariaDB, free_port

SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Result:
    """One catch-up. CPU and memory are the daemon's own; the servers' are not counted."""

    name: str
    seconds: float
    cpu_seconds: float | None = None
    rss_mib: float | None = None


def make_durable(server: MariaDB) -> None:
    """Give both contenders the same durability."""
    server.sql("SET GLOBAL sync_binlog = 1, innodb_flush_log_at_trx_commit = 1")


def run_native(source: MariaDB, replica: MariaDB, start: str, end: str, threads: int) -> Result:
    """Catch up with MariaDB's own replication; ``threads`` 0 is serial."""
    replica.sql(
        f"SET GLOBAL gtid_slave_pos = '{start}', slave_parallel_threads = {threads};"
        " SET GLOBAL slave_parallel_mode = 'optimistic';"
        f" CHANGE MASTER TO master_host='{source.host}', master_port={source.port},"
        f" master_user='{source.user}', master_password='{source.password}', master_use_gtid=slave_pos"
    )
    began = time.perf_counter()
    replica.sql("START SLAVE")
    connection = replica.connect()
    with connection, connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT @@gtid_slave_pos")
            if cursor.fetchone()[0] == end:
                break
            if time.perf_counter() - began > SECONDS_MAX:
                raise RuntimeError(f"native replication is stuck: {replica.sql('SHOW SLAVE STATUS')}")
            time.sleep(0.01)
    seconds = time.perf_counter() - began
    replica.sql("STOP SLAVE")
    return Result(f"native, {threads} threads" if threads else "native, serial", seconds)


def run_cdcd(source: MariaDB, replica: MariaDB, start: str, end: str, writers: int, tables: str = "sbtest.*") -> Result:
    """Catch up with one cdcd link, default settings but for ``writers``."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "cdcd.toml")
        config.touch(mode=0o600)
        config.write_text(_config(source, replica, start, writers, port, tables))
        began = time.perf_counter()
        with Path(folder, "log").open("w+") as log:
            command = [sys.executable, "-m", "cdcd", "run", "-c", str(config)]
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                _wait_for(port, end, began, daemon, log.name)
                seconds = time.perf_counter() - began
                rss_mib = _peak_rss_mib(daemon.pid)
            finally:
                daemon.send_signal(signal.SIGTERM)
                _, _, usage = os.wait4(daemon.pid, 0)
                daemon.returncode = 0
    name = f"cdcd, {writers} writer" + ("s" if writers > 1 else "")
    return Result(name, seconds, usage.ru_utime + usage.ru_stime, rss_mib)


def _config(source: MariaDB, replica: MariaDB, start: str, writers: int, port: int, tables: str) -> str:
    sites = "".join(
        f'[sites.{name}]\nhost = "{server.host}"\nport = {server.port}\nuser = "{server.user}"\n'
        f'password = "{server.password}"\n'
        for name, server in (("source", source), ("replica", replica))
    )
    return (
        f'[daemon]\nlisten = "127.0.0.1:{port}"\n{sites}[links.forward]\nsource = "source"\ntarget = "replica"\n'
        f'tables = ["{tables}"]\nstart = "{start}"\nwriters = {writers}\n'
    )


def _wait_for(port: int, end: str, began: float, daemon: subprocess.Popen[bytes], log: str) -> None:
    while True:
        if daemon.poll() is not None or time.perf_counter() - began > SECONDS_MAX:
            raise RuntimeError(f"cdcd did not catch up:\n{Path(log).read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
                if json.load(answer)["links"]["forward"]["position"] == end:
                    return
        except URLError:
            pass  # It has not begun to listen.
        time.sleep(0.01)


def _peak_rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
