"""systemd hears from the daemon by datagrams, as sd_notify(3) says."""

import os
import socket
import time
import uuid

import pytest

from cdcd.runtime import notify


@pytest.fixture(params=["path", "abstract"])
def supervisor(request, tmp_path, monkeypatch):
    """A datagram socket as systemd opens it, named in the environment."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@cdcd-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(20)
        listener.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: notify.ready(), b"READY=1"),
        (lambda: notify.ready("2 links"), b"READY=1\nSTATUS=2 links"),
        (lambda: notify.stopping(), b"STOPPING=1"),
        (lambda: notify.status("forward: streaming\nREADY=1"), b"STATUS=forward: streaming READY=1"),
        (lambda: notify.watchdog(), b"WATCHDOG=1"),
    ],
)
def test_each_message_is_one_datagram(supervisor, call, expected):
    """The supervisor reads assignments, one a line; a text can't smuggle in another."""
    call()

    assert expected == supervisor.recv(4096)


def test_a_reload_carries_the_time_of_its_begin(supervisor):
    """systemd tells this reload from an earlier one by the monotonic time."""
    before = time.monotonic_ns() // 1000
    notify.reloading()
    first, second = supervisor.recv(4096).decode().split("\n")
    name, began_at = second.split("=")

    assert ("RELOADING=1", "MONOTONIC_USEC") == (first, name)
    assert before <= int(began_at) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "@nobody-listens"])
def test_without_a_supervisor_nothing_happens(monkeypatch, address):
    """A run by hand, or a supervisor that went away, must not stop the daemon."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    notify.ready()


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        ("30000000", "ours", 30.0),
        ("500000", "", 0.5),
        ("30000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_period_is_the_supervisors_wish(monkeypatch, microseconds, pid, expected):
    """The variable may be inherited from another process, whose watchdog is not ours."""
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)

    assert expected == notify.watchdog_seconds()
