"""The QUERY event: a statement that the log carries as text, and the session that it ran in.

Layout: MariaDB Knowledge Base, "QUERY_EVENT"; status variables: ``sql/log_event.h``, ``Q_*``:

====  ===================================  ==========================================================
code  name                                 what it decides
====  ===================================  ==========================================================
0     FLAGS2                               checks of foreign keys, unique keys and constraints,
                                           explicit_defaults_for_timestamp, sql_if_exists; autocommit
                                           and sql_auto_is_null, which no schema change depends on
1     SQL_MODE                             how the text is read, and which values fit
2, 6  CATALOG                              nothing: it is always "std"
3     AUTO_INCREMENT                       how existing rows are numbered
4     CHARSET                              client, connection, server
5     TIME_ZONE                            what TIMESTAMP literals and conversions mean
7     LC_TIME_NAMES                        names of months and days
8     CHARSET_DATABASE                     LOAD DATA only, which is no schema change
9     TABLE_MAP_FOR_UPDATE                 multi-table UPDATE only
10    MASTER_DATA_WRITTEN                  the size of the event in another log format
11    INVOKER                              the definer of views and routines, which are not carried
128   HRNOW                                the microseconds of the statement's time
129   XID                                  the server's own recovery
130   GTID_FLAGS3                          ALTER TABLE in two phases, which the GTID event says too
====  ===================================  ==========================================================

The time's seconds are in the event's header. What no event holds: default_storage_engine, old_mode, alter_algorithm,
div_precision_increment.
"""

from __future__ import annotations

import re

from cdcd.errors import MalformedEvent
from cdcd.model.query import Query
from cdcd.row import compression

OPTION_NO_CHECK_CONSTRAINT_CHECKS = 1 << 15
OPTION_NO_FOREIGN_KEY_CHECKS = 1 << 26
OPTION_RELAXED_UNIQUE_CHECKS = 1 << 27
OPTION_EXPLICIT_DEFAULTS_FOR_TIMESTAMP = 1 << 24
OPTION_IF_EXISTS = 1 << 28
UTF8MB4_GENERAL_CI = 45
LOG_EVENT_THREAD_SPECIFIC_F = 4

_CONTROL = re.compile(
    r"\s*(?:/\*(?!M?!).*?\*/\s*)*(begin|commit|rollback\s+to|rollback|savepoint|release\s+savepoint|xa)\b",
    re.IGNORECASE | re.DOTALL,
)
_SAVEPOINT = re.compile(
    r"\s*(?:savepoint|rollback\s+(?:work\s+)?to(?:\s+savepoint)?)\s+(?:`((?:[^`]|``)+)`|(\w+))\s*", re.IGNORECASE
)
# The length of each status variable's value that has a fixed one (Q_*_CODE in log_event.h).
_FIXED = {0: 4, 1: 8, 3: 4, 4: 6, 7: 2, 8: 2, 9: 8, 10: 4, 128: 3, 129: 8, 130: 1}


def control(statement: str) -> str | None:
    """Return which transaction-control statement this is, or None."""
    if not (match := _CONTROL.match(statement)):
        return None
    return " ".join(match.group(1).lower().split())


def savepoint_name(statement: str) -> str:
    """Return the name that SAVEPOINT or ROLLBACK TO gives, in lower case; empty where it cannot be told from others.

    Servers compare these names in utf8mb3_general_ci, for which é is e, ß is s, and İ is i (``sql/transaction.cc``).
    """
    match = _SAVEPOINT.fullmatch(statement)
    return (match[1] or match[2]).replace("``", "`").lower() if match and statement.isascii() else ""


def load(body: bytes) -> Query:
    """Read an EXECUTE_LOAD_QUERY event's body: a QUERY event's with 13 bytes about the file after its head."""
    if len(body) < 26:
        raise MalformedEvent("an EXECUTE_LOAD_QUERY event that is too short")
    return parse(body[:13] + body[26:], compressed=False)


def parse(body: bytes, compressed: bool, generated: bool = False, flags: int = 0) -> Query:
    """Read a QUERY event's body; raise MalformedEvent.

    ``generated``: the server wrote the text, in its own charset, though the event names the client's. So it
    does with the CREATE TABLE that precedes the rows of CREATE TABLE ... SELECT. ``flags``: of the event's header.
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
    settings, unknown = _status(body[13 : 13 + status_length])
    options = int.from_bytes(settings.get(0, b""), "little")
    charset = settings.get(4)
    return Query(
        database=_name(body[13 + status_length : text_at - 1]),
        statement=text.decode("utf-8", "surrogateescape"),
        thread_id=thread_id,
        sql_mode=int.from_bytes(settings[1], "little") if 1 in settings else None,
        foreign_key_checks=not options & OPTION_NO_FOREIGN_KEY_CHECKS,
        explicit_defaults_for_timestamp=bool(options & OPTION_EXPLICIT_DEFAULTS_FOR_TIMESTAMP),
        charset=_charset(charset, generated) if charset else None,
        time_zone=_name(settings.get(5, b"\0")[1:]),
        unique_checks=not options & OPTION_RELAXED_UNIQUE_CHECKS,
        check_constraint_checks=not options & OPTION_NO_CHECK_CONSTRAINT_CHECKS,
        if_exists=bool(options & OPTION_IF_EXISTS),
        auto_increment=_pair(settings.get(3, b"\1\0\1\0")),
        lc_time_names=int.from_bytes(settings.get(7, b""), "little"),
        microseconds=int.from_bytes(settings[128], "little") if 128 in settings else None,
        error=int.from_bytes(body[9:11], "little"),
        thread_specific=bool(flags & LOG_EVENT_THREAD_SPECIFIC_F),
        unknown=unknown,
    )


def _name(text: bytes) -> str:
    """Read the name of a database or a time zone, which servers keep in UTF-8 whatever the charset of a client."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise MalformedEvent("a QUERY event with a name that is not UTF-8") from None


def _charset(value: bytes, generated: bool) -> tuple[int, int, int]:
    client, connection, server = (int.from_bytes(value[i : i + 2], "little") for i in (0, 2, 4))
    return UTF8MB4_GENERAL_CI if generated else client, connection, server


def _pair(value: bytes) -> tuple[int, int]:
    return int.from_bytes(value[:2], "little"), int.from_bytes(value[2:], "little")


def _status(block: bytes) -> tuple[dict[int, bytes], int | None]:
    """Read status variables up to the first that is not known, and say which one that is."""
    settings: dict[int, bytes] = {}
    at = 0
    while at < len(block):
        code = block[at]
        length = _FIXED.get(code) or _variable_length(code, block[at + 1 :])
        if length < 0:
            return settings, code
        settings[code] = block[at + 1 : at + 1 + length]
        at += 1 + length
    return settings, None


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
