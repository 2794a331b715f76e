"""The bounded queue between reading and applying."""

from __future__ import annotations

import asyncio
from collections import deque

from cdcd.source.stream import Chunk

# What a transaction costs besides its rows: a bound in bytes must hold for a million empty ones too.
TRANSACTION_BYTES = 512
# Read ahead of what is collected. More would not make the writers faster, and takes memory.
AHEAD_BYTES_MAX = 4 * 1024 * 1024


class ChunkQueue:
    """Chunks accepted and not yet applied, bounded by their bytes.

    A chunk counts until it has been *applied*, not until it is taken, so the bound holds for the whole way
    to the target. One chunk always fits: the queue is never empty and full at once.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self.bytes_ahead = 0  # of chunks that are not taken yet
        self._offered = False  # a chunk waits to be added
        self._chunks: deque[Chunk] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None

    async def room(self) -> None:
        """Wait until it makes sense to read another chunk."""
        while self.bytes_ahead > AHEAD_BYTES_MAX:
            await self._wait()

    async def put(self, chunk: Chunk) -> None:
        """Add a chunk, waiting until it fits."""
        size = weight(chunk)
        self._offered = True  # And stays so if the wait is cancelled: what was read is not applied.
        while self.bytes_held and self.bytes_held + size > self.bytes_max:
            await self._wait()
        self.bytes_held += size
        self.bytes_ahead += size
        self._chunks.append(chunk)
        self._offered = False
        self._changed.set()

    async def get(self) -> Chunk | None:
        """Return the next chunk, or None once the queue is closed and empty; raise what it was closed with."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._closed:
                return None
            await self._wait()
        chunk = self._chunks.popleft()
        self.bytes_ahead -= weight(chunk)
        self._changed.set()
        return chunk

    def release(self, size: int) -> None:
        """Say that this many bytes have been applied."""
        self.bytes_held -= size
        self._changed.set()

    def abandon(self) -> None:
        """Drop the parts at the end whose transaction will not be completed."""
        while self._chunks and (transactions := self._chunks[-1].transactions) and not transactions[-1].complete:
            dropped = transactions.pop().size + TRANSACTION_BYTES
            self._chunks[-1].size_bytes -= dropped - TRANSACTION_BYTES
            self.bytes_ahead -= dropped
            self.release(dropped)
            if not transactions:
                self._chunks.pop()

    def close(self, error: BaseException | None = None) -> None:
        """Take no more; what is in it is still handed out, then ``error`` is raised."""
        self._closed = True
        self._error = self._error or error
        self._changed.set()

    @property
    def is_empty(self) -> bool:
        """Whether everything that was read has been applied."""
        return not self._offered and self.bytes_held == 0 and not self._chunks

    def __len__(self) -> int:
        """How many chunks wait to be taken."""
        return len(self._chunks)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def weight(chunk: Chunk) -> int:
    """Return how many bytes a chunk counts for."""
    return chunk.size_bytes + TRANSACTION_BYTES * len(chunk.transactions)
