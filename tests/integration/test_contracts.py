"""What is promised of every kind of target holds for the real one and for the fake that stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from cdcd.apply.conflicts import ConflictLog
from cdcd.apply.contract import Mark, Writer
from cdcd.apply.sql.writer import Writer as SqlWriter
from cdcd.batch.net import Batch
from cdcd.checkpoint.store import Checkpoint
from cdcd.errors import Fenced, TargetLost
from cdcd.model.position import Gtid, Position, Progress
from cdcd.mysql.session import Session
from cdcd.row.plan import Plans
from tests.fixtures.fakes import FakeTarget
from tests.fixtures.sites import site

EMPTY = Batch(Plans()).partitions(1)[0]


class Target:
    """A target of some kind with one writer, and what it says is committed."""

    def __init__(self, writer: Writer, mark: Mark, kept: Callable[[], tuple[str, int, str] | None]) -> None:
        self.writer, self.mark, self.kept = writer, mark, kept

    def next(self, **changes: Any) -> Mark:
        """Return the mark of the next batch."""
        self.mark = replace(self.mark, batch=self.mark.batch + 1)
        return replace(self.mark, **changes)


@asynccontextmanager
async def fake(_server, _link) -> AsyncIterator[Target]:
    """Make a target without a server."""
    target = FakeTarget(epochs=[7])
    writer = await target.open_writer(0)

    def kept():
        mark = target.marks.get(0)
        return mark and (str(mark.progress.position), mark.batch, mark.origin)

    yield Target(writer, Mark("fake", 0, "east", Progress(Position()), 7, 0), kept)


@asynccontextmanager
async def sql(server, link) -> AsyncIterator[Target]:
    """Make a target of a server, with the link claimed."""
    session = await Session.open(site(server, "west"), TargetLost)
    try:
        await session.store_exactly()
        writer = SqlWriter(0, session, 1 << 24, ConflictLog())
        checkpoint = Checkpoint(link, "east", "west")
        control = await Session.open(site(server, "west"), TargetLost)
        await checkpoint.prepare(control)

        async def begin(_held: object) -> Progress:
            return Progress(Position())

        claim = await checkpoint.claim(control, [session.thread_id], begin, lambda _: b"DO 0")
        await control.close()
        await writer.prepare()

        def kept():
            rows = server.sql(
                f"SELECT position, batch, origin FROM cdcd.checkpoint WHERE link = '{link}' AND batch > 0"
            )
            return next(((bytes(row[0]).decode(), row[1], row[2]) for row in rows), None)

        yield Target(writer, Mark(link, 0, "east", Progress(Position()), claim.epoch, 0), kept)
    finally:
        session.abort()


@pytest.fixture(params=[fake, sql], ids=["fake", "sql"])
def open_target(request, west, database) -> Callable[[], Awaitable[Target]]:
    """Open a target of each kind."""
    return lambda: request.param(west, database)


def progress(sequence: int) -> Progress:
    """Return the progress up to a transaction."""
    return Progress(Position([Gtid(0, 1, sequence)]))


async def test_a_mark_is_committed_with_what_it_marks(open_target):
    """After a crash it is all that says what is applied."""
    async with open_target() as target:
        assert target.kept() is None
        assert 0 == await target.writer.apply(EMPTY, target.next(progress=progress(5), origin="south"))
        assert ("0-1-5", 1, "south") == target.kept()
        await target.writer.apply(EMPTY, target.next(progress=progress(6)))
        assert ("0-1-6", 2, "east") == target.kept()


async def test_a_mark_of_another_run_is_refused(open_target):
    """What a run that was taken over still has to say must not be said."""
    async with open_target() as target:
        await target.writer.apply(EMPTY, target.next(progress=progress(5)))
        for refused in (target.writer.begin, partial(target.writer.apply, EMPTY)):
            with pytest.raises(Fenced):
                await refused(target.next(progress=progress(6), epoch=target.mark.epoch - 1))
            await target.writer.rollback()
        assert ("0-1-5", 1, "east") == target.kept()


async def test_a_batch_that_is_there_is_not_begun_again(open_target):
    """Whoever tries again may not know that the first try went through."""
    async with open_target() as target:
        await target.writer.apply(EMPTY, target.next(progress=progress(5)))
        with pytest.raises(Fenced):
            await target.writer.begin(target.next(progress=progress(6), batch=target.mark.batch))
        await target.writer.rollback()
        assert ("0-1-5", 1, "east") == target.kept()


async def test_a_transaction_in_parts_is_nowhere_until_it_is_committed(open_target):
    """The rest of it may never come."""
    async with open_target() as target:
        await target.writer.begin(target.next(progress=progress(5)))
        assert 0 == await target.writer.apply_part(EMPTY)
        assert target.kept() is None
        await target.writer.rollback()
        await target.writer.begin(target.next(progress=progress(5)))
        await target.writer.apply_part(EMPTY)
        # Only at its end is it known where in the log that is.
        await target.writer.begin(target.next(progress=progress(6)))
        await target.writer.commit()
        assert ("0-1-6", target.mark.batch, "east") == target.kept()


async def test_closing_takes_back_what_is_open(open_target):
    """A link that drains has committed what it accepted; the rest is for the next run."""
    async with open_target() as target:
        await target.writer.begin(target.next(progress=progress(5)))
        await target.writer.apply_part(EMPTY)
        await target.writer.close()
        assert target.kept() is None
