"""The demo that the README offers: what it claims is what it checked, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest

from tests.fixtures.mariadb import HOST
from tests.fixtures.servers import memory

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 120

pytestmark = pytest.mark.usefixtures("mariadb_programs")


class RunningDemo:
    """The demo, without the installing, in a temporary folder."""

    def __init__(self, folder: str, seconds: float) -> None:
        command = [sys.executable, "-m", "conf.demo", "--seconds", str(seconds), "--rate", "100"]
        environment = {**os.environ, "TMPDIR": folder}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.output = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read the output until it matches."""
        assert self.process.stdout
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (match := re.search(pattern, self.output)):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            assert chunk, f"no {pattern!r} in:\n{self.output}"
            self.output += chunk.decode()
        return match

    def wait(self) -> int:
        """Read the rest and return the exit status."""
        rest, _ = self.process.communicate(timeout=DEADLINE_SECONDS)
        self.output += rest.decode()
        return self.process.returncode


@pytest.fixture
def folder() -> Iterator[str]:
    """A temporary folder, in memory, with a short path: a server's unix socket lies deep in it."""
    with tempfile.TemporaryDirectory(prefix="demo-", dir=memory()) as folder:
        yield folder


def test_both_sides_end_equal_and_quiet(folder: str) -> None:
    """Its exit status is what a user of the demo relies on, and its verdict what he reads."""
    demo = RunningDemo(folder, seconds=2)

    assert 0 == demo.wait(), demo.output
    assert ["equal", "quiet", "clean"] == re.findall(r"✔ (\w+)", demo.output), demo.output
    assert [] == list(Path(folder).iterdir())


def test_a_difference_is_found_and_an_interrupt_still_ends_with_a_verdict(folder: str) -> None:
    """A demo that could not fail would prove nothing; the row here is one that no log holds."""
    demo = RunningDemo(folder, seconds=DEADLINE_SECONDS)
    port = int(demo.read_until(r"east 127\.0\.0\.1:(\d+)")[1])
    demo.read_until(r"writing, ")
    with closing(pymysql.connect(host=HOST, port=port, user="root", autocommit=True)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET sql_log_bin = 0")
            cursor.execute(
                "INSERT INTO shop.customers (id, email, name, seen_at) VALUES (1000001, 'nobody', 'Nobody', NOW())"
            )
    demo.process.send_signal(signal.SIGINT)

    assert 1 == demo.wait(), demo.output
    assert "customers {'id': 1000001} is only at east" in demo.output
    assert "NOT equal" in demo.output
    assert [] == list(Path(folder).iterdir())
