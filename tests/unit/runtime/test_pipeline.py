"""A run of a link between a fake source and a fake target: what is read is applied once, in order, or the run says why.

The same is promised on real servers elsewhere; here every moment can be chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cdcd.apply.conflicts import ConflictLog
from cdcd.binlog.decoder import Decoder
from cdcd.checkpoint.witness import Witness
from cdcd.config.schema import Link
from cdcd.errors import ApplyFailed, BinlogPurged, CdcdError
from cdcd.model.position import Gtid, Position, Progress
from cdcd.row.transaction import Transaction
from cdcd.runtime.figures import Figures
from cdcd.runtime.pipeline import Pipeline, assemble
from cdcd.runtime.position_writes import PositionWrites
from cdcd.runtime.tables import Tables
from tests.fixtures.binlog_bytes import Log, LoggedTable, event, format_description
from tests.fixtures.fakes import FakeCatalog, FakeSource, FakeTarget
from tests.fixtures.links import wait_until

TABLE = LoggedTable({"id": "int", "v": "int"})
MARKER = LoggedTable({"link": "varchar", "slot": "int", "origin": "varchar"}, name=("cdcd", "checkpoint"), table_id=3)
OTHER = LoggedTable({"id": "int", "v": "int"}, name=("other", "t"), table_id=2)


class NoStatements:
    """No transaction here holds any."""

    def announce(self, transaction):
        """No link announces any."""
        raise AssertionError("an announcement")

    def concerns(self, query):
        """There is none."""
        return False

    async def check_beside(self, transaction, earlier):
        """There is none."""
        raise AssertionError("statements beside rows")

    async def take(self, transaction, dispatcher, progress):
        """There is none."""
        raise AssertionError("a statement")


@dataclass
class Run:
    """A pipeline that runs, and what is at its ends."""

    source: FakeSource
    target: FakeTarget
    pipeline: Pipeline
    task: asyncio.Task[None]

    @property
    def committed(self) -> list[Gtid]:
        """What the target has, in the order in which it was committed."""
        return [gtid for partition in self.target.committed for gtid in partition]

    async def applied(self, gtid: Gtid) -> None:
        """Wait until a transaction is, or the run has ended."""
        await wait_until(lambda: self.task.done() or gtid in self.committed)

    async def drained(self) -> None:
        """Drain it and wait for its end; raise what ended it."""
        self.pipeline.drain()
        await self.task


@asynccontextmanager
async def a_run(target: FakeTarget | None = None, **settings: Any) -> AsyncIterator[Run]:
    """Run a link from the beginning of the log, or from what the target holds."""
    facts: dict[str, Any] = {"name": "forward", "source": "east", "target": "west", "tables": ("shop.*",), "writers": 1}
    link = Link(**{**facts, **settings})
    target = target or FakeTarget()
    catalog = FakeCatalog({table.name: table.table for table in (TABLE, OTHER)})
    target.catalog = catalog

    async def begin(held):
        return held.progress if held else Progress(Position())

    claim = await target.claim(
        begin, lambda at: Witness(link.name, link.source, link.target, "", "", "", str(at.position))
    )
    source = FakeSource(claim.progress.position)
    writes = PositionWrites(0.0)
    writes.begin(source.position)
    pipeline = assemble(
        link,
        source,
        target,
        claim,
        [await target.open_writer(slot) for slot in range(link.writers)],
        Tables(link, catalog, catalog),
        NoStatements(),
        figures=Figures(),
        conflicts=ConflictLog(),
        position_writes=writes,
        clock=asyncio.get_running_loop().time,
    )
    task = asyncio.create_task(pipeline.run())
    try:
        yield Run(source, target, pipeline, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def logged(count: int, table: LoggedTable = TABLE, after: int = 0) -> list[Transaction]:
    """Return transactions of one row each."""
    log = Log(sequence=after)
    for i in range(count):
        log.commit(table.insert((after + i, i)))
    return log.unplanned()


async def test_what_is_read_is_applied_once_and_in_order():
    """However many chunks it comes in, and however many of them wait while a batch is applied."""
    async with a_run() as run:
        found = logged(30)
        for at in range(0, 30, 7):
            run.source.log(*found[at : at + 7])
        await run.applied(found[-1].gtid)
        assert [each.gtid for each in found] == run.committed
        await run.drained()
    assert str(run.source.position) == str(run.target.marks[0].progress.position) == "0-1-30"


async def test_the_next_run_goes_on_where_the_marks_say():
    """A run that is cut off leaves nothing else behind."""
    async with a_run() as run:
        run.source.log(*logged(5))
        await run.applied(Gtid(0, 1, 5))
    async with a_run(run.target) as again:
        assert "0-1-5" == str(again.source.position)
        again.source.log(*logged(5), *logged(2, after=5))
        await again.applied(Gtid(0, 1, 7))
        await again.drained()
    assert [Gtid(0, 1, n) for n in range(1, 8)] == again.committed


async def test_several_writers_leave_no_hole():
    """One of them may fail where the others do not: what each has is known by its mark."""
    async with a_run(writers=3) as run:
        run.target.fails[1] = ApplyFailed("no")
        run.source.log(*logged(1500))
        with pytest.raises(ApplyFailed):
            await run.task
    held = await run.target.held()
    assert held is not None
    assert set(run.committed) == held.progress.applied
    assert 0 < len(run.committed) < 1500
    async with a_run(run.target, writers=3) as again:
        again.source.log(*logged(1500))
        await wait_until(lambda: len(again.committed) == 1500)
        assert 1500 == len(set(again.committed))


async def test_what_is_not_carried_is_passed_over_and_counts_as_applied():
    """A position must have no holes, and tables of others no cost."""
    async with a_run() as run:
        run.source.log(*logged(2, OTHER), *logged(1, after=2))
        await run.applied(Gtid(0, 1, 3))
        assert [Gtid(0, 1, 3)] == run.committed
        run.source.log(*logged(1, OTHER, after=3))
        await wait_until(lambda: "0-1-4" == str(run.pipeline.backlog.progress.position))


async def test_while_the_target_does_not_answer_only_so_much_is_read():
    """Memory is bounded by the link's settings, whatever the source has."""
    async with a_run(batch_transactions_max=4, queue_bytes_max=2048) as run:
        run.target.gate.clear()
        for after in range(0, 100, 2):
            run.source.log(*logged(2, after=after))
        await wait_until(lambda: run.pipeline.backlog.is_full)
        read = run.source.position
        assert not run.pipeline.is_idle
        run.target.gate.set()
        await run.applied(Gtid(0, 1, 100))
        assert int(str(read).split("-")[2]) < 20
        assert [Gtid(0, 1, n) for n in range(1, 101)] == run.committed


