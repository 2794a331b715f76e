"""What becomes of a column's values in a column of another type: one table for the plans and for the precheck.

A pair of types is *exact* where every value of the source's type is stored so that reading it back as that type
gives the same value; *checked* where a strict server refuses each value that it could not store so; *lossy* where it
stores another value and at most notes it (decimals and fractions of seconds are rounded, trailing spaces cut); and
*refused* where no value means the same (the members of an ENUM). A pair that is not known to be better is lossy.

Sources: MariaDB Knowledge Base, "Data Types" and "SQL_MODE" (strict mode); tests try every pair on a server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from cdcd.row.charset import named
from cdcd.row.column_type import GEOMETRIES, Type

Verdict = Literal["exact", "checked", "lossy", "refused"]

_FLOAT_BITS, _FLOAT_DIGITS = {"float": 24, "double": 53}, {"float": 6, "double": 15}


def judge(here: Type, there: Type) -> Verdict:
    """Return what becomes of values of ``here`` in a column of ``there``."""
    if here.family in ("enum", "set") or there.family in ("enum", "set"):
        return _members(here, there)
    if replace(here, shown=there.shown, collation=there.collation) == there:
        return "exact"
    rule = _FAMILIES.get(here.family)
    return rule(here, there) if rule else "lossy"


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
    if _is_float_for(here, there):
        return "exact" if max(here.high, -here.low) <= 1 << _FLOAT_BITS[there.family] else "lossy"
    return _as_text(there, max(len(str(here.low)), len(str(here.high))))


def _of_decimal(here: Type, there: Type) -> Verdict:
    if there.family == "whole" and here.scale == 0:
        return _range(here, there)
    if there.family == "decimal":
        return _range(here, there) if here.scale <= there.scale else "lossy"
    if _is_float_for(here, there):
        return "exact" if here.precision <= _FLOAT_DIGITS[there.family] else "lossy"
    return _as_text(there, here.precision + 3)


def _is_float_for(here: Type, there: Type) -> bool:
    """Return whether a whole or decimal number meets a float that has no digits set, and takes its sign."""
    return there.family in _FLOAT_BITS and not there.precision and not (here.low and there.low == 0)


def _of_float(here: Type, there: Type) -> Verdict:
    if there.family not in (here.family, "double") or (there.precision and not _has_digits_of(there, here)):
        return "lossy"
    return "exact" if there.low <= here.low else "checked"


def _has_digits_of(there: Type, here: Type) -> bool:
    """Return whether FLOAT(M,D) or DOUBLE(M,D), which rounds without a word, has all digits of another."""
    wider = here.scale <= there.scale and here.precision - here.scale <= there.precision - there.scale
    return there.family == here.family and here.precision > 0 and wider


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
        wide = here.length * named(here.charset).width
        return "exact" if not there.is_fixed and wide <= there.length_sure else "lossy"
    # Spaces at the end are cut without an error: all of them by CHAR, those that find no room by the others.
    if there.family != "text" or not _has_room(here, there) or (there.is_fixed and not here.is_fixed):
        return "lossy"
    return "exact" if here.charset == there.charset or _holds_all(there.charset, here.charset) else "checked"


def _has_room(here: Type, there: Type) -> bool:
    """Return whether every text finds room: by its characters, or in the same charset by its bytes."""
    same = here.charset == there.charset and here.length <= there.length and here.size <= there.size
    return here.length <= there.length_sure or same


def _holds_all(charset: str, of: str) -> bool:
    """Return whether a charset has every character of another."""
    there, here = named(charset).unicode, named(of).unicode
    return there == "all" or (there == "basic" and here in ("latin", "basic"))


def _of_binary(here: Type, there: Type) -> Verdict:
    if there.family != "binary" or (there.is_fixed and (here.length != there.length or not here.is_fixed)):
        return "lossy"
    return "exact" if here.length <= there.length_sure else "checked"


def _of_bytes(here: Type, there: Type) -> Verdict:
    """A UUID or an address: as it is, or as the server prints it."""
    if there.family == here.family:
        return "exact"
    return _as_text(there, 45) if there.family == "text" else "lossy"


def _of_geometry(_here: Type, there: Type) -> Verdict:
    """A server refuses a geometry of another kind than the column's."""
    if there.family == "geometry":
        return "exact"
    return "checked" if there.family in GEOMETRIES else "lossy"


def _of_canonical(_here: Type, there: Type) -> Verdict:
    """Canonical text of any length, which has no space at its end."""
    return "checked" if there.family == "text" else "lossy"


def _as_text(there: Type, length: int) -> Verdict:
    """Judge values that the server writes as text of at most this many characters, none of them a space at the end."""
    if there.family not in ("text", "binary") or (there.is_fixed and there.family == "binary"):
        return "lossy"
    return "exact" if length <= there.length_sure else "checked"


_FAMILIES: dict[str, Callable[[Type, Type], Verdict]] = {
    "whole": _of_whole, "decimal": _of_decimal, "float": _of_float, "double": _of_float, "bit": _of_bit,
    "year": _of_year, "date": _of_date, "time": _of_datetime, "datetime": _of_datetime, "timestamp": _of_timestamp,
    "canonical": _of_canonical, "text": _of_text, "binary": _of_binary,
    "uuid": _of_bytes, "inet6": _of_bytes, "inet4": _of_bytes,
    **dict.fromkeys(GEOMETRIES, _of_geometry),
}  # fmt: skip


def is_as_fine(here: Type, there: Type) -> bool:
    """Return whether values that the target calls equal are equal on the source too, so that a key merges no rows."""
    if judge(here, there) not in ("exact", "checked"):
        return False
    if here.family == "canonical":
        return there.collation.endswith("_bin")
    if here.family != "text" or there.family != "text":
        return True
    if (here.charset, here.collation) == (there.charset, there.collation):
        return True
    pads, padded = ("nopad" not in name and "_0900_" not in name for name in (here.collation, there.collation))
    return there.collation.endswith("_bin") and (pads or not padded)
