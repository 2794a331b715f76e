"""Decide what a link does with one table: which columns go where, and how its rows may be applied.

A plan is made once for each table as a TABLE_MAP event describes it, and rows are walked with it in
compiled code. Equality of keys is decided as the target decides it; where that cannot be told from the
bytes, the key is marked so, and the table's transactions stay together.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cdcd.binlog import table_map as tm
from cdcd.binlog.keys import UniqueKey
from cdcd.binlog.rows import Plan
from cdcd.binlog.table_map import ColumnType, Description
from cdcd.errors import SchemaMismatch
from cdcd.model.charset import decode
from cdcd.model.table import Column, Key, Table

Collations = Mapping[int, tuple[str, str]]
"""Collation id to (charset, collation), as information_schema.COLLATIONS of the source has them."""

RowFilter = Callable[[Sequence[object]], bool]

FOREIGN_KEY_GROUP = 1
OPERATIONS = {"insert": 0, "update": 1, "delete": 2}
# Collations that tell printable ASCII apart by letter alone, and charsets whose ASCII is one byte.
_ASCII_FOLDING = re.compile(
    r".*_(general|unicode|unicode_520|0900_a[is]|uca1400(_nopad)?_a[is]|general_nopad|unicode_nopad"
    r"|unicode_520_nopad|general_mysql500|general1400_as|swedish)_c[is]$"
)
_ASCII_CHARSETS = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"})
_INTEGERS = frozenset({tm.TINY, tm.SHORT, tm.INT24, tm.LONG, tm.LONGLONG})
_INTEGER_NAMES = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_NOT_WRITTEN = (None, b"", None)
# As servers write the members of an ENUM or SET.
_ESCAPED = str.maketrans({"\\": "\\\\", "\0": "\\0", "\n": "\\n", "\r": "\\r"})


def build(
    description: Description,
    source: Table | None,
    target: Table,
    collations: Collations,
    *,
    operations: Sequence[str],
    row_filter: RowFilter | None,
    definition: bytes | None = None,
) -> Plan:
    """Return the plan for one table.

    ``description`` has column names (from the event, or proven to fit it). ``source`` is the live table
    where it still is what the event describes: it tells generated columns and special types. ``definition`` is
    the target table's as its server writes it; without one, rows are not sent as events.
    Raises SchemaMismatch when a change could not be carried exactly.
    """
    if description.column_names is None:
        raise SchemaMismatch("the event does not name its columns").at(table=".".join(description.name))
    names = description.column_names
    described = replace(description, columns=tuple(_complete(description, source)))
    pairs = [_pair(described, i, source, target, collations) for i in range(len(names))]
    row_key = _row_key(described, source, target)
    keys = _keys(described, source, target, collations, row_key, [pair[0] is not None for pair in pairs])
    if keys and keys[0] is None:
        row_key = None  # A key that the server generates is in no statement, so it tells no rows apart.
    referenced = _has_foreign_keys(target) or (source is not None and _has_foreign_keys(source))
    together = row_key is None or None in keys
    return Plan(
        described,
        target,
        names=names,
        columns=pairs,
        charsets=[_text_charset(described, i, source, collations) for i in range(len(names))],
        keys=[key for key in keys if key is not None],
        keyed=row_key is not None,
        ordered=together or referenced or _has_own_columns(target, names),
        together=together,
        group=_group(target, referenced=referenced, together=together),
        operations=[OPERATIONS[operation] for operation in operations],
        row_filter=row_filter,
        table_sql=_quoted_table(target),
        row_key_sql=_quoted(row_key.name) if row_key is not None else b"",
        identical=source is not None and _is_identical(source, target),
        splits_updates=target.has_all_references,
        same_defaults=source is not None and _has_same_defaults(source, target),
        replay_map=_replay_map(description, source, target) if definition is not None else None,
        definition=definition,
    )


def _is_identical(source: Table, target: Table) -> bool:
    """Return whether the target defines every carried column as the source does, so that each value fits."""
    pairs = [(column, target.column(column.name)) for column in source.columns if not column.generated]
    return all(
        there is not None and (here.type, here.charset, here.nullable) == (there.type, there.charset, there.nullable)
        for here, there in pairs
    )


def _has_same_defaults(source: Table, target: Table) -> bool:
    """Return whether a row that leaves a column out gets the same value on both sides."""
    return all((there := target.column(here.name)) is None or here.default == there.default for here in source.columns)


def _replay_map(description: Description, source: Table | None, target: Table) -> bytes | None:
    """Return the TABLE_MAP body under which the target takes the source's own row images, or None if it may not.

    Both tables must have the same columns in the same order, so that each byte means the same on both sides, and
    none that is generated: the images hold the source's results.
    """
    if source is None or [_storage(column) for column in source.columns] != [_storage(c) for c in target.columns]:
        return None
    if any(column.generated for column in source.columns):
        return None
    database, table = (name.encode() for name in target.name)
    names = bytes([len(database)]) + database + b"\0" + bytes([len(table)]) + table + b"\0"
    return bytes(8) + names + description.layout


def _storage(column: Column) -> tuple[object, ...]:
    return column.name.lower(), column.type, column.charset, column.collation, column.nullable


def _has_foreign_keys(table: Table) -> bool:
    return bool(table.foreign_keys) or table.is_parent


def _has_own_columns(target: Table, names: Sequence[str]) -> bool:
    """Return whether the target has columns that the source lacks: a delete and an insert would reset them."""
    carried = {name.lower() for name in names}
    return any(not column.generated and column.name.lower() not in carried for column in target.columns)


def _group(target: Table, *, referenced: bool, together: bool) -> int:
    """Tables bound by foreign keys are one group: what one of them cascades into another is in no log."""
    if referenced:
        return FOREIGN_KEY_GROUP
    return zlib.crc32(repr(target.name).encode()) << 8 | 2 if together else 0


def _quoted(name: str) -> bytes:
    return b"`" + name.encode().replace(b"`", b"``") + b"`"


def _quoted_table(table: Table) -> bytes:
    return _quoted(table.name[0]) + b"." + _quoted(table.name[1])


def _complete(description: Description, source: Table | None) -> list[ColumnType]:
    """Fill in what a short row metadata leaves out, from the live table."""
    assert description.column_names is not None
    columns = []
    for column, name in zip(description.columns, description.column_names, strict=True):
        live = source.column(name) if source else None
        if column.unsigned is None and column.type in tm.NUMERIC:
            if live is None:
                raise SchemaMismatch(
                    f"the sign of column {name} is not known",
                    hint="set binlog_row_metadata=FULL on the source",
                ).at(table=".".join(description.name))
            column = replace(column, unsigned="unsigned" in live.type.lower())
        columns.append(column)
    return columns


def _pair(
    description: Description, i: int, source: Table | None, target: Table, collations: Collations
) -> tuple[bytes | None, bytes, str | None]:
    """Return a column's quoted target name (None: not written), its introducer, and how it is written."""
    assert description.column_names is not None
    name, column = description.column_names[i], description.columns[i]
    live, there = source.column(name) if source else None, target.column(name)
    # What the target computes itself is not written; what only the source computes is in the log like any value.
    if there.generated if there is not None else (live is not None and live.generated):
        return _NOT_WRITTEN
    if there is None:
        raise SchemaMismatch(
            f"column {name} is missing on the target table {target.name[0]}.{target.name[1]}",
            hint=f"add it there ({live.type if live else 'as on the source'}), or leave the table out of the link",
        ).at(table=".".join(description.name))
    _check_members(description, i, live, there, collations)
    if column.type not in tm.CHARACTER:
        return _quoted(there.name), b"", None
    if _is_uuid(column, live, there):
        return _quoted(there.name), b"", "uuid"
    charset = _charset(column, live, collations, description, name)[0]
    compressed = column.type in (tm.BLOB_COMPRESSED, tm.VARCHAR_COMPRESSED)
    if charset == "binary":
        return _quoted(there.name), b"", None if compressed else "binary"
    return _quoted(there.name), b"_" + charset.encode(), None if compressed else "text"


