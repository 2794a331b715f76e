"""The one definition that two definitions of a column become, whichever side is looked at first.

Nothing that either side can hold is lost in it, so each side may be altered to it, and then there is no difference
to report in either direction.
"""

from __future__ import annotations

import re
from dataclasses import replace

from cdcd.model.table import Column

_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_LADDERS = (
    ("char", "varchar", "tinytext", "text", "mediumtext", "longtext"),
    ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"),
    ("float", "double"),
)
_NUMBERS = re.compile(r"\(([\d,]+)\)")
_MEMBER = re.compile(r"'((?:[^']|'')*)'")
_LENGTH_MAX = {"char": 255, "binary": 255}
_TEXT_BYTES_MAX = 16_000  # Of a VARCHAR that still leaves a row room for more.
_DIGITS_MAX, _MEMBERS_MAX = 65, {"enum": 65535, "set": 64}


def merge(one: Column, other: Column) -> Column | None:
    """Return the column that holds what either of the two holds, or None when only a human can say."""
    first, second = sorted((one, other), key=lambda column: (column.type, column.charset, column.collation))
    merged_type = _type(first, second)
    text = _text(first, second)
    if merged_type is None or text is None:
        return None
    data_type = re.match(r"\w+", merged_type)
    assert data_type is not None
    charset, collation = text
    nullable = first.nullable or second.nullable
    return replace(
        one, type=merged_type, data_type=data_type[0], charset=charset, collation=collation, nullable=nullable
    )


def members(column: Column) -> list[str]:
    """Return the members of an ENUM or SET, quotes doubled."""
    return _MEMBER.findall(column.type)


def _type(first: Column, second: Column) -> str | None:
    kinds = {first.data_type, second.data_type}
    if kinds <= set(_INTEGERS):
        return _integer(first, second)
    if len(kinds) == 1 and kinds <= {"enum", "set"}:
        return _members(first, second)
    if first.type == second.type:
        return first.type
    if kinds == {"decimal"}:
        return _decimal(first, second)
    if len(kinds) == 1 and kinds <= {"datetime", "timestamp", "time"}:
        return _longest(first.data_type, first, second)
    for ladder in _LADDERS:
        if kinds <= set(ladder):
            wider = max(kinds, key=ladder.index)
            return _longest(wider, first, second) if ladder.index(wider) < 2 and wider != "double" else wider
    return None


def _integer(first: Column, second: Column) -> str | None:
    ranks = {_is_unsigned(column): _INTEGERS.index(column.data_type) for column in (first, second)}
    zerofill = " zerofill" if "zerofill" in first.type or "zerofill" in second.type else ""
    if len(ranks) == 1:
        [unsigned] = ranks
        rank = max(_INTEGERS.index(column.data_type) for column in (first, second))
        return _INTEGERS[rank] + (" unsigned" if unsigned else "") + zerofill
    rank = max(ranks[False], ranks[True] + 1)
    return _INTEGERS[rank] if rank < len(_INTEGERS) else "decimal(20,0)"


def _is_unsigned(column: Column) -> bool:
    return "unsigned" in column.type


def _members(first: Column, second: Column) -> str | None:
    """Return a list of which each side's numbers can be read as labels again: ALTER TABLE keeps labels."""
    shorter, listed = sorted((members(first), members(second)), key=len)
    both = [*listed, *(member for member in shorter if member not in listed)]
    if len(both) > _MEMBERS_MAX[first.data_type]:
        return None
    quoted = ",".join(f"'{member}'" for member in both)
    return f"{first.data_type}({quoted})"


def _decimal(first: Column, second: Column) -> str | None:
    sizes = [_numbers(column) for column in (first, second)]
    scale = max(size[1] for size in sizes)
    digits = max(size[0] - size[1] for size in sizes) + scale
    unsigned = " unsigned" if _is_unsigned(first) and _is_unsigned(second) else ""
    return f"decimal({digits},{scale}){unsigned}" if digits <= _DIGITS_MAX else None


def _longest(data_type: str, first: Column, second: Column) -> str | None:
    length = max(_numbers(column)[0] for column in (first, second))
    if length > _LENGTH_MAX.get(data_type, _TEXT_BYTES_MAX):
        return None
    return f"{data_type}({length})"


def _numbers(column: Column) -> list[int]:
    found = _NUMBERS.search(column.type)
    return [int(number) for number in found[1].split(",")] if found else [0]


def _text(first: Column, second: Column) -> tuple[str, str] | None:
    """Return the charset and collation of both; the charset with more letters, the collation that tells more apart."""
    choices = {(column.charset, column.collation) for column in (first, second)}
    charsets = {charset for charset, _ in choices}
    if "" in charsets and len(charsets) > 1:
        return None
    if len(charsets) > 1:
        if "utf8mb4" not in charsets:
            return "utf8mb4", "utf8mb4_bin" if all(
                name.endswith("_bin") for _, name in choices
            ) else "utf8mb4_general_ci"
        choices = {choice for choice in choices if choice[0] == "utf8mb4"}
    return min(choices, key=lambda choice: (not choice[1].endswith("_bin"), choice[1]))
