"""Verify a link: every carried table, and the rounds that let changes in flight arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from cdcd.config.schema import Link
from cdcd.errors import CdcdError, ConfigError
from cdcd.model.change import OPERATIONS
from cdcd.model.table import Column, Table, TableName
from cdcd.mysql.reader import Reader
from cdcd.mysql.schema import list_tables, read_table
from cdcd.route.rules import Rules
from cdcd.route.where import RowFilter, UndecidableFilter
from cdcd.verify.expression import can_match
from cdcd.verify.keyed import KeyedCheck
from cdcd.verify.multiset import MultisetCheck
from cdcd.verify.report import Report, TableReport
from cdcd.verify.side import NotComparable, Side

FIRST_WAIT_SHARE = 1 / 64  # Of settle_seconds; each wait is twice the one before.

Check = KeyedCheck | MultisetCheck


@dataclass(frozen=True, slots=True)
class Limits:
    """How long changes may be in flight, and how much memory a table may take."""

    settle_seconds: float = 30
    chunk_rows_max: int = 10_000
    suspects_max: int = 100_000


async def verify(link: Link, source: Reader, target: Reader, limits: Limits | None = None) -> Report:
    """Compare every table that the link carries, while it may be running.

    Raises ConfigError for a link that can't be verified, and what `Reader.fetch` raises.
    """
    limits = limits or Limits()
    pairs = await _pairs(link, source)
    reports, checks = [], []
    for name, target_name in pairs:
        report = TableReport(".".join(name), ".".join(target_name))
        reports.append(report)
        try:
            check = await _plan(link, name, target_name, (source, target), report, limits)
        except NotComparable as error:
            report.problem = str(error)
        else:
            await _timed(check.look(), report)
            checks.append(check)
    await _settle(checks, limits.settle_seconds)
    for check in checks:
        check.finish()
    return Report(link.name, reports)


async def _pairs(link: Link, source: Reader) -> list[tuple[TableName, TableName]]:
    if missing := sorted(set(OPERATIONS) - set(link.operations)):
        raise ConfigError(
            [
                f"links.{link.name}.operations: without {' and '.join(missing)} the two sides are meant to"
                " differ, so there is nothing to verify"
            ]
        )
    rules = Rules(link.tables, link.exclude, link.rename)
    names = [name for name in await list_tables(source) if rules.carries(name)]
    if not names:
        raise ConfigError([f"links.{link.name}.tables: no table of site {link.source!r} matches"])
    return [(name, rules.target_name(name)) for name in names]


async def _plan(
    link: Link,
    name: TableName,
    target_name: TableName,
    readers: tuple[Reader, Reader],
    report: TableReport,
    limits: Limits,
) -> Check:
    """Decide how to compare one table; raise NotComparable when there is no way."""
    source, target = await read_table(readers[0], name), await read_table(readers[1], target_name)
    if source is None:
        raise NotComparable("the table is gone from the source", hint="verify again")
    if target is None:
        raise NotComparable("there is no such table on the target")
    columns = _common_columns(source, target, report)
    key = _key(source, target)
    if where := link.where.get(".".join(name), ""):
        _check_filter(where, source, target)
    sides = (
        Side(readers[0], source, target, columns, key, where),
        Side(readers[1], target, source, columns, key, where),
    )
    if not key:
        return MultisetCheck(*sides, report)
    return KeyedCheck(*sides, report, chunk_rows_max=limits.chunk_rows_max, suspects_max=limits.suspects_max)


def _check_filter(text: str, source: Table, target: Table) -> None:
    """Raise NotComparable where a WHERE clause on either side would not find the rows that the link carries."""
    _bind(text, source, "source")
    if name := RowFilter.parse(text).differs(source.columns, target.columns):
        one, other = (_described(table.column(name)) for table in (source, target))
        raise NotComparable(
            f"the filter uses column {name}, which is {one} on the source and {other} on the target, where it may"
            " find other rows",
            hint="give the column the same type and collation on both sides",
        )
    _bind(text, target, "target")


def _bind(text: str, table: Table, site: str) -> None:
    try:
        RowFilter.parse(text).bind(table.columns)
    except ValueError as error:
        raise NotComparable(str(error)) from error
    except UndecidableFilter as error:
        raise NotComparable(f"on the {site}, {error.message}", hint=error.hint) from error


def _described(column: Column | None) -> str:
    return f"{column.type} {column.collation}".strip() if column else "missing"


def _common_columns(source: Table, target: Table, report: TableReport) -> list[str]:
    """Return the columns to compare, by the source's names; generated ones follow from the others."""
    columns = []
    for column in source.columns:
        other = target.column(column.name)
        if other is None:
            report.columns_not_compared.append(column.name)
        elif not (column.generated or other.generated):
            columns.append(column.name)
    report.columns_not_compared += [c.name for c in target.columns if source.column(c.name) is None]
    if not columns:
        raise NotComparable("the two tables have no column in common")
    return columns


def _key(source: Table, target: Table) -> tuple[str, ...]:
    """Return the columns that tell rows apart; none if the source has none or the target allows NULL."""
    if (key := source.row_key) is None:
        return ()
    for name in key.columns:
        column, other = source.column(name), target.column(name)
        assert column is not None
        if other is None:
            raise NotComparable(f"the target's table has no column {name!r}, part of the source's row key")
        if not can_match(column, other):
            raise NotComparable(
                f"column {name!r} of the row key is {column.type} on the source, {other.type} on the target"
            )
        if other.nullable:
            return ()
    return key.columns


async def _settle(checks: list[Check], settle_seconds: float) -> None:
    """Look again at what differs, after growing waits, until nothing does or the time is over."""
    deadline = time.monotonic() + settle_seconds
    wait = settle_seconds * FIRST_WAIT_SHARE
    while (left := deadline - time.monotonic()) > 0 and any(check.is_open for check in checks):
        await asyncio.sleep(min(wait, left))
        wait *= 2
        for check in checks:
            if check.is_open:
                await _timed(check.look_again(), check.report)


async def _timed(look: Awaitable[None], report: TableReport) -> None:
    """Run one look, add its time, and let an error say which table it was about."""
    began = time.monotonic()
    try:
        await look
    except NotComparable as error:
        report.problem = str(error)
    except CdcdError as error:
        raise error.at(table=report.table) from error.__cause__
    finally:
        report.seconds += time.monotonic() - began
