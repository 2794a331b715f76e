"""The daemon's listener as a stranger and an operator meet it: floods, tokens, a stop in the middle of a request."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from cdcd.observe.server import BACKLOG, CONNECTIONS_MAX, REQUEST_SECONDS_MAX
from tests.fixtures.daemon import Daemon, until
from tests.fixtures.mariadb import HOST, free_port

FILE = """
[daemon]
listen = "{host}:{port}"
token_file = "{token_file}"
[sites]
east = {{ user = "cdcd", port = {east} }}
west = {{ user = "cdcd", port = {west} }}
[links]
forward = {{ source = "east", target = "west", tables = ["shop.*"] }}
"""
STOP_SECONDS_MAX = 3  # Less than any time-out of a request.


class Listening(Daemon):
    """A daemon whose servers are not there: it answers, and waits for them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {}, {})
        self.port = free_port()
        self._ports = {"port": self.port, "east": free_port(), "west": free_port()}
        self.token = folder / "token"

    def run(self, *, host: str = HOST, token: str = "") -> None:
        """Start with a token, or without; return when it listens."""
        if token:
            self.token.touch(mode=0o600)
            self.token.write_text(token)
        self.write_text(FILE.format(host=host, token_file="token" if token else "", **self._ports))
        self.start()
        until(lambda: self.events("daemon_started"))

    def connect(self) -> socket.socket:
        """Return a connection to it."""
        return socket.create_connection((HOST, self.port), timeout=30)

    def ask(self, *headers: str) -> bytes:
        """Return what it answers to a request for its health."""
        with self.connect() as client:
            client.sendall("\r\n".join(("GET /healthz HTTP/1.1", "Host: x", *headers, "", "")).encode())
            return b"".join(iter(lambda: client.recv(65536), b""))

    @property
    def descriptors(self) -> int:
        """How many files the process has open."""
        assert self._process is not None
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))  # noqa: PTH208

    def stopped_within(self, seconds: float) -> int:
        """Ask it to stop, and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)


@pytest.fixture
def daemon(tmp_path):
    """Give a daemon, which ends with the test."""
    made = Listening(tmp_path)
    yield made
    made.close()


@pytest.fixture
def many_descriptors():
    """Let this process open as many files as a flood takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /metrics HTTP/1.1\r\n\r\n"], ids=["-", "half", "all"])
def test_a_flood_of_connections_takes_neither_files_nor_memory_and_lets_the_operator_in(daemon, many_descriptors, sent):
    """Whoever can reach the port may open thousands and read nothing; replication goes on, and so do probes."""
    daemon.run()
    assert b" 503 " in daemon.ask()
    files, memory = daemon.descriptors, daemon.peak_bytes
    with ExitStack() as flood:
        for opened in range(4 * BACKLOG):
            client = flood.enter_context(closing(socket.socket()))
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect((HOST, daemon.port))
            with suppress(OSError):
                client.sendall(sent)
            if opened % BACKLOG == 0:
                assert daemon.descriptors <= files + CONNECTIONS_MAX + 2
        begun = time.monotonic()
        assert b" 503 " in daemon.ask()
        assert time.monotonic() - begun < 2 * REQUEST_SECONDS_MAX
        assert 0 == daemon.command("status").returncode
        assert daemon.descriptors <= files + CONNECTIONS_MAX + 2
    assert daemon.peak_bytes - memory < 8 * 1024 * 1024
    assert [] == daemon.events("library_logged")


@pytest.mark.parametrize("sent", [b"", b"GET /hea"], ids=["nothing", "half a request"])
@pytest.mark.parametrize("asked_before", [False, True])
def test_a_stop_does_not_wait_for_a_request(daemon, sent, asked_before):
    """Nor for the library that would answer it, which the first client has loaded."""
    daemon.run()
    if asked_before:
        daemon.ask()
    with daemon.connect() as client:
        client.sendall(sent)
        assert 0 == daemon.stopped_within(STOP_SECONDS_MAX)
    assert "Traceback" not in daemon.log


def test_a_port_that_is_taken_is_one_clear_line(daemon):
    """The operator learns which key to change, and systemd that another start would not help."""
    with socket.create_server((HOST, daemon.port)):
        daemon.write_text(FILE.format(host=HOST, token_file="", **daemon._ports))
        daemon.start()
        assert 2 == daemon.wait()
    expected = "address in use: another cdcd or another program listens there; choose another port"
    assert f"daemon.listen: {HOST}:{daemon.port}: {expected}\n" in daemon.log


def test_the_operator_has_the_token_and_a_stranger_has_not(daemon):
    """`cdcd status` takes it from the file that the daemon runs with."""
    daemon.run(host="0.0.0.0", token="s3cret\n")

    assert daemon.ask().startswith(b"HTTP/1.1 401 ")
    assert b" 503 " in daemon.ask("Authorization: Bearer s3cret")
    assert daemon.command("status").stdout.startswith("link ")
    assert "s3cret" not in daemon.log


def test_a_status_with_another_token_says_so(daemon):
    """It must not look like another program, nor like a daemon that is down."""
    daemon.run(token="s3cret")
    daemon.write_text(daemon.path.read_text().replace("token_file", "# token_file"))
    done = daemon.command("status")

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"cdcd: the cdcd at {HOST}:{daemon.port} wants a token; give the file")


def test_a_reload_takes_the_token_that_its_file_holds(daemon):
    """`daemon` keys need a restart; what is in the file that one of them names does not."""
    daemon.run(token="old")
    daemon.token.write_text("new")
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.events("configuration_reloaded"))

    assert b" 401 " in daemon.ask("Authorization: Bearer old")
    assert b" 503 " in daemon.ask("Authorization: Bearer new")


def test_a_reload_refuses_what_is_no_token(daemon):
    """The old one stays, and the operator learns why."""
    daemon.run(token="old")
    daemon.token.write_text("")
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.events("reload_refused"))

    [refused] = daemon.events("reload_refused")
    assert refused["problems"][0].startswith(f"daemon.token_file: {daemon.token} is empty")
    assert b" 503 " in daemon.ask("Authorization: Bearer old")


def test_a_token_that_changes_is_taken_without_a_reload(daemon):
    """Tools that hand out secrets write the file and tell nobody."""
    daemon.run(token="old")
    daemon.token.write_text("new")
    until(lambda: b" 503 " in daemon.ask("Authorization: Bearer new"))

    assert 1 == len(daemon.events("token_changed"))
    assert b" 401 " in daemon.ask("Authorization: Bearer old")
