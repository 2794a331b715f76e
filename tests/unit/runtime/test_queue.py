"""What the queue holds and how far it lets the reader run ahead."""

from __future__ import annotations

import asyncio

import pytest

from cdcd.binlog.transaction import Transaction
from cdcd.model.position import Gtid
from cdcd.runtime import queue
from cdcd.runtime.queue import TRANSACTION_BYTES, ChunkQueue, weight
from cdcd.source.stream import Chunk
from tests.fixtures.binlog_bytes import Log, LoggedTable

TABLE = LoggedTable({"id": "int", "v": "varchar"})


def a_chunk(rows: int = 1, transactions: int = 1) -> Chunk:
    """Return a chunk of whole transactions."""
    log = Log()
    for _ in range(transactions):
        log.commit(TABLE.insert(*((i, "x" * 50) for i in range(rows))))
    found = log.read(TABLE)
    return Chunk(found, sum(transaction.size for transaction in found), abandoned=False)


def with_parts(*parts: int) -> Chunk:
    """Return a chunk of one whole transaction, then empty parts of one that is not complete."""
    chunk = a_chunk()
    chunk.transactions += [Transaction(Gtid(0, 1, 99), 0, None, part) for part in parts]
    return chunk


async def blocked(task: asyncio.Task[None]) -> bool:
    """Return whether a task goes no further by itself."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let the reader be this many bytes ahead."""
    most = 2 * weight(a_chunk())
    monkeypatch.setattr(queue, "AHEAD_BYTES_MAX", most)
    return most


async def test_the_reader_stays_close_ahead_of_the_collector(ahead: int) -> None:
    """What is read and not merged makes no writer faster: however large the queue may be, it stays small."""
    chunks = ChunkQueue(bytes_max=1 << 30)
    for _ in range(3):
        await chunks.put(a_chunk())
    assert chunks.bytes_ahead > ahead
    reading = asyncio.create_task(chunks.room())
    assert await blocked(reading)
    taken = await chunks.get()
    await reading
    assert taken
    assert 2 * weight(taken) == chunks.bytes_ahead
    assert 3 * weight(taken) == chunks.bytes_held


@pytest.mark.usefixtures("ahead")
async def test_what_is_taken_and_not_applied_counts_for_the_whole_bound_alone() -> None:
    """Ahead is nothing once everything is taken, but the queue is full until it is applied."""
    size = weight(a_chunk())
    chunks = ChunkQueue(bytes_max=2 * size)
    for _ in range(2):
        await chunks.put(a_chunk())
        await chunks.get()
    assert (0, 2 * size) == (chunks.bytes_ahead, chunks.bytes_held)
    putting = asyncio.create_task(chunks.put(a_chunk()))
    assert await blocked(putting)
    chunks.release(size)
    await putting
    assert (size, 2 * size) == (chunks.bytes_ahead, chunks.bytes_held)


@pytest.mark.usefixtures("ahead")
async def test_a_chunk_larger_than_every_bound_passes() -> None:
    """One that could never fit would stop the link for good."""
    chunks = ChunkQueue(bytes_max=1)
    large = a_chunk(rows=1000)
    await chunks.put(large)
    assert large is await chunks.get()
    chunks.release(weight(large))
    await chunks.put(a_chunk())
    assert 1 == len(chunks)


@pytest.mark.parametrize("taken", [0, 1])
async def test_abandoned_parts_leave_no_bytes_behind(taken: int) -> None:
    """Parts that are dropped may not make the queue look full, or emptier than it is."""
    chunks = ChunkQueue(bytes_max=1 << 30)
    first, second = with_parts(0, 1), Chunk([Transaction(Gtid(0, 1, 99), 0, None, 2)], 0, abandoned=False)
    whole = weight(a_chunk())
    await chunks.put(first)
    await chunks.put(second)
    for _ in range(taken):
        await chunks.get()
    chunks.abandon()
    left = 0 if taken else whole
    kept = whole + 2 * TRANSACTION_BYTES if taken else whole
    assert (left, kept, 0 if taken else 1) == (chunks.bytes_ahead, chunks.bytes_held, len(chunks))
    if not taken:
        chunk = await chunks.get()
        assert chunk
        assert 1 == len(chunk.transactions)
    assert 0 == chunks.bytes_ahead


async def test_abandoning_wakes_a_reader_that_waits(ahead: int) -> None:
    """The reader hands on that parts are abandoned through the very queue that they fill."""
    chunks = ChunkQueue(bytes_max=1 << 30)
    await chunks.put(with_parts(*range(ahead // TRANSACTION_BYTES + 1)))
    reading = asyncio.create_task(chunks.room())
    assert await blocked(reading)
    chunks.abandon()
    await reading
    assert weight(a_chunk()) == chunks.bytes_ahead == chunks.bytes_held


@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize("drained", [False, True])
async def test_a_queue_is_not_empty_while_a_chunk_waits_to_be_added(drained: bool) -> None:
    """The stream's position is past that chunk: written as the link's, it would skip what is not applied."""
    chunks = ChunkQueue(bytes_max=1)
    assert chunks.is_empty
    await chunks.put(a_chunk())
    putting = asyncio.create_task(chunks.put(a_chunk()))
    assert await blocked(putting)
    if drained:
        putting.cancel()
        await asyncio.wait({putting})
    taken = await chunks.get()
    assert taken
    chunks.release(weight(taken))
    assert (0, 0) == (chunks.bytes_held, len(chunks))
    assert not chunks.is_empty
