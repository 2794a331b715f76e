"""The QUERY event: a statement that the log carries as text, and the session that it ran in.

Layout: MariaDB Knowledge Base, "QUERY_EVENT"; status variables: ``sql/log_event.h``, ``Q_*_CODE``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cdcd.binlog import compression
from cdcd.errors import MalformedEvent

OPTION_NO_FOREIGN_KEY_CHECKS = 1 << 26
OPTION_RELAXED_UNIQUE_CHECKS = 1 << 27
OPTION_EXPLICIT_DEFAULTS_FOR_TIMESTAMP = 1 << 24
UTF8MB4_GENERAL_CI = 45

_CONTROL = re.compile(
    r"\s*(?:/\*(?!M?!).*?\*/\s*)*(begin|commit|rollback\s+to|rollback|savepoint|release\s+savepoint|xa)\b",
    re.IGNORECASE | re.DOTALL,
)
_SAVEPOINT = re.compile(
    r"\s*(?:savepoint|rollback\s+(?:work\s+)?to(?:\s+savepoint)?)\s+(?:`((?:[^`]|``)+)`|(\w+))\s*", re.IGNORECASE
)
# The length of each status variable's value that has a fixed one (Q_*_CODE in log_event.h).
_FIXED = {0: 4, 1: 8, 3: 4, 4: 6, 7: 2, 8: 2, 9: 8, 10: 4, 13: 3, 128: 3, 129: 8}


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, its default database and the settings that decide what it means."""

    database: str
    statement: str
    thread_id: int
    sql_mode: int | None
    foreign_key_checks: bool
    explicit_defaults_for_timestamp: bool
    charset: tuple[int, int, int] | None  # collation ids: client, connection, server
    time_zone: str  # "" when the statement does not depend on it

    def __str__(self) -> str:
        """Return the statement, shortened for messages."""
        shown = self.statement if len(self.statement) <= 200 else self.statement[:197] + "..."
        return shown.encode("utf-8", "backslashreplace").decode()


def control(statement: str) -> str | None:
    """Return which transaction-control statement this is, or None."""
    if not (match := _CONTROL.match(statement)):
        return None
    verb = " ".join(match.group(1).lower().split())
    return "savepoint" if verb.startswith("release") else verb


def savepoint_name(statement: str) -> str:
    """Return the name that SAVEPOINT or ROLLBACK TO gives, in lower case; empty where it cannot be read."""
    match = _SAVEPOINT.fullmatch(statement)
    return (match[1] or match[2]).replace("``", "`").lower() if match else ""


def load(body: bytes) -> Query:
    """Read an EXECUTE_LOAD_QUERY event's body: a QUERY event's with 13 bytes about the file after its head."""
    if len(body) < 26:
        raise MalformedEvent("an EXECUTE_LOAD_QUERY event that is too short")
    return parse(body[:13] + body[26:], compressed=False)


def parse(body: bytes, compressed: bool, generated: bool = False) -> Query:
    """Read a QUERY event's body; raise MalformedEvent.

    ``generated``: the server wrote the text, in its own charset, though the event names the client's. So it
    does with the CREATE TABLE that precedes the rows of CREATE TABLE ... SELECT.
    """
    if len(body) < 13:
        raise MalformedEvent("a QUERY event that is too short")
    thread_id = int.from_bytes(body[0:4], "little")
    status_length = int.from_bytes(body[11:13], "little")
    text_at = 13 + status_length + body[8] + 1
    if text_at > len(body):
        raise MalformedEvent("a QUERY event whose lengths exceed it")
    text = body[text_at:]
    if compressed:
        text = compression.event(text)
    settings = _status(body[13 : 13 + status_length])
    flags = int.from_bytes(settings.get(0, b""), "little")
    charset = settings.get(4)
    return Query(
        database=body[13 + status_length : text_at - 1].decode("utf-8", "replace"),
        statement=text.decode("utf-8", "surrogateescape"),
        thread_id=thread_id,
        sql_mode=int.from_bytes(settings[1], "little") if 1 in settings else None,
        foreign_key_checks=not flags & OPTION_NO_FOREIGN_KEY_CHECKS,
        explicit_defaults_for_timestamp=bool(flags & OPTION_EXPLICIT_DEFAULTS_FOR_TIMESTAMP),
        charset=_charset(charset, generated) if charset else None,
        time_zone=settings.get(5, b"\0")[1:].decode("ascii", "replace"),
    )


def _charset(value: bytes, generated: bool) -> tuple[int, int, int]:
    client, connection, server = (int.from_bytes(value[i : i + 2], "little") for i in (0, 2, 4))
    return UTF8MB4_GENERAL_CI if generated else client, connection, server


def _status(block: bytes) -> dict[int, bytes]:
    """Read status variables up to the first whose length is not known: the ones needed come first."""
    settings: dict[int, bytes] = {}
    at = 0
    while at < len(block):
        code = block[at]
        length = _FIXED.get(code) or _variable_length(code, block[at + 1 :])
        if length < 0:
            break
        settings[code] = block[at + 1 : at + 1 + length]
        at += 1 + length
    return settings


def _variable_length(code: int, rest: bytes) -> int:
    if not rest:
        return -1
    if code == 2:
        return rest[0] + 2
    if code in (5, 6):
        return rest[0] + 1
    if code == 11:
        user = rest[0]
        return 1 + user + 1 + rest[1 + user] if len(rest) > 1 + user else -1
    return -1
