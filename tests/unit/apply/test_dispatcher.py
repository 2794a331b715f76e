"""Batches go to the writers one after the other, and what their marks say has no holes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from cdcd.apply.dispatcher import ROWS_PER_WRITER_MIN, Dispatcher
from cdcd.errors import Conflict, Fenced
from cdcd.model.position import Gtid, Position, Progress
from cdcd.row.row_set import RowSet
from tests.fixtures.fakes import FakeTarget


@dataclass
class Partition:
    """Some transactions."""

    gtids: list[Gtid]

    @property
    def steps(self) -> list[RowSet]:
        """No rows."""
        return []

    def ordered_steps(self) -> list[RowSet]:
        """Return no rows."""
        return []

    def gtid_of(self, _step: RowSet, _at: int) -> Gtid | None:
        """Return None: there is no row to ask for."""
        return None


@dataclass
class Batch:
    """Transactions that nothing binds together, each of enough rows for a writer of its own."""

    gtids: list[Gtid]

    @property
    def row_count(self) -> int:
        """How many rows the dispatcher takes it for."""
        return ROWS_PER_WRITER_MIN * len(self.gtids)

    def partitions(self, writers: int) -> Sequence[Partition]:
        """Deal the transactions out to the writers."""
        return [Partition(self.gtids[at::writers]) for at in range(writers)]


def gtids(*sequences: int) -> list[Gtid]:
    """Return transactions of one domain and server."""
    return [Gtid(0, 1, sequence) for sequence in sequences]


def at(sequence: int) -> Progress:
    """Return the progress up to a transaction."""
    return Progress(Position(gtids(sequence)))


async def a_dispatcher(target: FakeTarget, writers: int) -> Dispatcher:
    """Return a dispatcher of a fake target."""
    return Dispatcher(
        [await target.open_writer(slot) for slot in range(writers)],
        link="forward",
        origin="east",
        epoch=1,
        batch_number=0,
        open_writer=target.open_writer,
    )


async def test_one_writers_mark_moves_the_position_past_its_batch() -> None:
    """All of the batch is in its transaction."""
    target = FakeTarget(epochs=[1])
    dispatcher = await a_dispatcher(target, 1)
    await dispatcher.apply(Batch(gtids(6, 7)), before=at(5), after=at(7), origin=None)
    assert [gtids(6, 7)] == target.committed
    assert (at(7), "east", 1) == (target.marks[0].progress, target.marks[0].origin, target.marks[0].batch)
    assert at(7).position == dispatcher.written


async def test_several_writers_marks_say_together_what_is_applied() -> None:
    """Each commits alone, so each may say of itself only what it holds."""
    target = FakeTarget(epochs=[1])
    dispatcher = await a_dispatcher(target, 3)
    await dispatcher.apply(Batch(gtids(6, 7, 8)), before=at(5), after=at(8), origin="south")
    assert [at(5).besides(gtids(slot + 6)) for slot in range(3)] == [target.marks[slot].progress for slot in range(3)]
    assert [("south", 1)] * 3 == [(mark.origin, mark.batch) for mark in target.marks.values()]
    assert at(5).position == dispatcher.written


async def test_one_writers_error_is_the_batchs() -> None:
    """What the others committed is told by their marks, and the position stays before the batch."""
    target = FakeTarget(epochs=[1], fails={1: Conflict("another row is in the way")})
    dispatcher = await a_dispatcher(target, 2)
    with pytest.raises(Conflict, match="in the way"):
        await dispatcher.apply(Batch(gtids(6, 7)), before=at(5), after=at(7), origin=None)
    assert 1 not in target.marks
    assert dispatcher.written is None


async def test_batches_are_numbered_on_whatever_they_are() -> None:
    """A number that came twice would be refused, or hide what the other holds."""
    target = FakeTarget(epochs=[1])
    dispatcher = await a_dispatcher(target, 2)
    await dispatcher.apply(Batch(gtids(6, 7)), before=at(5), after=at(7), origin=None)
    await dispatcher.move(at(8))
    writer = await dispatcher.begin(after=at(9), origin=None)
    await dispatcher.end(writer, after=at(9), origin=None)
    assert (4, 1) == (target.marks[0].batch, target.marks[1].batch)
    assert 5 == dispatcher.fence(at(9)).batch


async def test_a_later_runs_epoch_ends_this_one() -> None:
    """Nothing of it is committed any more."""
    target = FakeTarget(epochs=[1])
    dispatcher = await a_dispatcher(target, 1)
    target.epochs.append(2)
    with pytest.raises(Fenced):
        await dispatcher.move(at(6))
    assert {} == target.marks


async def test_writers_come_and_go_between_batches() -> None:
    """A reload changes their number without a new claim."""
    target = FakeTarget(epochs=[1])
    dispatcher = await a_dispatcher(target, 2)
    await dispatcher.resize(4)
    assert [0, 1, 2, 3] == [writer.slot for writer in dispatcher.writers]
    await dispatcher.resize(1)
    assert [3, 2, 1] == target.closed
