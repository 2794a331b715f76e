"""Decide what a link does with one table: which columns go where, and how its rows may be applied.

A plan (``cdcd.row.plan``) is made once for each table as a TABLE_MAP event describes it, and rows are walked with it
in compiled code. Equality of keys is decided as the target decides it; where that cannot be told from the bytes, the
key is marked so, and the table's transactions stay together.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence

from cdcd.errors import SchemaMismatch
from cdcd.model.change import OPERATIONS, Operation
from cdcd.model.table import Column, Key, Table
from cdcd.route.conversion import is_as_fine, judge
from cdcd.route.keys import HINT, tells_apart
from cdcd.row import cell
from cdcd.row.cell import ColumnType, Description
from cdcd.row.charset import Collations
from cdcd.row.column_type import Type
from cdcd.row.key import UniqueKey
from cdcd.row.plan import Plan, Route, TargetPlan
from cdcd.row.reading import HIDDEN, charset_of, layout

RowFilter = Callable[[Sequence[object]], bool]

FOREIGN_KEY_GROUP = 1
# Collations that tell printable ASCII apart by letter alone, and charsets whose ASCII is one byte.
_ASCII_FOLDING = re.compile(
    r".*_(general|unicode|unicode_520|0900_a[is]|uca1400(_nopad)?_a[is]|general_nopad|unicode_nopad"
    r"|unicode_520_nopad|general_mysql500|general1400_as|swedish)_c[is]$"
)
_ASCII_CHARSETS = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"})
_INTEGERS = frozenset({cell.TINY, cell.SHORT, cell.INT24, cell.LONG, cell.LONGLONG})
_INTEGER_NAMES = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_DATES = frozenset({"date", "datetime", "timestamp"})


def build(
    description: Description,
    source: Table | None,
    target: Table,
    collations: Collations,
    *,
    operations: Sequence[Operation],
    row_filter: RowFilter | None,
    definition: bytes | None = None,
    allow_loss: Collection[str] = (),
) -> Plan:
    """Return the plan for one table.

    ``description`` has column names (from the event, or proven to fit it). ``source`` is the live table
    where it still is what the event describes: it tells generated columns and special types. ``definition`` is
    the target table's as its server writes it; without one, rows are not sent as events. ``allow_loss`` names columns
    of the source, as "database.table.column", whose values may change where the target's type cannot hold them.
    Raises SchemaMismatch when a change could not be carried exactly.
    """
    images = layout(description, source, collations, target)
    described, names = images.description, images.names
    types = {i: pair for i in range(len(names)) if (pair := _types(described, i, source, target, collations))}
    _check_values(described, types, allow_loss)
    columns = [_written(described, i, source, target, collations) for i in range(len(names))]
    return Plan(
        Route(
            description.name,
            target.name,
            operations=[OPERATIONS.index(operation) for operation in operations],
            row_filter=row_filter,
        ),
        images,
        _target_plan(described, source, target, collations, columns, types, definition),
    )


def _target_plan(
    description: Description,
    source: Table | None,
    target: Table,
    collations: Collations,
    columns: Sequence[Column | None],
    types: Mapping[int, tuple[Type, Type]],
    definition: bytes | None,
) -> TargetPlan:
    assert description.column_names is not None
    names = description.column_names
    row_key = _row_key(description, source, target, types)
    keys = _keys(description, source, target, collations, row_key, [column is not None for column in columns])
    if keys and keys[0] is None:
        row_key = None  # A key that the server generates is in no statement, so it tells no rows apart.
    referenced = _has_foreign_keys(target) or (source is not None and _has_foreign_keys(source))
    identical = source is not None and _is_identical(source, target)
    together = row_key is None or None in keys or _may_hold_periods(target, definition)
    return TargetPlan(
        target,
        columns=columns,
        keys=[key for key in keys if key is not None],
        row_index=row_key,
        ordered=together or referenced or _has_own_columns(target, names),
        group=_group(target, referenced=referenced, together=together),
        identical=identical,
        takes_images=definition is not None and _takes_images(description, source, target),
        splits_updates=target.has_all_references,
        defaults=[_default(name, source, target, identical=identical) for name in names],
        definition=definition,
    )


def _is_identical(source: Table, target: Table) -> bool:
    """Return whether the target defines every carried column as the source does, so that each value fits.

    A column of its own must not be one that only a strict server asks a value for.
    """
    if any(source.column(column.name) is None and _is_required(column) for column in target.columns):
        return False
    pairs = [(column, target.column(column.name)) for column in source.columns if not column.generated]
    return all(
        there is not None and (here.type, here.charset, here.nullable) == (there.type, there.charset, there.nullable)
        for here, there in pairs
    )


def _is_required(column: Column) -> bool:
    return not (column.nullable or column.generated or column.default is not None)


def _default(name: str, source: Table | None, target: Table, *, identical: bool) -> str | None:
    """Return how a row that leaves a column out gets the same value on both sides as they are; None where it may not.

    Where neither states a default, each type implies one, which a server that is not strict stores.
    """
    here, there = source.column(name) if source else None, target.column(name)
    if here is None or there is None or here.default != there.default:
        return None
    if here.default is not None:
        return "stated"
    return "implicit" if identical else None


def _takes_images(description: Description, source: Table | None, target: Table) -> bool:
    """Return whether the target may take the source's own row images.

    Both tables must have the same columns in the same order, so that each byte means the same on both sides, and
    none that is generated: the images hold the source's results. A table whose unique keys all hold NULLs is left to
    SQL: a server's applier may take the first row that another index finds there for the one (MariaDB's
    ``sql/log_event_server.cc``, ``find_row``), as it looks at the first key and not at the one that it has used.
    """
    if source is None or not description.layout or (target.keys and target.row_key is None):
        return False
    if [_storage(column) for column in source.columns] != [_storage(column) for column in target.columns]:
        return False
    is_generated = any(column.generated for column in source.columns)
    return not (is_generated or source.hidden_columns or target.hidden_columns)


def _storage(column: Column) -> tuple[object, ...]:
    return column.name.lower(), column.type, column.charset, column.collation, column.nullable


def _has_foreign_keys(table: Table) -> bool:
    return bool(table.foreign_keys) or table.is_parent


def _may_hold_periods(target: Table, definition: bytes | None) -> bool:
    """Return whether rows may exclude each other by their periods (WITHOUT OVERLAPS), which no equality tells.

    Servers before MariaDB 11.4 say so in a table's definition only. Where that is not known, it may be so of any
    key that ends in two dates.
    """
    if definition is not None:
        return b" WITHOUT OVERLAPS)" in definition
    kinds = [[column and column.data_type for column in map(target.column, key.columns)] for key in target.keys]
    return any(len(kind) > 2 and {*kind[-2:]} <= _DATES for kind in kinds)


def _has_own_columns(target: Table, names: Sequence[str]) -> bool:
    """Return whether the target has columns that the source lacks: a delete and an insert would reset them."""
    carried = {name.lower() for name in names}
    return any(not column.generated and column.name.lower() not in carried for column in target.columns)


def _group(target: Table, *, referenced: bool, together: bool) -> int:
    """Tables bound by foreign keys are one group: what one of them cascades into another is in no log."""
    if referenced:
        return FOREIGN_KEY_GROUP
    return zlib.crc32(repr(target.name).encode()) << 8 | 2 if together else 0


def _written(
    description: Description, i: int, source: Table | None, target: Table, collations: Collations
) -> Column | None:
    """Return the target's column that a column goes to, None where it is not written; raise SchemaMismatch."""
    assert description.column_names is not None
    name, column = description.column_names[i], description.columns[i]
    live, there = source.column(name) if source else None, target.column(name)
    # What the target computes itself is not written; what only the source computes is in the log like any value.
    if there.generated if there is not None else (live is not None and live.generated):
        return None
    if there is None and _is_hidden(name, column, source, target):
        return None
    if there is None:
        raise SchemaMismatch(
            f"column {name} is missing on the target table {target.name[0]}.{target.name[1]}",
            hint=f"add it there ({live.type if live else 'as on the source'}; cdcd check prints the statement), and"
            " give its rows the values that they have on the source; or leave the table out of the link",
        ).at(table=".".join(description.name))
    is_printed = (live or there).data_type in cell.PRINTED and there.charset
    if column.type in cell.CHARACTER and not is_printed and not _is_uuid(column, live, there):
        charset_of(column, live, collations, description, name)  # Text is written with its charset.
    return there


