"""The type of a column, whoever tells it: an event of the log, or a server's information_schema.

An event tells how values are stored. What that leaves open is taken for what another description of the column says:
sixteen bytes may be a UUID, an address or a BINARY(16), four an INET4, and the digits of FLOAT(M,D) are in no event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cdcd.model.table import Column
from cdcd.row import cell
from cdcd.row.cell import ColumnType
from cdcd.row.charset import decode, named

GEOMETRIES = (
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
)  # fmt: skip
"""Kinds of geometry, each at its number in an event (``Field::geometry_type`` of MariaDB's ``sql/field.h``)."""

_TYPE = re.compile(r"(\w+)(?: ?\(([^)']*)\))?")
_MEMBER = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "0": "\0", "t": "\t", "Z": "\x1a"}
_COMPRESSED = "COMPRESSED*/"
_INT_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_BLOB_BYTES = {"tiny": 2**8 - 1, "": 2**16 - 1, "medium": 2**24 - 1, "long": 2**32 - 1}
_BYTES_OF = {"uuid": 16, "inet6": 16, "inet4": 4}
_EVENT_INTS = {cell.TINY: "tinyint", cell.SHORT: "smallint", cell.INT24: "mediumint", cell.LONG: "int",
               cell.LONGLONG: "bigint"}  # fmt: skip
_EVENT_FLOATS = {cell.FLOAT: "float", cell.DOUBLE: "double"}
_EVENT_TIMES = {cell.YEAR: "year", cell.NEWDATE: "date", cell.DATE: "date", cell.TIME2: "time",
                cell.DATETIME2: "datetime", cell.TIMESTAMP2: "timestamp"}  # fmt: skip
