"""Logs: JSON lines on stdout for journald, or readable lines for a terminal.

Whoever logs never waits for whoever reads (``lines``); :func:`close` ends the log within a bounded time.

An event is a constant past-tense name with facts. Context (link, site) is bound once, with
``structlog.get_logger().bind(link=…)``. Never a line per row, never a secret: values whose name says that
they are one are masked here as the last line of defence.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

import orjson
import structlog

from cdcd.config.schema import LogFormat, LogLevel
from cdcd.observe import lines
from cdcd.observe.lines import LineWriter

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

SECRETS = frozenset({"password", "secret", "token"})
MASK = "***"
FLUSH_SECONDS = 2.0

_writer: LineWriter | None = None
_dropped_before = 0  # by earlier writers


def configure(level: LogLevel, format: LogFormat, out: TextIO | None = None) -> None:
    """Set up structlog for the whole process, on ``out`` (stdout unless given); a later call replaces all."""
    global _writer, _dropped_before
    stream = out or sys.stdout
    close()
    _dropped_before = lines_dropped()
    _writer = writer = LineWriter(_sink(stream), _dropped_json if format == "json" else _dropped_text)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask_secrets,
            *_renderers(format, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: _Lines(writer),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _FromLibraries)] + [_FromLibraries()]


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Wait, but no longer than this, until what was logged is written."""
    if _writer is not None:
        _writer.flush(seconds)


def close(seconds: float = FLUSH_SECONDS) -> None:
    """End the log: write what can be written within this time. What is logged later is dropped."""
    if _writer is not None:
        _writer.close(seconds)


def complain(problems: list[str], seconds: float = FLUSH_SECONDS) -> None:
    """Print lines on stderr, after what was logged; give up where nobody takes them within this time."""
    flush(seconds)
    writer = LineWriter(_sink(sys.stderr), _dropped_text)
    for problem in problems:
        writer.write(problem.encode("utf-8", "backslashreplace"))
    writer.close(seconds)


def lines_dropped() -> int:
    """Return how many lines of this process nobody will read."""
    return _dropped_before + (_writer.dropped if _writer is not None else 0)


class _FromLibraries(logging.Handler):
    """Takes what libraries and the event loop log, which would go to stderr and wait for its reader."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Log it as an event of ours."""
        log = structlog.get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library_logged", logger=record.name, message=record.getMessage(), exc_info=record.exc_info or None)


class _Lines:
    """What structlog hands rendered events to."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: str | bytes) -> None:
        """Write one event."""
        self._writer.write(line.encode("utf-8", "backslashreplace") if isinstance(line, str) else line)

    debug = info = warning = error = critical = msg


def _sink(stream: TextIO) -> lines.Write:
    try:
        return lines.to_descriptor(stream.fileno())
    except (OSError, ValueError):  # It is no file of the system's, but one in memory.
        buffer = stream.buffer

    def write(data: memoryview) -> int:
        try:
            return buffer.write(data)
        except ValueError as error:  # Someone has closed it.
            raise OSError(str(error)) from error

    return write


def _renderers(format: LogFormat, stream: TextIO) -> list[Processor]:
    if format == "console":
        # The default formatter prints local variables, and with them whatever secret a frame holds.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]


def _to_json(event: EventDict, **_options: object) -> bytes:
    """Render any fact: what JSON has no form for (a position, a path) becomes its text."""
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # orjson takes no text that is not Unicode, as of a broken name, and no number of over 64 bits.
        return json.dumps(event, default=str).encode()


def _dropped_json(count: int) -> bytes:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return _to_json({"lines": count, "event": "log_lines_dropped", "level": "warning", "timestamp": now})


def _dropped_text(count: int) -> bytes:
    return f"log_lines_dropped lines={count}".encode()


def _mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in event.keys() & SECRETS:
        event[name] = MASK
    return event