async def test_a_drain_applies_what_was_read_and_nothing_more():
    """What comes after belongs to the next run."""
    async with a_run() as run:
        run.target.gate.clear()
        run.source.log(*logged(3))
        await wait_until(lambda: run.pipeline.backlog.applying)
        run.pipeline.drain()
        run.source.log(*logged(3, after=3))
        run.target.gate.set()
        await run.task
    assert [Gtid(0, 1, n) for n in range(1, 4)] == run.committed
    assert run.source.closed


async def test_what_came_before_an_error_of_the_source_is_applied():
    """It is whole, and may be the last that the log had."""
    async with a_run() as run:
        run.source.log(*logged(3))
        run.source.fail(BinlogPurged("gone"))
        with pytest.raises(BinlogPurged):
            await run.task
    assert [Gtid(0, 1, n) for n in range(1, 4)] == run.committed


async def test_an_error_of_a_writer_ends_the_run_with_that_error():
    """Whoever decides about trying again must see it, and not the cancellation of the others."""
    async with a_run() as run:
        run.target.fails[0] = ApplyFailed("no")
        run.source.log(*logged(3))
        with pytest.raises(ApplyFailed, match="no"):
            await run.task
    assert not run.committed


async def test_parts_are_one_transaction_on_the_target():
    """Nobody may see half of it."""
    async with a_run() as run:
        parts = Log().parts([TABLE.insert((n, n)) for n in range(4)])
        run.source.log(*parts[:-1])
        await wait_until(lambda: 4 == run.pipeline.parts.rows)
        assert not run.committed
        run.source.log(parts[-1])
        await run.applied(Gtid(0, 1, 1))
        [together] = run.target.committed
        assert {Gtid(0, 1, 1)} == set(together)