_COMPRESSED_AS = {cell.BLOB: cell.BLOB_COMPRESSED, cell.VARCHAR: cell.VARCHAR_COMPRESSED}
_STORED = {
    **{name: kind for kind, name in (_EVENT_INTS | _EVENT_FLOATS | _EVENT_TIMES).items()},
    "decimal": cell.NEWDECIMAL, "bit": cell.BIT, "enum": cell.ENUM, "set": cell.SET,
    "varchar": cell.VARCHAR, "varbinary": cell.VARCHAR, "char": cell.STRING, "binary": cell.STRING, "json": cell.BLOB,
    **dict.fromkeys(_BYTES_OF, cell.STRING), **dict.fromkeys(GEOMETRIES, cell.GEOMETRY),
    **{size + kind: cell.BLOB for size in _BLOB_BYTES for kind in ("text", "blob")},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Type:
    """A column's type: two of the same values but ``shown`` hold the same values.

    ``low`` and ``high`` bound a whole number, and ``low`` is 0 for a FLOAT without a sign; ``precision`` is all digits;
    ``scale`` those after the point, of seconds too. ``length`` is the most characters of a text, or bytes of a binary
    string; ``length_sure`` what it holds whatever its characters; ``size`` the bytes for which it surely has room.
    """

    family: str
    shown: str
    low: int = 0
    high: int = 0
    precision: int = 0
    scale: int = 0
    length: int = 0
    length_sure: int = 0
    size: int = 0
    is_fixed: bool = False
    charset: str = ""
    collation: str = ""
    members: tuple[str, ...] | None = None

    @classmethod
    def of(cls, column: Column) -> Type:
        """Return the type of a column as information_schema describes it."""
        match = _TYPE.match(column.type.lower())
        numbers = [int(n) for n in match[2].split(",")] if match and match[2] else []
        shown, kind, is_unsigned = column.type, column.data_type, _is_unsigned(column)
        if kind in _INT_BITS:
            return _whole(shown, kind, is_unsigned=is_unsigned)
        if kind == "decimal":
            return _decimal(shown, numbers[0], numbers[1], is_unsigned=is_unsigned)
        if kind in ("float", "double"):
            precision, scale = numbers if len(numbers) == 2 else (0, 0)
            return _float(kind, shown, precision, scale, is_unsigned=is_unsigned)
        if kind == "bit":
            return cls("bit", shown, high=(1 << numbers[0]) - 1)
        if kind in ("time", "datetime", "timestamp"):
            return cls(kind, shown, scale=numbers[0] if numbers else 0)
        if kind in ("enum", "set"):
            return cls(kind, shown, members=members(column.type))
        if kind in ("char", "varchar", "binary", "varbinary"):
            return _string(shown, numbers[0], column.charset, column.collation, is_fixed="var" not in kind)
        if kind.endswith(("text", "blob")):
            size, is_compressed = _BLOB_BYTES[kind[:-4]], column.type.endswith(_COMPRESSED)
            return _blob(shown, size, column.charset, column.collation, is_compressed=is_compressed)
        return cls(kind, shown)

    @classmethod
    def of_event(cls, column: ColumnType, charset: str, collation: str, other: Column) -> Type:
        """Return the type of a column as an event describes it; what that leaves open is as ``other`` has it."""
        kind, metadata = column.type, column.metadata
        is_unsigned = bool(column.unsigned)
        if charset == "binary":
            charset = collation = ""
        if kind in _EVENT_INTS:
            return _whole(_EVENT_INTS[kind] + " unsigned" * is_unsigned, _EVENT_INTS[kind], is_unsigned=is_unsigned)
        if kind == cell.NEWDECIMAL:
            precision, scale = metadata >> 8, metadata & 0xFF
            return _decimal(f"decimal({precision},{scale})", precision, scale, is_unsigned=is_unsigned)
        if kind in _EVENT_FLOATS:
            return _event_float(_EVENT_FLOATS[kind], other, is_unsigned=is_unsigned)
        if kind in _EVENT_TIMES:
            return cls(_EVENT_TIMES[kind], _EVENT_TIMES[kind] + (f"({metadata})" if metadata else ""), scale=metadata)
        if kind == cell.BIT:
            return cls("bit", f"bit({metadata})", high=(1 << metadata) - 1)
        if kind in (cell.ENUM, cell.SET):
            name = "enum" if kind == cell.ENUM else "set"
            return cls(name, _shown_members(name, column, charset), members=_event_members(column, charset))
        if kind == cell.GEOMETRY:
            name = GEOMETRIES[column.geometry or 0]
            return cls(name, name)
        if kind == cell.STRING and _BYTES_OF.get(other.data_type) == metadata and not charset:
            return cls(other.data_type, other.type)
        return _event_string(column, charset, collation)


def is_stored_as(live: Column, column: ColumnType, collation: tuple[str, str] | None) -> bool:
    """Return whether an event's column may be ``live``; what the event leaves out is as ``live`` has it.

    ``collation`` is its charset and collation, where the event says that.
    """
    stored = _STORED.get(live.data_type)
    if live.type.endswith(_COMPRESSED):
        stored = _COMPRESSED_AS.get(stored or 0)
    if stored != column.type or column.nullable != live.nullable:
        return False
    declared = Type.of(live)
    if column.unsigned is None:
        column = replace(column, unsigned=_is_unsigned(live))
    if column.geometry is None and live.data_type in GEOMETRIES:
        column = replace(column, geometry=GEOMETRIES.index(live.data_type))
    told = Type.of_event(column, *(collation or (live.charset, live.collation)), live)
    if column.members is None or (told.members is None and not live.type.isascii()):
        told = replace(told, members=declared.members)
    return replace(told, shown=declared.shown) == declared


def is_compressed(column: Column) -> bool:
    """Return whether the server packs a column's values."""
    return column.type.endswith(_COMPRESSED)


def stored_as(column: Column) -> tuple[int, int] | None:
    """Return a column's storage in row images, as a cell type and its metadata; None for a type that has none.

    What the server compresses is given as the text or bytes that it is.
    """
    kind = _STORED.get(column.data_type)
    if kind is None:
        return None
    known = Type.of(column)
    if kind == cell.BLOB:
        return kind, len(f"{_BLOB_BYTES[column.data_type[:-4]]:x}") // 2 if column.data_type != "json" else 4
    if kind in (cell.VARCHAR, cell.STRING):
        return kind, _BYTES_OF.get(column.data_type, known.length * named(column.charset).width)
    if kind in (cell.ENUM, cell.SET):
        return kind, _member_bytes(kind, len(known.members or ()))
    return kind, {
        cell.FLOAT: 4,
        cell.DOUBLE: 8,
        cell.NEWDECIMAL: known.precision << 8 | known.scale,
        cell.BIT: known.high.bit_length(),
        cell.GEOMETRY: 4,
    }.get(kind, known.scale)


def _member_bytes(kind: int, count: int) -> int:
    if kind == cell.ENUM:
        return 1 if count < 256 else 2
    return 8 if count > 32 else (count + 7) // 8


def is_told_by_events(live: Column) -> bool:
    """Return whether an event tells all of a column, if it tells anything of it.

    None tells that a column is generated, and members of an ENUM may be in a charset that is not read.
    """
    if live.data_type in ("enum", "set"):
        return live.type.isascii() and not live.generated
    is_bytes = live.data_type in _BYTES_OF or (live.data_type == "binary" and Type.of(live).size in _BYTES_OF.values())
    has_digits = live.data_type in ("float", "double") and "(" in live.type
    return not (is_bytes or has_digits or live.generated)


def _is_unsigned(column: Column) -> bool:
    return "unsigned" in column.type.lower()


def _whole(shown: str, kind: str, *, is_unsigned: bool) -> Type:
    bits = _INT_BITS[kind]
    low, high = (0, (1 << bits) - 1) if is_unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)
    return Type("whole", shown, low, high)


