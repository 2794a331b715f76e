"""How the cells of a row image are stored: the types of columns, with MariaDB's numbers for them.

Types: MariaDB's ``include/mysql_com.h``, ``enum_field_types``; metadata: ``sql/log_event.h``, the TABLE_MAP event.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TINY, SHORT, LONG, FLOAT, DOUBLE, TIMESTAMP, LONGLONG, INT24, DATE, TIME, DATETIME, YEAR = (
    1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13,
)  # fmt: skip
NEWDATE, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = 14, 15, 16, 17, 18, 19
BLOB_COMPRESSED, VARCHAR_COMPRESSED = 140, 141
JSON, NEWDECIMAL, ENUM, SET = 245, 246, 247, 248
TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING, GEOMETRY = 249, 250, 251, 252, 253, 254, 255

TEXT_CELL = 1000
"""No type of any log: a value as canonical text in UTF-8, after four bytes of length (``row.writer``)."""

NUMERIC = frozenset({TINY, SHORT, INT24, LONG, LONGLONG, FLOAT, DOUBLE, NEWDECIMAL, YEAR})
CHARACTER = frozenset({VARCHAR, VAR_STRING, STRING, BLOB, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB_COMPRESSED,
                       VARCHAR_COMPRESSED})  # fmt: skip
PRINTED = frozenset({"uuid", "inet6", "inet4"})
"""Types of MariaDB's that are logged as fixed-length bytes, and printed as text of their own."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """How one column is stored in row images.

    ``metadata`` by type: the length of a text or of its length prefix, digits of fractional seconds,
    precision << 8 | scale of a DECIMAL, bits of a BIT, bytes of an ENUM or SET.
    ``unsigned``, ``collation_id``, ``members`` and ``geometry`` are None when the event does not say; the last is the
    number of a kind (``column_type.GEOMETRIES``).
    """

    type: int
    metadata: int
    nullable: bool
    unsigned: bool | None = None
    collation_id: int | None = None
    members: tuple[bytes, ...] | None = None
    geometry: int | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """A table as the event describes it.

    ``column_names`` is None, and ``primary_key`` empty, unless binlog_row_metadata is FULL. The key is given as
    (column, prefix length), where 0 is the whole column. ``layout`` is the event's body after the names.
    """

    name: tuple[str, str]
    columns: tuple[ColumnType, ...]
    column_names: tuple[str, ...] | None
    primary_key: tuple[tuple[int, int], ...] = ()
    layout: bytes = field(default=b"", repr=False, compare=False)
