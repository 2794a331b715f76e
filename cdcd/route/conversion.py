"""What becomes of a column's values in a column of another type: one table for the plans and for the precheck.

A pair of types is *exact* where every value of the source's type is stored so that reading it back as that type
gives the same value; *checked* where a strict server refuses each value that it could not store so; *lossy* where it
stores another value and at most notes it (decimals and fractions of seconds are rounded, trailing spaces cut); and
*refused* where no value means the same (the members of an ENUM). A pair that is not known to be better is lossy.

Sources: MariaDB Knowledge Base, "Data Types" and "SQL_MODE" (strict mode); tests try every pair on a server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cdcd.model.table import Column
from cdcd.row import cell
from cdcd.row.cell import ColumnType
from cdcd.row.charset import decode

Verdict = Literal["exact", "checked", "lossy", "refused"]

_TYPE = re.compile(r"(\w+)(?: ?\(([^)']*)\))?")
_MEMBER = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "0": "\0", "t": "\t", "Z": "\x1a"}
_INT_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_BLOB_BYTES = {"tiny": 2**8 - 1, "": 2**16 - 1, "medium": 2**24 - 1, "long": 2**32 - 1}
_BYTES_OF = {"uuid": 16, "inet6": 16, "inet4": 4}
_EVENT_INTS = {cell.TINY: 8, cell.SHORT: 16, cell.INT24: 24, cell.LONG: 32, cell.LONGLONG: 64}
_EVENT_PLAIN = {
    cell.FLOAT: "float",
    cell.DOUBLE: "double",
    cell.YEAR: "year",
    cell.DATE: "date",
    cell.NEWDATE: "date",
}
_EVENT_TIMES = {cell.TIME2: "time", cell.DATETIME2: "datetime", cell.TIMESTAMP2: "timestamp"}
# The most bytes of a character, where that is not one.
_WIDTHS = {
    "utf8mb4": 4, "utf8mb3": 3, "utf8": 3, "utf16": 4, "utf16le": 4, "utf32": 4, "ucs2": 2, "gbk": 2, "gb2312": 2,
    "big5": 2, "sjis": 2, "cp932": 2, "euckr": 2, "ujis": 3, "eucjpms": 3,
}  # fmt: skip
_EVERY_CHARACTER = frozenset({"utf8mb4", "utf16", "utf16le", "utf32"})
_FLOAT_BITS, _FLOAT_DIGITS = {"float": 24, "double": 53}, {"float": 6, "double": 15}


@dataclass(frozen=True, slots=True)
class Type:
    """A column's type, whether an event or information_schema tells it.

    ``low`` and ``high`` bound a whole number; ``scale`` is digits after the point, of seconds too. ``length`` is in
    characters of a text, in bytes of a binary string; ``length_sure`` is what it holds whatever its characters.
    """

    family: str
    shown: str
    low: int = 0
    high: int = 0
    precision: int = 0
    scale: int = 0
    length: int = 0
    length_sure: int = 0
    is_fixed: bool = False
    charset: str = ""
    collation: str = ""
    members: tuple[str, ...] | None = None

    @classmethod
    def of(cls, column: Column) -> Type:
        """Return the type of a column as information_schema describes it."""
        match = _TYPE.match(column.type.lower())
        numbers = [int(n) for n in match[2].split(",")] if match and match[2] else []
        shown, kind, is_unsigned = column.type, column.data_type, "unsigned" in column.type.lower()
        if kind in _INT_BITS:
            return _whole(shown, _INT_BITS[kind], is_unsigned=is_unsigned)
        if kind == "decimal":
            return _decimal(shown, numbers[0], numbers[1], is_unsigned=is_unsigned)
        if kind in ("float", "double") and not numbers:
            return cls(kind, shown, low=0 if is_unsigned else -1)
        if kind == "bit":
            return cls("bit", shown, high=(1 << numbers[0]) - 1)
        if kind in ("time", "datetime", "timestamp"):
            return cls(kind, shown, scale=numbers[0] if numbers else 0)
        if kind in ("enum", "set"):
            return cls(kind, shown, members=members(column.type))
        if kind in ("char", "varchar", "binary", "varbinary"):
            return _string(shown, numbers[0], column.charset, column.collation, is_fixed="var" not in kind)
        if kind.endswith(("text", "blob")):
            return _blob(shown, _BLOB_BYTES[kind[:-4]], column.charset, column.collation)
        return cls(kind, shown)

    @classmethod
    def of_event(cls, column: ColumnType, charset: str, collation: str, there: Column) -> Type:
        """Return the type of a column that only an event describes, of a table that has changed since.

        Sixteen bytes may be a UUID or an address: then it is taken for what the target has, ``there``.
        """
        kind, metadata = column.type, column.metadata
        shown = f"type {kind} of the event"
        if kind in _EVENT_INTS:
            return _whole(shown, _EVENT_INTS[kind], is_unsigned=bool(column.unsigned))
        if kind == cell.NEWDECIMAL:
            return _decimal(shown, metadata >> 8, metadata & 0xFF, is_unsigned=bool(column.unsigned))
        if kind in _EVENT_PLAIN:
            return cls(_EVENT_PLAIN[kind], shown, low=0 if column.unsigned else -1)
        if kind in _EVENT_TIMES:
            return cls(_EVENT_TIMES[kind], shown, scale=metadata)
        if kind == cell.BIT:
            return cls("bit", shown, high=(1 << metadata) - 1)
        if kind in (cell.ENUM, cell.SET):
            return cls("enum" if kind == cell.ENUM else "set", shown, members=_event_members(column, charset))
        if kind == cell.GEOMETRY:
            return cls(there.data_type if there.data_type not in _FAMILIES else "geometry", shown)
        if kind == cell.STRING and _BYTES_OF.get(there.data_type) == metadata:
            return cls(there.data_type, there.type)
        charset = "" if charset == "binary" else charset
        if kind in (cell.BLOB, cell.BLOB_COMPRESSED):
            return _blob(shown, 256**metadata - 1, charset, collation)
        return _string(shown, metadata // _WIDTHS.get(charset, 1), charset, collation, is_fixed=kind == cell.STRING)


def _whole(shown: str, bits: int, *, is_unsigned: bool) -> Type:
    low, high = (0, (1 << bits) - 1) if is_unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)
    return Type("whole", shown, low, high)


def _decimal(shown: str, precision: int, scale: int, *, is_unsigned: bool) -> Type:
    high = int(10 ** (precision - scale)) - 1
    return Type("decimal", shown, 0 if is_unsigned else -high, high, precision, scale)


def _string(shown: str, length: int, charset: str, collation: str, *, is_fixed: bool) -> Type:
    family = "text" if charset else "binary"
    return Type(
        family, shown, length=length, length_sure=length, is_fixed=is_fixed, charset=charset, collation=collation
    )


def _blob(shown: str, size: int, charset: str, collation: str) -> Type:
    sure = size // _WIDTHS.get(charset, 1)
    family = "text" if charset else "binary"
    return Type(family, shown, length=size, length_sure=sure, charset=charset, collation=collation)


def _event_members(column: ColumnType, charset: str) -> tuple[str, ...] | None:
    if column.members is None:
        return None
    try:
        return tuple(decode(member, charset) for member in column.members)
    except ValueError:
        return None


def members(column_type: str) -> tuple[str, ...]:
    """Return the members of an ENUM or SET, from its COLUMN_TYPE."""
    return tuple(
        _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]) if escape[1] else "'", match)
        for match in _MEMBER.findall(column_type)
    )


def judge(here: Type, there: Type) -> Verdict:
    """Return what becomes of values of ``here`` in a column of ``there``."""
    if here.family in ("enum", "set") or there.family in ("enum", "set"):
        return _members(here, there)
    if (here.shown, here.charset) == (there.shown, there.charset):
        return "exact"
    rule = _FAMILIES.get(here.family)
    if rule is None:
        return "exact" if here.family == there.family and here.shown == there.shown else "lossy"
    return rule(here, there)


def _members(here: Type, there: Type) -> Verdict:
    """ENUM and SET values travel as numbers, so the source's members must begin the target's."""
    if here.family != there.family or there.members is None:
        return "refused"
    if here.members is None:  # The log does not name them.
        return "exact"
    return "exact" if there.members[: len(here.members)] == here.members else "refused"


def _range(here: Type, there: Type) -> Verdict:
    return "exact" if there.low <= here.low and here.high <= there.high else "checked"


def _of_whole(here: Type, there: Type) -> Verdict:
    if there.family in ("whole", "decimal") or (there.family == "bit" and here.low == 0):
        return _range(here, there)
    if there.family in _FLOAT_BITS and not (here.low and there.low == 0):
        return "exact" if max(here.high, -here.low) <= 1 << _FLOAT_BITS[there.family] else "lossy"
    return _as_text(there, max(len(str(here.low)), len(str(here.high))))


def _of_decimal(here: Type, there: Type) -> Verdict:
    if there.family == "whole" and here.scale == 0:
        return _range(here, there)
    if there.family == "decimal":
        return _range(here, there) if here.scale <= there.scale else "lossy"
    if there.family in _FLOAT_DIGITS and not (here.low and there.low == 0):
        return "exact" if here.precision <= _FLOAT_DIGITS[there.family] else "lossy"
    return _as_text(there, here.precision + 3)


def _of_float(here: Type, there: Type) -> Verdict:
    if there.family not in (here.family, "double"):
        return "lossy"
    return "exact" if there.low <= here.low else "checked"


def _of_bit(here: Type, there: Type) -> Verdict:
    return _range(here, there) if there.family in ("bit", "whole", "decimal") else "lossy"


def _of_year(_here: Type, there: Type) -> Verdict:
    if there.family in ("whole", "decimal"):
        return "exact" if there.high >= 2155 else "checked"
    return "exact" if there.family == "year" else "lossy"


def _of_date(_here: Type, there: Type) -> Verdict:
    return "exact" if there.family in ("date", "datetime") else _as_text(there, 10)


def _of_datetime(here: Type, there: Type) -> Verdict:
    if there.family == here.family:
        return "exact" if here.scale <= there.scale else "lossy"
    return _as_text(there, 26)


def _of_timestamp(here: Type, there: Type) -> Verdict:
    """Whatever is no TIMESTAMP has no time zone, so that what it shows would be the instant's in UTC."""
    return "exact" if there.family == "timestamp" and here.scale <= there.scale else "lossy"