def _decimal(shown: str, precision: int, scale: int, *, is_unsigned: bool) -> Type:
    high = int(10 ** (precision - scale)) - 1
    return Type("decimal", shown, 0 if is_unsigned else -high, high, precision, scale)


def _float(kind: str, shown: str, precision: int, scale: int, *, is_unsigned: bool) -> Type:
    return Type(kind, shown, low=0 if is_unsigned else -1, precision=precision, scale=scale)


def _string(shown: str, length: int, charset: str, collation: str, *, is_fixed: bool) -> Type:
    return Type(
        "text" if charset else "binary",
        shown,
        length=length,
        length_sure=length,
        size=length * named(charset).width,
        is_fixed=is_fixed,
        charset=charset,
        collation=collation,
    )


def _blob(shown: str, size: int, charset: str, collation: str, *, is_compressed: bool) -> Type:
    """A compressed one has room for a byte less, where a value cannot be compressed."""
    room = size - is_compressed
    family, sure = "text" if charset else "binary", room // named(charset).width
    return Type(family, shown, length=size, length_sure=sure, size=room, charset=charset, collation=collation)


def _event_float(kind: str, other: Column, *, is_unsigned: bool) -> Type:
    digits = Type.of(other) if other.data_type == kind else Type(kind, "")
    return _float(kind, kind, digits.precision, digits.scale, is_unsigned=is_unsigned)


def _event_string(column: ColumnType, charset: str, collation: str) -> Type:
    is_compressed = column.type in _COMPRESSED_AS.values()
    shown = " compressed" * is_compressed
    if column.type in (cell.BLOB, cell.BLOB_COMPRESSED):
        size = 256**column.metadata - 1
        name = next(name for name, most in _BLOB_BYTES.items() if most == size)
        shown = f"{name}{'text' if charset else 'blob'}{shown}"
        return _blob(shown, size, charset, collation, is_compressed=is_compressed)
    # A compressed VARCHAR has a byte that says how.
    length = (column.metadata - is_compressed) // named(charset).width
    is_fixed = column.type == cell.STRING
    name = ("" if is_fixed else "var") + ("char" if charset else "binary")
    return _string(f"{name}({length}){shown}", length, charset, collation, is_fixed=is_fixed)


def _event_members(column: ColumnType, charset: str) -> tuple[str, ...] | None:
    if column.members is None:
        return None
    try:
        return tuple(decode(member, charset) for member in column.members)
    except ValueError:
        return None


def _shown_members(name: str, column: ColumnType, charset: str) -> str:
    listed = _event_members(column, charset)
    return name if listed is None else f"{name}({','.join(repr(member) for member in listed)})"


def members(column_type: str) -> tuple[str, ...]:
    """Return the members of an ENUM or SET, from its COLUMN_TYPE."""
    return tuple(
        _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]) if escape[1] else "'", match)
        for match in _MEMBER.findall(column_type)
    )