def _is_hidden(name: str, column: ColumnType, source: Table | None, target: Table) -> bool:
    """Return whether a column is the server's own: hashes of a unique key over long columns, which each side has."""
    if column.type != cell.LONGLONG or not HIDDEN.fullmatch(name) or (source and source.column(name)):
        return False
    return bool((source or target).hidden_columns)


def _is_uuid(column: ColumnType, live: Column | None, there: Column) -> bool:
    return column.type == cell.STRING and (live or there).data_type == "uuid" and column.metadata == 16


def _types(
    description: Description, i: int, source: Table | None, target: Table, collations: Collations
) -> tuple[Type, Type] | None:
    """Return a column's types on the source and on the target; None where the target lacks it or computes it alone."""
    assert description.column_names is not None
    name, column = description.column_names[i], description.columns[i]
    live, there = source.column(name) if source else None, target.column(name)
    if there is None or (there.generated and not (live and live.generated)):
        return None
    charset, collation = "", ""
    if column.collation_id is not None or (live and live.charset):
        charset, collation = charset_of(column, live, collations, description, name)
    if column.type == cell.TEXT_CELL:
        return Type("canonical", live.type if live is not None else "text"), Type.of(there)
    here = Type.of(live) if live is not None else Type.of_event(column, charset, collation, there)
    if here.family in ("enum", "set"):
        logged = Type.of_event(column, charset, collation, there)
        here = logged if logged.members is not None else here
    return here, Type.of(there)


