"""SQL text of a comparison: what a row hashes to, how a key is read and written, which rows a range holds.

Text literals are written for a session in utf8mb4 without NO_BACKSLASH_ESCAPES, as `mysql.reader` opens it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cdcd.model.table import Column
from cdcd.sql import quote

KeyValue = int | str | bytes
RowKey = tuple[KeyValue, ...]

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})
_REALS = frozenset({"float", "double"})
_LABELS = frozenset({"enum", "set"})
_STRINGS = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_OPAQUE = _STRINGS | {"vector", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
_OPAQUE |= {"multipolygon", "geometrycollection", "geomcollection"}


def row_hash(pairs: Iterable[tuple[Column, Column]]) -> str:
    """Return the MD5 of a row: 32 hexadecimal digits; NULL where a value is too large for the server.

    Each column comes with the other side's, since what both store alike is compared as it is stored.
    """
    values = (f"IF({quote.identifier(one.name)} IS NULL, '~', {_value(one, other)})" for one, other in pairs)
    return "MD5(CONCAT(" + ", '#', ".join(values) + "))"


def _value(column: Column, other: Column) -> str:
    """Return what a column's value is hashed as: never a text that holds ``#`` or is ``~``."""
    name = quote.identifier(column.name)
    if column.data_type in _LABELS and column.type == other.type:
        # Number 0, what was no member, reads as a member that is empty.
        return f"CAST({name} AS UNSIGNED)"
    if column.charset and column.charset == other.charset:
        return f"MD5({name})"  # Some charsets have two codes for one character of Unicode, and codes for none.
    if column.charset or column.data_type == "json":
        return f"MD5(CONVERT({name} USING utf8mb4))"
    if column.data_type in _OPAQUE:
        return f"MD5({name})"
    if column.data_type == "bit":
        return f"CAST({name} AS UNSIGNED)"
    if column.data_type in _REALS:
        # Zeros compare and print alike whatever their sign.
        return f"IF({name} = 0 AND ATAN2({name}, -1.0e0) < 0, '-0', {name} + 0.0e0)"
    return f"{name} + 0" if "zerofill" in column.type else f"CAST({name} AS CHAR)"


def key_value(column: Column) -> str:
    """Return the expression whose value is the column's part of a row's key, as :func:`literal` takes it."""
    name = quote.identifier(column.name)
    if column.data_type in _LABELS or column.data_type == "bit":
        return f"CAST({name} AS UNSIGNED)"
    return f"{name} + 0.0e0" if column.data_type in _REALS else name


def literal(column: Column, value: KeyValue) -> str:
    """Write one key value so that it compares with its column by the column's own rules, index included."""
    if isinstance(value, bytes):
        return quote.binary(value)
    if isinstance(value, int) or column.data_type == "decimal":
        return str(value)
    if column.data_type in _REALS:
        return value if "e" in value else f"{value}e0"
    if column.charset:
        return f"CONVERT({quote.text(value)} USING {column.charset}) COLLATE {column.collation}"
    return quote.text(value)


def beyond(columns: Sequence[Column], key: RowKey) -> str:
    """Return the condition for rows after ``key`` in key order."""
    return _bounded(columns, key, ">", ">")


def up_to(columns: Sequence[Column], key: RowKey) -> str:
    """Return the condition for rows before ``key`` in key order, and for its own."""
    return _bounded(columns, key, "<", "<=")


def _bounded(columns: Sequence[Column], key: RowKey, strict: str, last: str) -> str:
    """Spell ``(a, b) > (x, y)`` as ``a >= x AND (a > x OR a = x AND b > y)``, which uses an index."""
    names = [quote.identifier(column.name) for column in columns]
    values = [literal(column, value) for column, value in zip(columns, key, strict=True)]
    cases = []
    for depth, (name, value) in enumerate(zip(names, values, strict=True)):
        same = [f"{names[i]} = {values[i]}" for i in range(depth)]
        comparison = last if depth == len(names) - 1 else strict
        cases.append(" AND ".join([*same, f"{name} {comparison} {value}"]))
    if len(cases) == 1:
        return cases[0]
    return f"{names[0]} {strict}= {values[0]} AND ({' OR '.join(cases)})"


def any_of(columns: Sequence[Column], keys: Iterable[RowKey]) -> str:
    """Return the condition for rows that have one of ``keys``."""
    if len(columns) == 1:
        values = ", ".join(literal(columns[0], key[0]) for key in keys)
        return f"{quote.identifier(columns[0].name)} IN ({values})"
    return " OR ".join(_equal(columns, key) for key in keys)


def _equal(columns: Sequence[Column], key: RowKey) -> str:
    pairs = zip(columns, key, strict=True)
    return "(" + " AND ".join(f"{quote.identifier(c.name)} = {literal(c, value)}" for c, value in pairs) + ")"


def can_match(one: Column, other: Column) -> bool:
    """Return whether equal key values of two columns are read as the same Python value."""
    return one.type == other.type or _kind(one) == _kind(other) != ""


def _kind(column: Column) -> str:
    if column.data_type in _LABELS:
        return ""
    if column.charset:
        return "text"
    groups = {"integer": _INTEGERS, "real": _REALS, "bytes": _STRINGS}
    return next((kind for kind, types in groups.items() if column.data_type in types), "")


def same_order(one: Column, other: Column) -> bool:
    """Return whether two columns that :func:`can_match` also sort alike, and call the same values equal."""
    return one.collation == other.collation
