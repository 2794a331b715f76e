"""Judge the columns of a target table against the source's."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cdcd.model.table import Column, Table
from cdcd.precheck.definition import FILL, add, define, modify
from cdcd.precheck.problem import Problem
from cdcd.route.conversion import judge
from cdcd.row.column_type import Type
from cdcd.sql import quote


def check_columns(
    path: str, source: Table, target: Table, required: tuple[str, ...], allow_loss: Collection[str] = ()
) -> Iterator[Problem]:
    """Yield what keeps rows of ``source`` from fitting ``target``; ``required`` has no default there."""
    for column in source.columns:
        there = target.column(column.name)
        if there is None:
            yield from _check_missing(path, column, source, target)
        elif column.generated or there.generated:
            yield from _check_generated(path, column, there, target)
        else:
            allowed = _full(source, column.name) in allow_loss
            yield from _check_type(path, column, there, target, allowed=allowed)
    for name in required:
        if source.column(name) is None:
            text = f"column {_full(target, name)} is not on the source, must not be NULL and has no default"
            fix = f"ALTER TABLE {quote.table(target.name)} ALTER COLUMN {quote.identifier(name)} SET DEFAULT …;"
            yield Problem.error(path, text, fix)


def _check_missing(path: str, column: Column, source: Table, target: Table) -> Iterator[Problem]:
    if column.generated:
        return
    text = f"column {_full(target, column.name)} is missing on the target"
    yield Problem.error(path, text, f"ALTER TABLE {quote.table(target.name)} {add(column, source)};  -- {FILL}")


def _check_generated(path: str, column: Column, there: Column, target: Table) -> Iterator[Problem]:
    name = _full(target, column.name)
    if not there.generated:
        text = f"column {name} is computed on the source and plain on the target, where nothing would write it"
        fix = f"-- define column {name} as on the source, or drop it: {define(column)}"
        yield Problem.error(path, text, fix)
    elif not column.generated:
        text = f"column {name} is computed on the target: what the source stores in it is not carried"
        yield Problem.warning(path, text)


def _check_type(path: str, column: Column, there: Column, target: Table, *, allowed: bool) -> Iterator[Problem]:
    """Say what the plan will: what it refuses is an error, what the target may refuse a warning."""
    name = _full(target, column.name)
    here_type, there_type = _describe(column), _describe(there)
    verdict = judge(Type.of(column), Type.of(there))
    differs = f"column {name} is {here_type} on the source and {there_type} on the target"
    if verdict == "refused" and column.data_type in ("enum", "set"):
        text = f"the members of {name} are {column.type} on the source and {there.type} on the target"
        fix = f"-- make the target's list begin with the source's:\n{_modify(target, column, there)}"
        yield Problem.error(path, text, fix)
    elif verdict == "refused" or (verdict == "lossy" and not allowed):
        text = f"{differs}, which would silently keep other values"
        yield Problem.error(path, text, _modify(target, column, there))
    elif verdict != "exact" or (column.data_type, column.charset, column.collation) != (
        there.data_type,
        there.charset,
        there.collation,
    ):
        yield Problem.warning(path, f"{differs}: values may not fit", _modify(target, column, there))
    if column.nullable and not there.nullable:
        text = f"column {name} may be NULL on the source and not on the target"
        yield Problem.warning(path, text, _modify(target, column, there))


def _modify(target: Table, column: Column, there: Column) -> str:
    """Return the statement that gives the target's column the source's type and default."""
    return f"ALTER TABLE {quote.table(target.name)} {modify(there, column, default=column.default)};"


def _describe(column: Column) -> str:
    return f"{column.type} {column.collation}".strip()


def _full(table: Table, column: str) -> str:
    return f"{table.name[0]}.{table.name[1]}.{column}"
