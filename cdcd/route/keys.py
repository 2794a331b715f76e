"""Whether a key of the target tells apart all rows that the source's keys do: for the plans and for the precheck.

A key that does not would merge rows: an upsert that finds a different row writes over it, without any conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cdcd.model.table import Key, Table
from cdcd.route.conversion import is_as_fine
from cdcd.row.column_type import Type

IsFine = Callable[[str], bool]
"""Whether a column's values, by its name, are equal on the target only if they are on the source."""

HINT = "give both sides the same keys, over columns of the same types and collations"


def fineness(source: Table, target: Table) -> IsFine:
    """Return the judgement of columns by two tables' definitions."""

    def is_fine(name: str) -> bool:
        here, there = source.column(name), target.column(name)
        return here is not None and there is not None and is_as_fine(Type.of(here), Type.of(there))

    return is_fine


def tells_apart(key: Key, known: Iterable[Key], is_fine: IsFine) -> bool:
    """Return whether rows that meet in ``key`` of the target must meet in a key of the source too."""
    prefixes = {name.lower(): prefix for name, prefix in zip(key.columns, key.prefixes, strict=True)}
    return any(
        all(
            name.lower() in prefixes and _is_as_long(prefixes[name.lower()], prefix) and is_fine(name)
            for name, prefix in zip(other.columns, other.prefixes, strict=True)
        )
        for other in known
    )


def _is_as_long(there: int, here: int) -> bool:
    """Compare lengths of prefixes, where 0 is the whole column."""
    return there == 0 or 0 < here <= there
