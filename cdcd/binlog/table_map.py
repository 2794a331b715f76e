"""The TABLE_MAP event: which table a rows event is about, and how its columns are stored.

Layout: MariaDB Knowledge Base, "TABLE_MAP_EVENT"; the optional metadata (binlog_row_metadata):
``sql/log_event.h``, ``Table_map_log_event::Optional_metadata_field_type``.
"""

from __future__ import annotations

from cdcd.errors import MalformedEvent, UnsupportedEvent
from cdcd.model.change import UPDATE
from cdcd.row import compression
from cdcd.row.cell import (
    BIT,
    BLOB,
    BLOB_COMPRESSED,
    CHARACTER,
    DATETIME2,
    DOUBLE,
    ENUM,
    FLOAT,
    GEOMETRY,
    JSON,
    LONG,
    LONGLONG,
    NEWDECIMAL,
    NUMERIC,
    SET,
    SHORT,
    STRING,
    TIME2,
    TIMESTAMP2,
    VAR_STRING,
    VARCHAR,
    VARCHAR_COMPRESSED,
    ColumnType,
    Description,
)
from cdcd.row.column_type import GEOMETRIES

# Servers count geometry columns, which are binary strings to them, among those that have a collation.
_COLLATED = CHARACTER | {GEOMETRY}
_METADATA_BYTES = {
    FLOAT: 1, DOUBLE: 1, BLOB: 1, GEOMETRY: 1, JSON: 1, BLOB_COMPRESSED: 1, TIMESTAMP2: 1, DATETIME2: 1,
    TIME2: 1, VARCHAR: 2, VAR_STRING: 2, VARCHAR_COMPRESSED: 2, BIT: 2, NEWDECIMAL: 2, STRING: 2, ENUM: 2, SET: 2,
}  # fmt: skip


