"""Judge what a link's file says of tables and columns against those that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cdcd.config.schema import Link
from cdcd.model.table import Table, TableName
from cdcd.precheck.problem import Problem
from cdcd.precheck.server import Server
from cdcd.route.where import RowFilter, UndecidableFilter


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


def check_case(path: str, link: Link, source: Server) -> Iterator[Problem]:
    """Yield the rules that never match, since the source logs its tables' names in lower case."""
    if source.variables.get("lower_case_table_names") != "1":
        return
    for key, rules in (("tables", link.tables), ("exclude", link.exclude), ("rename", tuple(link.rename))):
        for rule in rules:
            if rule != rule.lower():
                text = (
                    f"{source.site.name} stores the names of tables in lower case (lower_case_table_names = 1), so"
                    f" {rule!r} matches none"
                )
                yield Problem.error(f"{path}.{key}", text, f'{path}.{key}: "{rule.lower()}"')
