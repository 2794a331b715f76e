"""cdcd as a process under measurement: started on a configuration, watched over its status, ended in order."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdcd.model.position import Position
from tests.fixtures.daemon import Address, Daemon

SECONDS_MAX = 600
POLL_SECONDS = 0.01
QUIET_SECONDS = 0.5

Status = dict[str, dict[str, Any]]


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, in user and system mode (proc(5), "stat"; in steps of 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Measured(Daemon):
    """A running ``cdcd run`` and what it costs."""

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

    def wait_for(self, condition: Callable[[Status], object]) -> Status:
        """Return the first status for which the condition holds; raise RuntimeError with the log otherwise."""
        assert self._process is not None
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            status = self.status
            if status and condition(status):
                return status
            failed = any(link["state"] == "failed" for link in status.values())
            if failed or self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"cdcd did not get there: {status}\n{self.log[-4000:]}")
            time.sleep(POLL_SECONDS)

    def wait_until_streaming(self) -> Status:
        """Return once every link streams."""
        return self.wait_for(lambda status: all(link["state"] == "streaming" for link in status.values()))

    def wait_until_applied(self, ends: Mapping[str, str]) -> Status:
        """Return once each link's position has reached its end (a GTID position), or is past it."""
        return self.wait_for(
            lambda status: all(has_reached(status[link]["position"], end) for link, end in ends.items())
        )

    def wait_until_quiet(self) -> Status:
        """Return once no link has read anything for a while: echoes of its own writes included."""
        read, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            status = self.wait_for(lambda _: True)
            total = sum(link["stages"]["source"]["bytes_read"] for link in status.values())
            if total != read:
                read, since = total, time.monotonic()
            time.sleep(POLL_SECONDS)
        return status


def has_reached(position: str, end: str) -> bool:
    """Return whether a GTID position is at another, or past it."""
    reached = Position.parse(position)
    return all(reached.includes(gtid) for gtid in Position.parse(end))


@contextmanager
def running(sites: Mapping[str, Address], links: Mapping[str, Mapping[str, Any]]) -> Iterator[Measured]:
    """Start cdcd; end it in order afterwards, whatever happened."""
    _write_byte_code()
    with tempfile.TemporaryDirectory(prefix="cdcd-bench-") as folder:
        daemon = Measured(Path(folder), sites, links)
        daemon.start()
        try:
            yield daemon
            daemon.signal(signal.SIGTERM)
            daemon.wait()
        finally:
            daemon.close()


@functools.cache
def _write_byte_code() -> None:
    """Compile what an installation has compiled, so that no measured start has to."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "cdcd", "--help"], check=True, stdout=subprocess.DEVNULL)
