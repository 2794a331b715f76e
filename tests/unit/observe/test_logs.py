"""Logs are machine-readable facts and never hold a secret."""

import json
import logging
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import structlog

from cdcd.model.position import Gtid, Position
from cdcd.observe import logs


class Stdout:
    """What was written to stdout so far."""

    def __init__(self, capture):
        self._capture = capture
        self._written = b""

    @property
    def text(self):
        """All of it."""
        logs.flush(20)
        self._written += self._capture.readouterr().out
        return self._written.decode()

    @property
    def events(self):
        """Its lines, decoded."""
        return [orjson.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def stdout(capsysbinary, monkeypatch):
    """What the test logs, through loggers of its own."""
    monkeypatch.setattr(logs, "_writer", None)
    monkeypatch.setattr(logs, "_dropped_before", 0)
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))
    yield Stdout(capsysbinary)
    logs.close()
    structlog.reset_defaults()


def test_an_event_is_one_line_of_json_with_time_level_and_facts(stdout):
    """journald and its readers get one object a line, with a UTC time that needs no guess."""
    logs.configure("info", "json")
    structlog.get_logger().bind(link="forward").info("batch_applied", transactions=812, seconds=0.041)

    (event,) = stdout.events
    logged_at = datetime.fromisoformat(event.pop("timestamp"))

    assert {
        "event": "batch_applied",
        "level": "info",
        "link": "forward",
        "transactions": 812,
        "seconds": 0.041,
    } == event
    assert timedelta(0) == logged_at.utcoffset()
    assert logged_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_events_below_the_level_are_dropped(stdout, level, expected):
    """log_level is what it says."""
    logs.configure(level, "json")
    log = structlog.get_logger()
    for method in ("debug", "info", "warning", "error"):
        getattr(log, method)("happened")

    assert expected == [event["level"] for event in stdout.events]


def test_configuring_again_changes_loggers_that_exist(stdout):
    """A reload changes the level for every part of the running daemon."""
    logs.configure("error", "json")
    log = structlog.get_logger()
    log.info("dropped")
    logs.configure("info", "json")
    log.info("kept")

    assert ["kept"] == [event["event"] for event in stdout.events]


def test_facts_that_json_has_no_form_for_are_logged_as_text(stdout):
    """A log line must never fail for the type of a fact."""
    logs.configure("info", "json")
    structlog.get_logger().info("moved", position=Position([Gtid(0, 1, 7)]), counts={1: 2})

    (event,) = stdout.events

    assert ("0-1-7", {"1": 2}) == (event["position"], event["counts"])


@pytest.mark.parametrize("fact", ["caf\udce9", 1 << 70], ids=["bytes that are no text", "a large number"])
def test_facts_of_any_value_are_logged(stdout, fact):
    """A statement with a broken name must not end the link that reports it."""
    logs.configure("info", "json")
    structlog.get_logger().info("met", fact=fact)

    [line] = stdout.text.splitlines()
    assert fact == json.loads(line)["fact"]


def test_what_libraries_log_is_an_event_too(stdout):
    """By themselves they write to stderr and wait for its reader: the event loop does, about an error of ours."""
    logs.configure("info", "json")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("asyncio").exception("task %s failed", 7)

    [event] = stdout.events
    assert ("library_logged", "error", "asyncio", "task 7 failed") == tuple(
        event[name] for name in ("event", "level", "logger", "message")
    )
    assert "ValueError: broken" in event["exception"]


def test_lines_after_the_end_are_counted(stdout):
    """The count in the status must hold for what a late task logs too."""
    logs.configure("info", "json")
    before = logs.lines_dropped()
    log = structlog.get_logger()
    log.info("kept")
    logs.close()
    log.info("dropped")

    assert ["kept"] == [event["event"] for event in stdout.events]
    assert before == logs.lines_dropped() - 1


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_password_is_never_written(stdout, form):
    """Neither as a fact nor as a local variable of a traceback's frame."""
    logs.configure("info", form)
    secret = "-".join(("hunter", "2"))
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("failed", password=secret)

    assert "failed" in stdout.text
    assert "ValueError: broken" in stdout.text
    assert secret not in stdout.text


def test_the_console_form_is_readable(stdout):
    """A person at a terminal reads the event and its facts."""
    logs.configure("info", "console")
    structlog.get_logger().info("link_started", link="forward")

    assert "link_started" in stdout.text
    assert "link=forward" in stdout.text