def _is_uuid(column: ColumnType, live: Column | None, there: Column) -> bool:
    return column.type == tm.STRING and (live or there).data_type == "uuid" and column.metadata == 16


def _charset(
    column: ColumnType, live: Column | None, collations: Collations, description: Description, name: str
) -> tuple[str, str]:
    if column.collation_id is not None:
        if column.collation_id not in collations:
            raise SchemaMismatch(f"collation {column.collation_id} of column {name} is not known").at(
                table=".".join(description.name)
            )
        return collations[column.collation_id]
    if live is None:
        raise SchemaMismatch(
            f"the charset of column {name} is not known", hint="set binlog_row_metadata=FULL on the source"
        ).at(table=".".join(description.name))
    return (live.charset, live.collation) if live.charset else ("binary", "binary")


def _text_charset(description: Description, i: int, source: Table | None, collations: Collations) -> str:
    """Return the charset in which a column's text or members are logged; "" for what is no text."""
    assert description.column_names is not None
    column = description.columns[i]
    if column.type not in tm.CHARACTER | {tm.ENUM, tm.SET}:
        return ""
    if column.collation_id is not None:
        return collations.get(column.collation_id, ("", ""))[0]
    live = source.column(description.column_names[i]) if source else None
    return live.charset if live else ""


def _check_members(
    description: Description, i: int, live: Column | None, there: Column, collations: Collations
) -> None:
    """ENUM and SET values travel as numbers, so the source's members must begin the target's."""
    column = description.columns[i]
    if column.type not in (tm.ENUM, tm.SET):
        return
    kind = "enum" if column.type == tm.ENUM else "set"
    here = _declared(kind, column, collations) or (live.type if live is not None else "")
    if there.data_type != kind or (here and not there.type.startswith(here[:-1])):
        raise SchemaMismatch(
            f"the members of column {there.name} differ: {here or kind} on the source, {there.type} on the target",
            hint="make the target's list begin with the source's",
        ).at(table=".".join(description.name))