def _of_text(here: Type, there: Type) -> Verdict:
    if there.family == "binary":
        wide = here.length * _WIDTHS.get(here.charset, 1)
        return "exact" if not there.is_fixed and wide <= there.length_sure else "lossy"
    # Spaces at the end are cut without an error: all of them by CHAR, those that find no room by the others.
    if there.family != "text" or here.length > there.length_sure or (there.is_fixed and not here.is_fixed):
        return "lossy"
    fits = here.charset == there.charset or there.charset in _EVERY_CHARACTER
    return "exact" if fits or _is_basic(here.charset, there.charset) else "checked"


def _is_basic(here: str, there: str) -> bool:
    """Return whether a charset of the basic plane takes every character of another."""
    return there in ("utf8mb3", "utf8", "ucs2") and here in ("latin1", "ascii", "utf8mb3", "utf8", "ucs2")


def _of_binary(here: Type, there: Type) -> Verdict:
    if there.family != "binary" or (there.is_fixed and (here.length != there.length or not here.is_fixed)):
        return "lossy"
    return "exact" if here.length <= there.length_sure else "checked"


def _of_bytes(here: Type, there: Type) -> Verdict:
    """A UUID or an address: as it is, or as the server prints it."""
    if there.family == here.family:
        return "exact"
    return _as_text(there, 45) if there.family == "text" else "lossy"