class _Reader:
    """Reads a bounded run of bytes; every overrun is a MalformedEvent."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._block)

    def take(self, length: int) -> bytes:
        if length < 0 or self._at + length > len(self._block):
            raise MalformedEvent("a TABLE_MAP event whose lengths exceed it")
        self._at += length
        return self._block[self._at - length : self._at]

    def number(self, length: int, order: str = "little") -> int:
        return int.from_bytes(self.take(length), "big" if order == "big" else "little")

    def packed(self) -> int:
        """Read a length-encoded integer."""
        first = self.number(1)
        if first < 251:
            return first
        if first == 251 or first == 255:
            raise MalformedEvent("a TABLE_MAP event with a bad length-encoded integer")
        return self.number({252: 2, 253: 3, 254: 8}[first])

    def rest(self) -> bytes:
        return self._block[self._at :]

    def text(self, length: int) -> str:
        """Read a name, which servers keep in UTF-8 whatever the charset of a client."""
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise MalformedEvent("a TABLE_MAP event with a name that is not UTF-8") from None


def parse(body: bytes) -> Description:
    """Read a TABLE_MAP event's body; raise MalformedEvent."""
    reader = _Reader(body)
    reader.take(8)
    database = reader.text(reader.number(1))
    reader.take(1)
    table = reader.text(reader.number(1))
    reader.take(1)
    layout = reader.rest()
    count = reader.packed()
    types = reader.take(count)
    metadata = _Reader(reader.take(reader.packed()))
    stored = [_column(kind, metadata) for kind in types]
    if not all(_is_possible(*column) for column in stored):
        raise MalformedEvent("a TABLE_MAP event with an impossible column").at(table=f"{database}.{table}")
    nulls = reader.take((count + 7) // 8)
    fields = _optional(reader)
    columns = _columns(stored, nulls, fields)
    names, key = _names(fields.get(4), count), _primary_key(fields, count)
    return Description((database, table), columns, names, key, layout)


def _column(kind: int, metadata: _Reader) -> tuple[int, int]:
    """Return a column's real type and its metadata as one number."""
    width = _METADATA_BYTES.get(kind, 0)
    if kind == STRING:
        first, second = metadata.number(1), metadata.number(1)
        if first & 0x30 != 0x30:
            return first | 0x30, second | ((first & 0x30) ^ 0x30) << 4
        return first, second
    if kind == BIT:
        bits, whole = metadata.number(1), metadata.number(1)
        return kind, whole * 8 + bits
    if kind == NEWDECIMAL:
        return kind, metadata.number(2, "big")
    return kind, metadata.number(width)


def _is_possible(kind: int, metadata: int) -> bool:
    """Return whether a type can have such metadata, so that whoever walks rows can rely on it."""
    if kind in (BLOB, GEOMETRY, BLOB_COMPRESSED):
        return 1 <= metadata <= 4
    if kind in (TIME2, DATETIME2, TIMESTAMP2):
        return metadata <= 6
    if kind in (FLOAT, DOUBLE):
        return metadata == {FLOAT: 4, DOUBLE: 8}[kind]
    if kind == NEWDECIMAL:
        return metadata & 0xFF <= metadata >> 8 <= 65
    if kind == BIT:
        return 1 <= metadata <= 64
    if kind in (ENUM, SET):
        return 1 <= metadata <= (2 if kind == ENUM else 8)
    return True


def _optional(reader: _Reader) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while reader:
        kind = reader.number(1)
        fields[kind] = reader.take(reader.packed())
    return fields


def _columns(stored: list[tuple[int, int]], nulls: bytes, fields: dict[int, bytes]) -> tuple[ColumnType, ...]:
    unsigned = _signs(fields.get(1), [i for i, (kind, _) in enumerate(stored) if kind in NUMERIC])
    collations = _collations(fields, 2, [i for i, (kind, _) in enumerate(stored) if kind in _COLLATED])
    collations |= _collations(fields, 10, [i for i, (kind, _) in enumerate(stored) if kind in (ENUM, SET)])
    members = _members(fields.get(5), [i for i, (kind, _) in enumerate(stored) if kind == SET])
    members |= _members(fields.get(6), [i for i, (kind, _) in enumerate(stored) if kind == ENUM])
    geometries = _geometries(fields.get(7), [i for i, (kind, _) in enumerate(stored) if kind == GEOMETRY])
    return tuple(
        ColumnType(
            kind,
            metadata,
            bool(nulls[i // 8] & (1 << i % 8)),
            unsigned.get(i),
            collations.get(i),
            members.get(i),
            geometries.get(i),
        )
        for i, (kind, metadata) in enumerate(stored)
    )


def _signs(block: bytes | None, indexes: list[int]) -> dict[int, bool]:
    """Read which numbers are unsigned: a bit each, the first column's the highest."""
    if block is None:
        return {}
    bits = _Reader(block).take((len(indexes) + 7) // 8)
    return {i: bool(bits[k // 8] & 0x80 >> k % 8) for k, i in enumerate(indexes)}


def _collations(fields: dict[int, bytes], default_field: int, indexes: list[int]) -> dict[int, int]:
    """Read a default collation with its exceptions, or one collation for each column."""
    if default_field in fields:
        reader = _Reader(fields[default_field])
        found = dict.fromkeys(indexes, reader.packed())
        while reader:
            index = reader.packed()
            if index >= len(indexes):
                raise MalformedEvent("a TABLE_MAP event with a collation of no column")
            found[indexes[index]] = reader.packed()
        return found
    if default_field + 1 in fields:
        reader = _Reader(fields[default_field + 1])
        return {index: reader.packed() for index in indexes}
    return {}


def _members(block: bytes | None, indexes: list[int]) -> dict[int, tuple[bytes, ...]]:
    if block is None:
        return {}
    reader = _Reader(block)
    return {i: tuple(reader.take(reader.packed()) for _ in range(reader.packed())) for i in indexes}


def _geometries(block: bytes | None, indexes: list[int]) -> dict[int, int]:
    if block is None:
        return {}
    reader = _Reader(block)
    kinds = {i: reader.packed() for i in indexes}
    if any(kind >= len(GEOMETRIES) for kind in kinds.values()):
        raise MalformedEvent("a TABLE_MAP event with a geometry of no known kind")
    return kinds


def _names(block: bytes | None, count: int) -> tuple[str, ...] | None:
    if block is None:
        return None
    reader = _Reader(block)
    return tuple(reader.text(reader.packed()) for _ in range(count))


def _primary_key(fields: dict[int, bytes], count: int) -> tuple[tuple[int, int], ...]:
    reader = _Reader(fields.get(8) or fields.get(9) or b"")
    parts = []
    while reader:
        parts.append((reader.packed(), 0 if 8 in fields else reader.packed()))
    if any(index >= count for index, _ in parts):
        raise MalformedEvent("a TABLE_MAP event with a key of no column")
    return tuple(parts)


def decompress_rows(body: bytes, kind: int) -> bytes:
    """Return a compressed rows event's body as its plain twin has it (``Rows_log_event::uncompress_buf``).

    Only what follows the header and the column bitmaps is compressed; an update has two bitmaps.
    """
    reader = _Reader(body)
    reader.take(8)
    columns = reader.packed()
    reader.take((columns + 7) // 8 * (2 if kind == UPDATE else 1))
    head = len(body) - len(reader.rest())
    return body[:head] + compression.event(reader.rest())


def marker_origin(description: Description, body: bytes, kind: int) -> str:
    """Return the origin that a marker row names, its third column, in the event's newest image."""
    try:
        return own_rows(description, body, kind)[-1][2].decode()
    except (IndexError, UnicodeDecodeError):
        raise MalformedEvent("a marker row that names no origin").at(table=".".join(description.name)) from None


def own_rows(description: Description, body: bytes, kind: int) -> list[list[bytes]]:
    """Return the newest image of each row of an event about one of cdcd's own tables, values as stored.

    ``body`` is a rows event after its table id and flags, ``kind`` one of ``model.change``. The
    images must be full, which an active-active pair demands.
    """
    reader = _Reader(body)
    count = reader.packed()
    images = 2 if kind == UPDATE else 1
    if count != len(description.columns):
        raise MalformedEvent("a row of cdcd's own tables that does not fit its table")
    full = bytes((1 << min(8, count - at)) - 1 for at in range(0, count, 8))
    if any(reader.take(len(full)) != full for _ in range(images)):
        raise UnsupportedEvent(
            "a row of cdcd's own tables is not whole", hint="set binlog_row_image=FULL on both sites"
        ).at(table=".".join(description.name))
    rows = []
    while reader:
        rows.append([_image(reader, description.columns) for _ in range(images)][-1])
    return rows


def _image(reader: _Reader, columns: tuple[ColumnType, ...]) -> list[bytes]:
    """Read one full row image of the kinds of column that cdcd's own tables have."""
    nulls = reader.take((len(columns) + 7) // 8)
    values = []
    for i, column in enumerate(columns):
        if nulls[i // 8] & (1 << i % 8):
            values.append(b"")
        elif column.type in (VARCHAR, STRING):
            values.append(reader.take(reader.number(2 if column.metadata > 255 else 1)))
        elif column.type == BLOB:
            values.append(reader.take(reader.number(column.metadata)))
        elif column.type in _OWN_WIDTHS:
            values.append(reader.take(_OWN_WIDTHS[column.type]))
        else:
            raise MalformedEvent(f"a table of cdcd's own with a column of type {column.type}")
    return values


_OWN_WIDTHS = {SHORT: 2, LONG: 4, LONGLONG: 8, TIMESTAMP2: 7}
