"""The columns of a table as they were when an event was logged, whatever the table is now."""

from __future__ import annotations

import re
from collections.abc import Collection

from cdcd.errors import SchemaMismatch
from cdcd.model.table import Column, Table
from cdcd.row import cell
from cdcd.row.cell import ColumnType, Description
from cdcd.row.charset import Collations
from cdcd.row.column_type import Type, is_told_by_events
from cdcd.row.reading import charset_of, complete, name_of

_FLOATS = frozenset({cell.FLOAT, cell.DOUBLE})
_COLLATED = cell.CHARACTER | {cell.ENUM, cell.SET}
_NOTHING = Column("", "", "", "", "", nullable=True, generated=False, invisible=False)


def logged_columns(
    description: Description, source: Table | None, collations: Collations, needed: Collection[str]
) -> list[Column]:
    """Return the columns of an event in its order, those that are ``needed`` exactly as the source had them.

    ``source`` is the live table where it still is what the event describes, which tells all; otherwise the event does,
    and what it does not tell of a column is never taken from another table. Raises SchemaMismatch for a needed column
    whose type or collation is not known.
    """
    if source is not None:
        names = (name_of(description, i) for i in range(len(description.columns)))
        return [column for name in names if (column := source.column(name)) is not None]
    wanted = {name.lower() for name in needed}
    described = enumerate(complete(description, None))
    return [_logged(description, i, column, collations, wanted=wanted) for i, column in described]


def has_floats(source: Table, needed: Collection[str]) -> bool:
    """Return whether a needed column may have been FLOAT(M,D), which compares with a tolerance: no event tells it."""
    columns = map(source.column, needed)
    return any(column is not None and column.data_type in ("float", "double") for column in columns)


def _logged(
    description: Description, i: int, column: ColumnType, collations: Collations, *, wanted: Collection[str]
) -> Column:
    name = name_of(description, i)
    if name.lower() not in wanted:
        return _column(name, "", "", "", column)
    charset, collation = "", ""
    if column.type in _COLLATED:
        charset, collation = charset_of(column, None, collations, description, name)
    if charset == "binary":
        charset, collation = "", ""
    logged = _column(name, Type.of_event(column, charset, collation, _NOTHING).shown, charset, collation, column)
    if column.type in _FLOATS or (logged.data_type == "binary" and not is_told_by_events(logged)):
        raise SchemaMismatch(
            f"the filter needs column {name}, whose exact type is not known: the table was altered after the event, and"
            f" no event tells {'FLOAT or DOUBLE from FLOAT(M,D)' if column.type in _FLOATS else 'BINARY from UUID'}",
            hint="let the filter decide by other columns until the link is past the ALTER, or `cdcd skip` the"
            " transaction, and then cdcd verify",
        )
    return logged


def _column(name: str, type_: str, charset: str, collation: str, column: ColumnType) -> Column:
    kind = re.match(r"\w*", type_)
    assert kind is not None
    return Column(name, type_, kind[0], charset, collation, nullable=column.nullable, generated=False, invisible=False)