def _check_values(
    description: Description, types: Mapping[int, tuple[Type, Type]], allow_loss: Collection[str]
) -> None:
    """Raise SchemaMismatch where a column's values would silently become others, and nobody has said that they may."""
    assert description.column_names is not None
    for i, (here, there) in types.items():
        verdict, table = judge(here, there), ".".join(description.name)
        column = f"{table}.{description.column_names[i]}"
        if verdict == "refused" and here.family in ("enum", "set"):
            raise SchemaMismatch(
                f"the members of column {description.column_names[i]} differ: {here.shown} on the source,"
                f" {there.shown} on the target",
                hint="make the target's list begin with the source's",
            ).at(table=table)
        if verdict == "refused" or (verdict == "lossy" and column not in allow_loss):
            raise SchemaMismatch(
                f"column {description.column_names[i]} is {here.shown} on the source and {there.shown} on the"
                " target, which would silently keep other values",
                hint=f'give both sides the same type, or set allow_loss = ["{column}"] on the link',
            ).at(table=table)


def _row_key(
    description: Description, source: Table | None, target: Table, types: Mapping[int, tuple[Type, Type]]
) -> Key | None:
    """Return the target's first key that tells rows apart as the source does; None when the target has no key.

    Raises SchemaMismatch when it has keys that tell rows apart, and none of them does so.
    """

    def is_fine(name: str) -> bool:
        index = _index(description, name)
        return index is not None and index in types and is_as_fine(*types[index])

    known = _known_keys(description, source)
    fine = [key for key in target.keys if tells_apart(key, known, is_fine)]
    row_key = next((key for key in target.row_keys if key in fine), None)
    if target.row_key is not None and row_key is None:
        raise _coarse(description, target.row_key, target)
    # A further key of the target's that is coarser refuses rows, and merges none: each statement sees to that.
    return row_key


def _coarse(description: Description, key: Key, target: Table) -> SchemaMismatch:
    missing = [name for name in key.columns if _index(description, name) is None]
    problem = f"the target's key ({', '.join(key.columns)}) does not tell the source's rows apart"
    if missing:
        problem = f"the target's key column {missing[0]} is not on the source"
    return SchemaMismatch(problem, hint=HINT).at(table=".".join(description.name), target=".".join(target.name))


def _known_keys(description: Description, source: Table | None) -> list[Key]:
    """Return the source's unique keys that are known."""
    assert description.column_names is not None
    keys = list(source.keys) if source else []
    if description.primary_key:
        columns = tuple(description.column_names[index] for index, _ in description.primary_key)
        keys.append(Key("PRIMARY", columns, tuple(prefix for _, prefix in description.primary_key)))
    return keys


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
    if column.type == cell.TEXT_CELL:
        return "exact" if there.collation.endswith("_bin") else "never"
    if live is None and not (column.type in _INTEGERS and there.data_type in _INTEGER_NAMES):
        return "never"  # The event is older than the table: whether the target's type rounds is not known.
    if live is not None and (live.type, live.collation) != (there.type, there.collation):
        return "never"
    if column.type in (cell.FLOAT, cell.DOUBLE):
        return "float"
    if column.type not in cell.CHARACTER or _is_uuid(column, live, there) or not there.collation:
        return "exact"
    charset, collation = charset_of(column, live, collations, description, name)
    if charset == "binary":
        return "exact"
    if charset != there.charset or collation != there.collation:
        return "never"
    if collation.endswith("_bin"):
        return "pad"
    return "ascii" if charset in _ASCII_CHARSETS and _ASCII_FOLDING.match(collation) else "never"
