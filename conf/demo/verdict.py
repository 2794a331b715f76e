"""Are both logs quiet, and both sides equal? Asked of the servers, past cdcd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from pymysql.cursors import SSCursor

from conf.demo.shop import DATABASE, TABLES
from tests.fixtures.mariadb import MariaDB

QUIET_SECONDS = 3.0  # Longer than heartbeat_seconds of the links: also what they write when idle would be seen.
QUIET_SECONDS_MAX = 60.0
DIFFERENCES_SHOWN = 3

Row = tuple[Any, ...]


@dataclass
class Comparison:
    """One table on both sides."""

    table: str
    rows: dict[str, int] = field(default_factory=dict)
    differences: int = 0
    first: list[str] = field(default_factory=list)


def log_ends(servers: Mapping[str, MariaDB]) -> dict[str, tuple[str, int, str]]:
    """Return where each server's log ends."""
    return {name: server.binlog_position() for name, server in servers.items()}


def wait_until_quiet(servers: Mapping[str, MariaDB], is_caught_up: Callable[[], bool]) -> bool:
    """Return True once everything is applied and no log has moved for a while; False if that takes too long.

    ``is_caught_up`` is asked again and again, at its own pace.
    """
    began = since = monotonic()
    ends = log_ends(servers)
    while monotonic() - began < QUIET_SECONDS_MAX:
        caught_up, now = is_caught_up(), log_ends(servers)
        if now != ends or not caught_up:
            since, ends = monotonic(), now
        elif monotonic() - since >= QUIET_SECONDS:
            return True
    return False


def compare(servers: Mapping[str, MariaDB]) -> list[Comparison]:
    """Compare every table of the shop, row for row and value for value."""
    return [_compare_table(servers, table, key) for table, key in TABLES.items()]


def _compare_table(servers: Mapping[str, MariaDB], table: str, key: tuple[str, ...]) -> Comparison:
    result = Comparison(table, dict.fromkeys(servers, 0))
    with ExitStack() as cursors:
        one, other = (
            (name, _count(_rows(cursors, server, table, key), name, result)) for name, server in servers.items()
        )
        for key_values, difference in _differences(one, other, len(key)):
            result.differences += 1
            if len(result.first) < DIFFERENCES_SHOWN:
                result.first.append(f"{table} {dict(zip(key, key_values, strict=True))} {difference}")
    return result


def _rows(cursors: ExitStack, server: MariaDB, table: str, key: tuple[str, ...]) -> Iterator[Row]:
    """Read all rows in key order, without holding them."""
    connection = cursors.enter_context(closing(server.connect(database=DATABASE)))
    cursor = cursors.enter_context(connection.cursor(SSCursor))
    cursor.execute(f"SELECT * FROM {table} ORDER BY {', '.join(key)}")
    return iter(cursor.fetchone, None)


def _count(rows: Iterator[Row], site: str, result: Comparison) -> Iterator[Row]:
    for row in rows:
        result.rows[site] += 1
        yield row


def _differences(
    one: tuple[str, Iterator[Row]], other: tuple[str, Iterator[Row]], key_columns: int
) -> Iterator[tuple[Row, str]]:
    """Walk two sides in key order, and yield the keys of rows that are not on both, or not the same."""
    (one_site, ones), (other_site, others) = one, other
    ours, theirs = next(ones, None), next(others, None)
    while ours or theirs:
        if ours and (not theirs or ours[:key_columns] < theirs[:key_columns]):
            yield ours[:key_columns], f"is only at {one_site}"
            ours = next(ones, None)
        elif theirs and (not ours or theirs[:key_columns] < ours[:key_columns]):
            yield theirs[:key_columns], f"is only at {other_site}"
            theirs = next(others, None)
        else:
            if ours and ours != theirs:
                yield ours[:key_columns], "is not the same on both sides"
            ours, theirs = next(ones, None), next(others, None)