def _as_text(there: Type, length: int) -> Verdict:
    """Judge values that the server writes as text of at most this many characters, none of them a space at the end."""
    if there.family not in ("text", "binary") or (there.is_fixed and there.family == "binary"):
        return "lossy"
    return "exact" if length <= there.length_sure else "checked"


_FAMILIES: dict[str, Callable[[Type, Type], Verdict]] = {
    "whole": _of_whole, "decimal": _of_decimal, "float": _of_float, "double": _of_float, "bit": _of_bit,
    "year": _of_year, "date": _of_date, "time": _of_datetime, "datetime": _of_datetime, "timestamp": _of_timestamp,
    "text": _of_text, "binary": _of_binary, "uuid": _of_bytes, "inet6": _of_bytes, "inet4": _of_bytes,
}  # fmt: skip


def is_as_fine(here: Type, there: Type) -> bool:
    """Return whether values that the target calls equal are equal on the source too, so that a key merges no rows."""
    if judge(here, there) not in ("exact", "checked"):
        return False
    if here.family != "text" or there.family != "text":
        return True
    if (here.charset, here.collation) == (there.charset, there.collation):
        return True
    pads, padded = ("nopad" not in name and "_0900_" not in name for name in (here.collation, there.collation))
    return there.collation.endswith("_bin") and (pads or not padded)
