"""What a link has committed on its target since an original is told, however much that is."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdcd.config.schema import Link
from cdcd.model.change import DELETE, INSERT
from cdcd.model.position import Gtid, Position, Progress
from cdcd.model.table import CHECKPOINT, TableName
from cdcd.route.announced import Announcement
from cdcd.row.cell import LONG, ColumnType, Description
from cdcd.row.transaction import TableMap, Transaction
from cdcd.runtime import crossing
from cdcd.runtime.crossing import Crossings

ROW = b"\x01\x01\x00\x07\x00\x00\x00"
DOMAIN, SERVER = 0, 2
LINK = Link("reverse", "west", "east", ("shop.*",))


def gtid(sequence: int) -> Gtid:
    """Return a transaction's id on the target."""
    return Gtid(DOMAIN, SERVER, sequence)


def table_map(name: TableName) -> TableMap:
    """Return a table of one number."""
    return TableMap(b"", Description(name, (ColumnType(LONG, 0, False),), ("id",)))


MARK, TABLES = table_map(CHECKPOINT), {name: table_map(("shop", name)) for name in ("t", "u", "v")}


def committed(sequence: int, table: str, kind: int = INSERT) -> Transaction:
    """Return what the link has committed on the target."""
    transaction = Transaction(gtid(sequence), 0, "west")
    transaction.append(MARK, 1, ROW)
    transaction.append(TABLES[table], kind, ROW)
    transaction.finish()
    return transaction


@dataclass
class Target:
    """A log, and what was read of it."""

    logged: list[Transaction] = field(default_factory=list)
    read: list[Gtid] = field(default_factory=list)

    def crossings(self, monkeypatch: pytest.MonkeyPatch) -> Crossings:
        """Return what asks this target."""
        monkeypatch.setattr(crossing, "read_again", self.read_again)
        session = SimpleNamespace(fetch=self.fetch, flavor=SimpleNamespace(log=SimpleNamespace(written_here="")))
        return Crossings(cast(Any, session), cast(Any, None), LINK, 1)

    async def fetch(self, _: str) -> list[tuple[str, int]]:
        """Return the log's end."""
        return [(str(self.logged[-1].gtid), DOMAIN)]

    async def read_again(
        self, _site: object, _link: object, _reader: int, _purpose: str, start: Progress, end: Position, *, marked: bool
    ) -> AsyncIterator[Transaction]:
        """Yield what comes after a position."""
        assert marked
        assert end.includes(self.logged[-1].gtid)
        for each in self.logged:
            if not start.position.includes(each.gtid):
                self.read.append(each.gtid)
                yield each


async def crossed(found: Crossings, original: int, *names: str, unbinds: bool = False) -> TableName | None:
    """Ask what crossed a statement on the way."""
    announcement = cast(Announcement, SimpleNamespace(gtid=gtid(original)))
    return await found.find(announcement, [("shop", name) for name in names], unbinds=unbinds)


async def test_what_was_changed_after_the_original_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each table, the last change tells, also where the question is of a later statement than the one before."""
    target = Target([committed(5, "t"), committed(6, "u", DELETE), committed(7, "t")])
    found = target.crossings(monkeypatch)
    assert ("shop", "t") == await crossed(found, 4, "t")
    assert ("shop", "t") == await crossed(found, 6, "t", "u")
    assert await crossed(found, 6, "u", "v") is None
    assert await crossed(found, 7, "t") is None


async def test_rows_that_are_gone_count_for_any_table_where_nothing_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that came do not, nor does the marker, which each transaction updates."""
    target = Target([committed(5, "u", DELETE), committed(6, "v")])
    found = target.crossings(monkeypatch)
    assert ("shop", "u") == await crossed(found, 4, "t", unbinds=True)
    assert await crossed(found, 5, "t", unbinds=True) is None


async def test_the_log_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later question reads on; one about what came before the first reads anew."""
    target = Target([committed(n, "t") for n in range(5, 9)])
    found = target.crossings(monkeypatch)
    await crossed(found, 6, "t")
    assert [gtid(7), gtid(8)] == target.read
    target.logged.append(committed(9, "u"))
    assert ("shop", "u") == await crossed(found, 8, "t", "u")
    assert [gtid(7), gtid(8), gtid(9)] == target.read
    assert ("shop", "t") == await crossed(found, 4, "t")
    assert [gtid(n) for n in range(5, 10)] == target.read[3:]


async def test_what_is_held_does_not_grow_with_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement may come millions of transactions after its original."""
    transactions = 20_000
    target = Target([committed(transactions, "t")])
    found = target.crossings(monkeypatch)

    async def read_again(*_: object, **__: object) -> AsyncIterator[Transaction]:
        for n in range(1, transactions + 1):
            yield committed(n, "t")

    monkeypatch.setattr(crossing, "read_again", read_again)
    tracemalloc.start()
    try:
        assert ("shop", "t") == await crossed(found, 0, "t")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10 * transactions
