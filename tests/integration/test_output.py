"""Whoever reads stdout and stderr may stand still, be gone or have no room: commands end, and daemons go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.fixtures.daemon import until
from tests.fixtures.mariadb import HOST, free_port

SECONDS_MAX = 60
FILE = """
[daemon]
listen = "{listen}"
[sites.east]
user = "cdcd"
port = {port}
[sites.west]
user = "cdcd"
port = {other}
[links.forward]
source = "east"
target = "west"
tables = ["shop.*"]
"""


class Pipe:
    """A pipe that takes nothing more: it is full, or its reader is gone."""

    def __init__(self, *, full: bool) -> None:
        self.read_end, self.write_end = os.pipe()
        if full:
            os.set_blocking(self.write_end, False)
            try:
                while True:
                    os.write(self.write_end, b"\n" * 4096)
            except BlockingIOError:
                os.set_blocking(self.write_end, True)
        else:
            os.close(self.read_end)
            self.read_end = -1

    def close(self) -> None:
        """Close what is open of both ends."""
        for end in (self.read_end, self.write_end):
            if end >= 0:
                os.close(end)


@pytest.fixture(params=["full", "closed"])
def pipe(request):
    """A full pipe, and one whose reader is gone."""
    with closing(Pipe(full=request.param == "full")) as made:
        yield made.write_end


@pytest.fixture
def start(tmp_path):
    """Start a command with a file that names servers which are not there."""
    started = []
    path = tmp_path / "cdcd.toml"
    path.write_text(FILE.format(listen=f"{HOST}:{free_port()}", port=free_port(), other=free_port()))

    def run(*arguments, path=path, **streams):
        command = [sys.executable, "-m", "cdcd", *arguments, "-c", str(path)]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        started.append(subprocess.Popen(command, **streams))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_complaint_that_nobody_reads_leaves_the_exit_status(start, pipe):
    """A script that looks at the exit status alone must not hang, nor be told of a crash."""
    assert 2 == start("check", path=Path("/no/such/file"), stderr=pipe).wait(SECONDS_MAX)


def test_an_answer_that_finds_no_room_is_a_failure_in_one_line(start):
    """An empty file must not pass for an answer."""
    with Path("/dev/full").open("wb") as full:
        process = start("check", stdout=full)
        _, complaint = process.communicate(timeout=SECONDS_MAX)
    assert (1, b"cdcd: can't print: [Errno 28] No space left on device\n") == (process.returncode, complaint)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_command_may_be_started_without_streams(start, stream):
    """Supervisors that close both are not rare; what is opened next would get their numbers."""
    number = {"stdout": 1, "stderr": 2}[stream]
    process = start("check", preexec_fn=lambda: os.close(number))
    output = b"".join(process.communicate(timeout=SECONDS_MAX))
    assert 3 == process.returncode
    assert b"Traceback" not in output


@pytest.mark.parametrize("stdout", ["full", "closed", "no room"])
def test_a_daemon_goes_on_whatever_becomes_of_its_log(start, stdout, tmp_path, request):
    """It answers, counts what nobody will read, and stops cleanly."""
    with closing(Pipe(full=stdout == "full")) as pipe, Path("/dev/full").open("wb") as full:
        process = start("run", stdout=full if stdout == "no room" else pipe.write_end)

        def status():
            asked = start("status")
            return asked.communicate(timeout=SECONDS_MAX)[0]

        until(lambda: b"reconnecting" in status(), 30)
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(SECONDS_MAX)
        assert b"" == process.stderr.read()
