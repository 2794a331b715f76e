"""The marker as a row event: a third of what the statement costs the server, where it takes events as statements.

The event names a row by link, slot and epoch, which are the key of ``cdcd.checkpoint``: once a later run has the link
no row is found, and a server that is strict fails. It does not see whether the slot holds the batch already, so only
the first try of a transaction is marked by it; the statement marks those that follow what failed, and says why.

An event knows columns by their place, so the table must have the ones of our layout and no others, and its key: that
is looked at before the first COMMIT, and again whenever the server has opened a table since (``altered``).

Layouts: MariaDB Knowledge Base, "2-Binlog-Event-Header", "Table_map_event", "Rows_event_v1v2"; of values:
``sql/field.cc``, ``pack``; what the applier reads and writes of a row: ``sql/log_event_server.cc``, ``find_row``.
"""

from __future__ import annotations

import binascii
import re
import struct
import time
from collections.abc import Callable

from cdcd.apply.contract import Mark
from cdcd.checkpoint import layout
from cdcd.errors import ServerError
from cdcd.model.position import pack
from cdcd.mysql.flavor.contract import RowEvents
from cdcd.mysql.schema import definition_query
from cdcd.mysql.session import Session
from cdcd.row.cell import BLOB, LONGLONG, SHORT, TIMESTAMP2, VARCHAR

NAME = ("cdcd", "checkpoint")
_COLUMNS = layout.columns(NAME[1])
_KEY = ("link", "slot", "epoch")
_PRIMARY_KEY = b"PRIMARY KEY (" + b",".join(f"`{name}`".encode() for name in _KEY) + b")"
# As a definition writes a column and its type, a number's display width aside.
_COLUMN = re.compile(
    rb"^  `([^`]+)` ((?:var)?char\(\d+\)|timestamp\(\d\)|[a-z]+)(?:\(\d+\))?( unsigned)?", re.MULTILINE
)

ROWS_FLAGS = 1 | 128  # the statement's last rows, and no CHECK of theirs
TABLE_MAP, _UPDATE_ROWS_V1 = 19, 24
_HEAD = struct.Struct("<IBIIIH")  # time, kind, server, size, place, flags: the session's in the log, but for the time
TABLE_ID = b"\1\0\0\0\0\0"
# By type: as the log names it, and what it says of it besides.
_STORED = {
    "SMALLINT UNSIGNED": (SHORT, b""),
    "BIGINT UNSIGNED": (LONGLONG, b""),
    "MEDIUMBLOB": (BLOB, b"\3"),
    "TIMESTAMP(6)": (TIMESTAMP2, b"\6"),
    "VARCHAR(64)": (VARCHAR, struct.pack("<H", 64 * 4)),  # bytes of utf8mb4
    "VARCHAR(255)": (VARCHAR, struct.pack("<H", 255 * 4)),
}


def _table_map() -> bytes:
    types = [_STORED[kind] for kind in _COLUMNS.values()]
    metadata = b"".join(each for _, each in types)
    names = b"".join(bytes([len(name)]) + name.encode() + b"\0" for name in NAME)
    columns = bytes([len(types)]) + bytes(kind for kind, _ in types)
    return TABLE_ID + b"\0\0" + names + columns + bytes([len(metadata)]) + metadata + bytes((len(types) + 7) // 8)


def _bitmap(names: set[str]) -> bytes:
    bits = sum(1 << i for i, name in enumerate(_COLUMNS) if name in names)
    return bits.to_bytes((len(_COLUMNS) + 7) // 8, "little")


_MAP = _table_map()
_ROWS_HEAD = (
    TABLE_ID
    + struct.pack("<H", ROWS_FLAGS)
    + bytes([len(_COLUMNS)])
    + _bitmap(set(_KEY))
    + _bitmap(set(_COLUMNS) - set(_KEY))
)
_NO_NULL_BEFORE, _NO_NULL_AFTER = b"\0", bytes((len(_COLUMNS) - len(_KEY) + 7) // 8)


class MarkerRefusedError(Exception):
    """The marker was not taken as an event: the statement must say why, or do instead."""


class MarkerEvents:
    """Writes marks as events for one session. ``now`` gives the target's time, in microseconds since 1970.

    ``opens`` is the number of opened tables at which the table was seen to be what the event takes it for.
    """

    def __init__(self, able: RowEvents, thread_id: int, now: Callable[[], int]) -> None:
        self.opens = -1
        self._strictly = able.strictly
        self._session = struct.pack("<Q", thread_id)
        self._now = now

    @classmethod
    async def of(cls, session: Session) -> MarkerEvents:
        """Return those for a session that sends row events, by the time and the connection id that its server tells."""
        able = session.flavor.row_events_as_statements
        assert able is not None
        asked = time.monotonic()
        [(thread_id, clock)] = await session.fetch("SELECT CONNECTION_ID(), FLOOR(UNIX_TIMESTAMP(NOW(6)) * 1000000)")
        ahead = int(clock) - int((asked + time.monotonic()) / 2 * 1_000_000)
        return cls(able, int(thread_id), lambda: time.monotonic_ns() // 1000 + ahead)

    def statement(self, mark: Mark) -> bytes:
        """Return what writes a mark; it fails once a later run has the link, or where the server is not strict."""
        at = mark.progress.at
        seconds, microseconds = divmod(self._now(), 1_000_000)
        row = b"".join(
            (
                _ROWS_HEAD,
                _NO_NULL_BEFORE,
                _text(mark.link),
                struct.pack("<HQ", mark.slot, mark.epoch),
                _NO_NULL_AFTER,
                _text(mark.origin),
                _blob(str(mark.progress.position).encode()),
                _blob(pack(mark.progress.applied)),
                seconds.to_bytes(4, "big"),
                microseconds.to_bytes(3, "big"),
                struct.pack("<Q", mark.batch),
                self._session,
                _text(at.server),
                _text(at.file),
                struct.pack("<QQQ", at.offset, at.time, at.began),
            )
        )
        events = event(TABLE_MAP, seconds, _MAP) + event(_UPDATE_ROWS_V1, seconds, row)
        return self._strictly + binlog_statement(events)

    async def fits(self, session: Session) -> bool:
        """Return whether the table has our columns in their order, and our key."""
        try:
            [(_, definition)] = await session.fetch(definition_query(session.flavor, NAME))
        except ServerError:
            return False
        return is_ours(definition.encode() if isinstance(definition, str) else definition)


def is_ours(definition: bytes) -> bool:
    """Return whether a table that is so defined has the layout's columns in their order, and its key."""
    columns = [(name.decode(), (kind + sign).decode().upper()) for name, kind, sign in _COLUMN.findall(definition)]
    return columns == list(_COLUMNS.items()) and _PRIMARY_KEY in definition


def event(kind: int, seconds: int, body: bytes) -> bytes:
    """Return an event of a kind; ``seconds`` since 1970 are its time in the target's log."""
    return _HEAD.pack(seconds, kind, 1, _HEAD.size + len(body), 0, 0) + body


def binlog_statement(events: bytes) -> bytes:
    """Return the statement that hands events to the server's own applier."""
    return b"BINLOG '" + binascii.b2a_base64(events, newline=False) + b"'"


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<H", len(encoded)) + encoded


def _blob(value: bytes) -> bytes:
    return len(value).to_bytes(3, "little") + value
