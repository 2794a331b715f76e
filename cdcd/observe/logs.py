"""Logs: JSON lines on stdout for journald, or readable lines for a terminal.

An event is a constant past-tense name with facts. Context (link, site) is bound once, with
``structlog.get_logger().bind(link=…)``. Never a line per row, never a secret: values whose name says that
they are one are masked here as the last line of defence.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Literal, TextIO

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

SECRETS = frozenset({"password", "secret", "token"})
MASK = "***"


def configure(level: Level, format: Format, out: TextIO | None = None) -> None:
    """Set up structlog for the whole process, on ``out`` (stdout unless given); a later call replaces all."""
    stream = out or sys.stdout
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask_secrets,
            *_renderers(format, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_logger_factory(format, stream),
        cache_logger_on_first_use=False,
    )


def _renderers(format: Format, stream: TextIO) -> list[Processor]:
    if format == "console":
        # The default formatter prints local variables, and with them whatever secret a frame holds.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]


def _logger_factory(format: Format, stream: TextIO) -> structlog.BytesLoggerFactory | structlog.PrintLoggerFactory:
    if format == "console":
        return structlog.PrintLoggerFactory(stream)
    return structlog.BytesLoggerFactory(stream.buffer)


def _to_json(event: EventDict, **_options: object) -> bytes:
    """Render any fact: what JSON has no form for (a position, a path) becomes its text."""
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in event.keys() & SECRETS:
        event[name] = MASK
    return event
