"""Judge the row filters of a link: each must say something of a carried table, and of columns that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cdcd.model.table import Table, TableName
from cdcd.route.where import RowFilter, UndecidableFilter
from cdcd.runtime.precheck.problem import Problem


def check_filters(path: str, where: Mapping[str, str], tables: Mapping[TableName, Table]) -> Iterator[Problem]:
    """Yield what would stop the link at the first row of a filtered table, with a caret under the place.

    ``tables`` are the carried ones, as the source has them.
    """
    named = {".".join(name): table for name, table in tables.items()}
    for name, text in where.items():
        place = f'{path}.where."{name}"'
        if (table := named.get(name)) is None:
            yield Problem.error(place, f"the link carries no table {name}, so this filter would let everything pass")
            continue
        try:
            RowFilter.parse(text).bind(table.columns)
        except (UndecidableFilter, ValueError) as error:
            message = error.message if isinstance(error, UndecidableFilter) else str(error)
            hint = error.hint if isinstance(error, UndecidableFilter) else ""
            yield Problem.error(place, message, f"-- {hint}" if hint else "")
