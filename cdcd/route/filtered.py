"""Schema changes that a table with a row filter cannot take: the target has only some of its rows.

Rows that change tables, or get other values in a column of the filter, would have to come to the target or leave it,
and no log says so. What a change makes of rows may also depend on those that the target lacks.
"""

from __future__ import annotations

from cdcd.model.table import TableName
from cdcd.route.where import RowFilter
from cdcd.sql.statement import SchemaChange


def refusal(change: SchemaChange, filters: dict[TableName, str]) -> tuple[TableName, str] | None:
    """Return the filtered table that the change is not exact for, and what it does there; None where there is none.

    ``filters`` are the filters of the tables that the change names. Raises ValueError for a filter that cannot be read.
    """
    if change.verb not in ("ALTER TABLE", "RENAME TABLE") or not filters:
        return None
    name = next(iter(filters))
    if len(change.objects) > 1:
        return name, "moves rows from one table to another"
    if change.effect.numbers:
        return name, "makes of each row what all rows of the source decide"
    touched = {column.lower() for column in RowFilter.parse(filters[name]).columns} & change.effect.columns
    if touched:
        return name, f"may change the values of {min(touched)}, which the filter uses"
    if change.effect.converts:
        return name, "converts all texts, which the filter may compare"
    return None
