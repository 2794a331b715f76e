"""What is promised of a target's claims and tables holds for the real one and for the fake that stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cdcd.apply.contract import Mark, Target
from cdcd.apply.sql.target import SqlTarget
from cdcd.batch.net import Batch
from cdcd.checkpoint.store import Checkpoint, Claim, Held
from cdcd.checkpoint.witness import Witness
from cdcd.errors import CheckpointLost, Fenced
from cdcd.model.position import Gtid, Position, Progress
from cdcd.row.plan import Plans
from tests.fixtures.binlog_bytes import LoggedTable
from tests.fixtures.fakes import FakeTarget
from tests.fixtures.sites import site

EMPTY = Batch(Plans()).partitions(1)[0]
OpenRun = Callable[[], Awaitable[Target]]


@pytest.fixture(params=["fake", "sql"])
async def open_run(request: pytest.FixtureRequest, west, database: str) -> AsyncIterator[OpenRun]:
    """Open a run's connections to one target, of each kind, where a table ``t`` is."""
    west.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)", database=database)
    place = FakeTarget()
    table = LoggedTable({"id": "int", "v": "int"}, name=(database, "t"))
    place.catalog.tables[table.name] = table.table
    async with AsyncExitStack() as stack:

        async def open_one() -> Target:
            target: Target = place.another_run()
            if request.param == "sql":
                target = await SqlTarget.open(site(west, "west"), Checkpoint(database, "east", "west"))
            stack.callback(target.close)
            return target

        yield open_one


def at(sequence: int) -> Progress:
    """Return the progress up to a transaction."""
    return Progress(Position([Gtid(0, 1, sequence)]))


def mark(database: str, claim: Claim, sequence: int) -> Mark:
    """Return the mark of the batch after a claim, which leads up to a transaction."""
    return Mark(database, 0, "east", at(sequence), claim.epoch, claim.batch + 1)


async def claimed(target: Target, database: str, found: list[Held | None] | None = None) -> Claim:
    """Claim the link, to go on where it is, or at a first transaction; put what is held into ``found``."""

    async def begin(held: Held | None) -> Progress:
        if found is not None:
            found.append(held)
        return held.progress if held is not None else at(1)

    return await target.claim(begin, lambda progress: noted(database, progress))


def noted(database: str, progress: Progress) -> Witness:
    """Return what is noted of a claim."""
    return Witness(database, "east", "west", "e", "w", "{}", str(progress.position))


async def test_a_first_claim_finds_nothing(open_run: OpenRun, database: str) -> None:
    """Only then may a link begin where its configuration says."""
    found: list[Held | None] = []
    target = await open_run()
    assert await _held_is_nothing(target)
    await target.open_writer(0)
    claim = await claimed(target, database, found)
    assert [None] == found
    assert "0-1-1" == str(claim.progress.position)
    await target.check()


async def _held_is_nothing(target: Target) -> bool:
    return await target.held() is None


async def test_a_later_claim_is_told_what_the_earlier_run_applied(open_run: OpenRun, database: str) -> None:
    """It goes on there, and nowhere else."""
    first = await open_run()
    found: list[Any] = []
    writer = await first.open_writer(0)
    claim = await claimed(first, database)
    await writer.apply(EMPTY, mark(database, claim, 7))
    second = await open_run()
    await second.open_writer(0)
    later = await claimed(second, database, found)
    assert ["0-1-7"] == [str(held.progress.position) for held in found]
    assert later.epoch > claim.epoch
    assert later.batch == claim.batch + 1


async def test_a_later_claim_fences_the_earlier_run(open_run: OpenRun, database: str) -> None:
    """Two runs that both write would apply the same changes twice."""
    first, second = await open_run(), await open_run()
    writer = await first.open_writer(0)
    claim = await claimed(first, database)
    await second.open_writer(0)
    await claimed(second, database)
    with pytest.raises(Fenced):
        await first.check()
    with pytest.raises(Fenced):
        await writer.apply(EMPTY, mark(database, claim, 7))
    await writer.rollback()
    with pytest.raises(Fenced):
        await first.open_writer(1)
    await second.check()


async def test_a_claim_that_is_refused_changes_nothing(open_run: OpenRun, database: str) -> None:
    """Whoever decides where to go on may find that nobody knows; the run that has the link goes on."""
    first, second = await open_run(), await open_run()
    writer = await first.open_writer(0)
    claim = await claimed(first, database)

    async def refuse(_held: Held | None) -> Progress:
        raise CheckpointLost("nobody knows")

    await second.open_writer(0)
    with pytest.raises(CheckpointLost):
        await second.claim(refuse, lambda progress: noted(database, progress))
    second.close()
    await first.check()
    await writer.apply(EMPTY, mark(database, claim, 7))


async def test_a_claim_is_noted(open_run: OpenRun, database: str) -> None:
    """So that a checkpoint that is gone is no new beginning."""
    target = await open_run()
    await target.open_writer(0)
    await claimed(target, database)
    assert [noted(database, at(1))] == [each for each in await target.witnesses() if each.link == database]


async def test_a_writer_that_is_opened_later_joins_the_claim(open_run: OpenRun, database: str) -> None:
    """A reload may ask for more of them."""
    target = await open_run()
    await target.open_writer(0)
    claim = await claimed(target, database)
    second = await target.open_writer(1)
    await second.apply(EMPTY, Mark(database, 1, "east", at(8), claim.epoch, claim.batch + 1))


async def test_the_catalog_knows_what_is_there(open_run: OpenRun, database: str) -> None:
    """Rows for a table that is not there must have nowhere to go."""
    target = await open_run()
    found: Any = await target.catalog.table((database, "t"))
    assert ["id", "v"] == [column.name for column in found[0].columns]
    assert found[1].startswith(b"CREATE TABLE")
    assert await target.catalog.table((database, "u")) is None