def _declared(kind: str, column: ColumnType, collations: Collations) -> str:
    """Return COLUMN_TYPE as the event's members make it; empty when the event does not tell them."""
    name = collations.get(column.collation_id or 0, ("", ""))[0]
    if column.members is None:
        return ""
    try:
        members = [decode(member, name) for member in column.members]
    except ValueError:
        return ""
    quoted = ("'" + member.translate(_ESCAPED).replace("'", "''") + "'" for member in members)
    return f"{kind}({','.join(quoted)})"


def _row_key(description: Description, source: Table | None, target: Table) -> Key | None:
    """Return the target's first key that tells the source's rows apart too; None when the target has no key.

    Raises SchemaMismatch when it has keys, and none of them does.
    """
    if target.row_key is None:
        return None
    known = _known_keys(description, source)
    present = [key for key in target.row_keys if all(_index(description, name) is not None for name in key.columns)]
    for key in present:
        columns = {name.lower() for name in key.columns}
        if known is None or any(other <= columns for other in known):
            return key
    if not present:
        missing = next(name for name in target.row_key.columns if _index(description, name) is None)
        raise SchemaMismatch(
            f"the target's key column {missing} is not on the source", hint="give both sides the same key"
        ).at(table=".".join(description.name))
    raise SchemaMismatch(
        f"the target's key ({', '.join(present[0].columns)}) does not tell the source's rows apart",
        hint="give both sides the same primary key",
    ).at(table=".".join(description.name))


def _known_keys(description: Description, source: Table | None) -> list[set[str]] | None:
    """Return the columns of the source's unique keys that are known; None when nothing says that it has any."""
    assert description.column_names is not None
    keys = [key.columns for key in source.keys if not any(key.prefixes)] if source else []
    if description.primary_key and not any(prefix for _, prefix in description.primary_key):
        keys.append(tuple(description.column_names[index] for index, _ in description.primary_key))
    if not keys and not (source and source.keys):
        return None
    return [{name.lower() for name in key} for key in keys]


def _keys(
    description: Description,
    source: Table | None,
    target: Table,
    collations: Collations,
    row_key: Key | None,
    written: list[bool],
) -> list[UniqueKey | None]:
    """Return the target's unique keys, the row key first; None stands for one that the log does not show."""
    ordered = sorted(target.keys, key=lambda key: key is not row_key)
    return [_key(key, description, source, target, collations, written) for key in ordered]


def _index(description: Description, name: str) -> int | None:
    assert description.column_names is not None
    lowered = [column.lower() for column in description.column_names]
    return lowered.index(name.lower()) if name.lower() in lowered else None


def _key(
    key: Key,
    description: Description,
    source: Table | None,
    target: Table,
    collations: Collations,
    written: list[bool],
) -> UniqueKey | None:
    parts = []
    for name, prefix in zip(key.columns, key.prefixes, strict=True):
        index = _index(description, name)
        if index is None or not written[index]:
            return None
        parts.append((index, prefix, _fold(description, index, source, target, collations)))
    return UniqueKey(parts, zlib.crc32(repr((target.name, key.name)).encode()) | 1 << 40)


def _fold(description: Description, i: int, source: Table | None, target: Table, collations: Collations) -> str:
    """Return how equality of a key column is decided: exact, float, pad, ascii or never."""
    assert description.column_names is not None
    name, column = description.column_names[i], description.columns[i]
    live, there = source.column(name) if source else None, target.column(name)
    assert there is not None
    if live is None and not (column.type in _INTEGERS and there.data_type in _INTEGER_NAMES):
        return "never"  # The event is older than the table: whether the target's type rounds is not known.
    if live is not None and (live.type, live.collation) != (there.type, there.collation):
        return "never"
    if column.type in (tm.FLOAT, tm.DOUBLE):
        return "float"
    if column.type not in tm.CHARACTER or _is_uuid(column, live, there) or not there.collation:
        return "exact"
    charset, collation = _charset(column, live, collations, description, name)
    if charset == "binary":
        return "exact"
    if charset != there.charset or collation != there.collation:
        return "never"
    if collation.endswith("_bin"):
        return "pad"
    return "ascii" if charset in _ASCII_CHARSETS and _ASCII_FOLDING.match(collation) else "never"
