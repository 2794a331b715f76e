"""A stop is a stop from the first moment to the last, whatever the daemon waits for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.fixtures.daemon import until
from tests.fixtures.mariadb import HOST, PASSWORD, USER

STOPS = [signal.SIGTERM, signal.SIGINT]
FILE = f"""
[daemon]
listen = ""
[sites.east]
host = "{HOST}"
port = {{port}}
user = "{USER}"
password = "{PASSWORD}"
[sites.west]
host = "10.0.0.2"
user = "{USER}"
[links.forward]
source = "east"
target = "west"
tables = ["t.*"]
"""


class Process:
    """``cdcd run`` with a file that may not be there yet."""

    def __init__(self, path, environment=None):
        command = [sys.executable, "-m", "cdcd", "run", "-c", str(path)]
        self.log = path.parent / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
            )

    def signal(self, number):
        """Send a signal."""
        self._process.send_signal(number)

    @property
    def lives(self):
        """Whether the process runs."""
        return self._process.poll() is None

    def ended(self):
        """Return the exit status and what was printed."""
        return self._process.wait(60), self.log.read_text()

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def run(tmp_path):
    """Start a daemon, which ends with the test."""
    started = []

    def start(path, environment=None):
        started.append(Process(path, environment))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def silent_server():
    """A port that takes connections and never says anything."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener


@pytest.fixture
def importing(run, tmp_path):
    """A daemon that has begun to import its modules, and does not come to an end with it."""
    module, reached = tmp_path / "modules" / "structlog.py", tmp_path / "reached"
    module.parent.mkdir()
    module.write_text(f"import pathlib, time\npathlib.Path({str(reached)!r}).touch()\ntime.sleep(600)\n")
    process = run(tmp_path / "cdcd.toml", {"PYTHONPATH": str(module.parent)})
    until(reached.exists)
    return process


@pytest.fixture
def loading(run, tmp_path):
    """A daemon that reads its file, and the function that lets it have the file."""
    path = tmp_path / "cdcd.toml"
    os.mkfifo(path, 0o600)
    process = run(path)
    writing = []

    def is_open():
        with suppress(OSError):
            writing.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return writing

    until(is_open)

    def give(text):
        os.write(writing[0], text.encode())
        os.close(writing.pop())

    yield process, give
    for descriptor in writing:
        os.close(descriptor)


@pytest.fixture
def asking(run, tmp_path, silent_server):
    """A daemon that waits for a server's first word."""
    path = tmp_path / "cdcd.toml"
    path.touch(mode=0o600)
    path.write_text(FILE.format(port=silent_server.getsockname()[1]))
    process = run(path)
    silent_server.settimeout(60)
    connection, _ = silent_server.accept()
    with connection:
        yield process


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_while_modules_are_imported_is_clean(importing, stop):
    """systemd may stop a service in the moment in which it has started it."""
    importing.signal(signal.SIGHUP)
    assert importing.lives
    importing.signal(stop)
    assert (0, "") == importing.ended()


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_while_the_file_is_read_is_clean(loading, stop):
    """The file may lie on a disk that hangs."""
    process, _ = loading
    process.signal(signal.SIGHUP)
    process.signal(stop)
    assert (0, "") == process.ended()


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_while_a_server_does_not_answer_is_clean(asking, stop):
    """Nothing has been accepted yet, so there is nothing to finish."""
    asking.signal(signal.SIGHUP)
    asking.signal(stop)
    status, printed = asking.ended()
    assert 0 == status
    assert "daemon_stopped" in printed
    assert "Traceback" not in printed


def test_a_reload_that_comes_too_early_is_done_later(loading, run, tmp_path, east, west, database):
    """What changed in the file since it was read must not be lost: a reload that does nothing would go unnoticed."""
    process, give = loading
    process.signal(signal.SIGHUP)
    links = f'[links.forward]\nsource = "east"\ntarget = "west"\ntables = ["{database}.*"]\n'
    sites = "".join(
        f'[sites.{name}]\nport = {server.port}\nuser = "{USER}"\npassword = "{PASSWORD}"\n'
        for name, server in (("east", east), ("west", west))
    )
    for server in (east, west):
        server.sql("CREATE TABLE t (n INT PRIMARY KEY)", database=database)
    text = f'[daemon]\nlisten = ""\n{sites}{links}'
    path = tmp_path / "cdcd.toml"
    path.rename(tmp_path / "fifo")
    path.touch(mode=0o600)
    path.write_text(f"{text}writers = 1\n")
    give(text)
    until(lambda: "configuration_reloaded" in process.log.read_text())
    process.signal(signal.SIGTERM)
    assert 0 == process.ended()[0]


@pytest.fixture
def without_names(tmp_path):
    """An environment in which a question for a name's address is not answered for long."""
    source, library = tmp_path / "slow.c", tmp_path / "slow.so"
    source.write_text(
        "#include <netdb.h>\n#include <stdio.h>\n#include <unistd.h>\n"
        "int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r)\n"
        f'{{ fclose(fopen("{tmp_path}/asked", "w")); sleep(600); return EAI_AGAIN; }}\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


def test_a_stop_does_not_wait_for_a_name_server(run, tmp_path, without_names):
    """The system's question for an address can't be called off, and takes as long as it takes."""
    path = tmp_path / "cdcd.toml"
    path.touch(mode=0o600)
    path.write_text(FILE.format(port=1).replace(f'"{HOST}"', '"db.example"'))
    process = run(path, without_names)
    until((tmp_path / "asked").exists)
    process.signal(signal.SIGTERM)
    status, printed = process.ended()
    assert 0 == status
    assert "daemon_stopped" in printed


def test_a_second_stop_changes_nothing(asking):
    """Whoever is impatient must not turn a clean stop into a killed one."""
    deadline = time.monotonic() + 60
    while asking.lives and time.monotonic() < deadline:
        asking.signal(signal.SIGTERM)
        time.sleep(0.001)
    assert 0 == asking.ended()[0]