async def test_every_part_is_asked_whether_another_link_brings_it():
    """The rows that the link carries may all be in a later part than the first."""
    async with a_run(relay=True) as run:
        rows = [OTHER.insert((1, 1)), OTHER.insert((2, 2)), TABLE.insert((1, 1)), TABLE.insert((2, 2))]
        run.source.log(*Log().parts([MARKER.insert(("a", 0, "north")), *rows], relay_except={"west"}))
        await run.applied(Gtid(0, 1, 1))
        assert ["north"] == run.target.met


async def test_parts_that_are_abandoned_leave_nothing():
    """The source may have lost the rest for ever."""
    async with a_run() as run:
        parts = Log().parts([TABLE.insert((n, n)) for n in range(4)])
        run.source.log(*parts[:-1])
        await wait_until(lambda: 4 == run.pipeline.parts.rows)
        run.source.lose()
        run.source.log(*logged(1))
        await run.applied(Gtid(0, 1, 1))
        assert [[Gtid(0, 1, 1)]] == run.target.committed


async def test_parts_that_a_crash_of_the_source_cut_off_are_rolled_back_though_nothing_follows():
    """What they have locked on the target would else be locked until another transaction is carried."""
    async with a_run() as run:
        log = Log()
        log.commit(TABLE.insert((1, 1)), TABLE.insert((2, 2)))
        cut_off = log.written[: -len(event(16, bytes(8)))]
        run.source.log(*Decoder(Position(), transaction_bytes_max=1).feed(cut_off + format_description()))
        await wait_until(lambda: run.task.done() or not run.pipeline.parts.is_open)
        assert run.pipeline.parts.rows == 0
        assert str(run.source.position) == ""
        run.source.log(*logged(1))
        await run.applied(Gtid(0, 1, 1))
        assert [[Gtid(0, 1, 1)]] == run.target.committed


async def test_rows_of_many_tables_in_turn_are_counted_by_table():
    """Each part of a large transaction says which tables it has, and they are the same two again and again."""
    both = (TABLE, LoggedTable({"id": "int", "v": "int"}, name=("shop", "u"), table_id=3))
    async with a_run() as run:
        run.target.catalog.tables[both[1].name] = both[1].table
        log = Log()
        log.commit(*(table.insert((n, n)) for n in range(50) for table in both))
        parts = Decoder(Position(), transaction_bytes_max=1).feed(log.written)
        run.source.log(*parts[:-1])
        await wait_until(lambda: 100 == run.pipeline.parts.rows)
        assert [table.name for table in both] == [table.description.name for table in run.pipeline.parts.tables]


async def test_a_transaction_of_more_tables_than_plans_are_kept_of_is_carried():
    """The plans of its first tables must not be forgotten for those of its last."""
    others = [LoggedTable({"id": "int"}, name=("other", str(n)), table_id=n + 3) for n in range(10_010)]
    async with a_run() as run:
        log = Log()
        log.commit(*(other.insert((1,)) for other in others), TABLE.insert((1, 1)))
        run.source.log(*log.unplanned())
        await run.applied(Gtid(0, 1, 1))
        assert [Gtid(0, 1, 1)] == run.committed


async def test_a_reload_takes_effect_while_the_target_waits():
    """An operator who gives more memory must not have to wait for what is stuck."""
    async with a_run(queue_bytes_max=1) as run:
        run.target.gate.clear()
        run.source.log(*logged(1))
        run.source.log(*logged(1, after=1))
        await wait_until(lambda: run.pipeline.backlog.is_full)
        run.pipeline.reload(Link(**{**_facts(run.pipeline.backlog.link), "queue_bytes_max": 1 << 20}))
        await wait_until(lambda: "0-1-2" == str(run.source.position))
        run.target.gate.set()
        await run.applied(Gtid(0, 1, 2))


def _facts(link: Link) -> dict[str, Any]:
    return {name: getattr(link, name) for name in link.__struct_fields__}


async def test_a_table_that_is_not_there_stops_the_run_with_its_name():
    """Before it, everything is applied."""
    async with a_run(tables=("*.*",)) as run:
        run.target.catalog.tables.pop(OTHER.name)
        run.source.log(*logged(1), *logged(1, OTHER, after=1))
        with pytest.raises(CdcdError, match=r"other\.t"):
            await run.task
    assert [Gtid(0, 1, 1)] == run.committed
