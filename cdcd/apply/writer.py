"""One connection to the target: apply a share as one target transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from cdcd.apply.careful import Careful, explain
from cdcd.apply.statement import Statement, render
from cdcd.binlog.rows import RowSet
from cdcd.errors import Fenced, ServerError, TargetBusy
from cdcd.mysql.session import Session

log = structlog.get_logger()

# A packet of a few statements: large enough that round trips are rare, small enough to stay in the caches.
PACKET_BYTES = 1024 * 1024
BUSY_TRIES_MAX = 20
FOREIGN_KEYS_OFF, FOREIGN_KEYS_ON = b"SET foreign_key_checks=0", b"SET foreign_key_checks=1"


class Share(Protocol):
    """What a writer applies as one target transaction (``batch.net.Share``)."""

    @property
    def steps(self) -> list[RowSet]:
        """Net changes, in the order in which they must be applied."""

    def ordered_steps(self) -> list[RowSet]:
        """Every change in source order, none merged."""


@dataclass(slots=True)
class WriterStats:
    """What one writer has done; read by ``observe``."""

    seconds_busy: float = 0.0
    statements: int = 0
    retries: int = 0
    careful: int = 0


class _ContradictedError(Exception):
    """The target refuses a statement of many changes, or its rows are not what they expect.

    The share is run again carefully, which decides the conflict, or finds the one change that is refused.
    """


class Writer:
    """Applies shares, one at a time. ``slot`` is its row in ``cdcd.checkpoint``."""

    def __init__(self, slot: int, session: Session, packet_bytes_max: int) -> None:
        self.slot = slot
        self.session = session
        self.stats = WriterStats()
        self._packet_bytes = min(PACKET_BYTES, packet_bytes_max // 2)
        self._packet_bytes_max = packet_bytes_max

    async def apply(self, share: Share, marker: bytes) -> int:
        """Apply a share and commit; return how many conflicts were met.

        Raises Fenced, Conflict, ApplyFailed, TargetLost; TargetBusy after many tries.
        """
        for attempt in range(BUSY_TRIES_MAX):
            try:
                return await self._apply_once(share, marker)
            except TargetBusy as error:
                await self._undo(b"ROLLBACK")
                self.stats.retries += 1
                log.info("share_retried", slot=self.slot, error=error.message, attempt=attempt + 1)
                await asyncio.sleep(min(2.0, 0.01 * 2**attempt))
        raise TargetBusy("the target kept rolling the transaction back").at(tries=BUSY_TRIES_MAX)

    async def _apply_once(self, share: Share, marker: bytes) -> int:
        try:
            conflicts = await self._run(share.steps, [b"BEGIN", marker])
        except _ContradictedError as contradiction:
            await self._undo(b"ROLLBACK")
            await self._begin(marker)
            conflicts = await self._run_carefully(share, contradiction)
        await self.session.execute("COMMIT")
        return conflicts

    async def begin(self, marker: bytes) -> None:
        """Open the target transaction of a source transaction that comes in parts."""
        await self._begin(marker)

    async def apply_part(self, share: Share) -> int:
        """Apply one part inside the open target transaction."""
        await self.session.execute("SAVEPOINT part")
        try:
            return await self._run(share.steps, [])
        except _ContradictedError as contradiction:
            await self._undo(b"ROLLBACK TO part")
            return await self._run_carefully(share, contradiction)

    async def commit(self) -> None:
        """Commit the open target transaction."""
        await self.session.execute("COMMIT")

    async def rollback(self) -> None:
        """Roll the open target transaction back."""
        await self._undo(b"ROLLBACK")

    async def _undo(self, rollback: bytes) -> None:
        """Roll back; what failed may have been between two settings of foreign_key_checks."""
        await self.session.execute_many([rollback, FOREIGN_KEYS_ON])

    async def _begin(self, marker: bytes) -> None:
        self._check_fence((await self.session.execute_many([b"BEGIN", marker]))[1])

    def _check_fence(self, matched: int) -> None:
        if matched != 1:
            raise Fenced("this run's marker matches no row")

    async def _run_carefully(self, share: Share, contradiction: _ContradictedError) -> int:
        self.stats.careful += 1
        log.info("share_contradicted", slot=self.slot, reason=str(contradiction))
        careful = Careful(self.session)
        await careful.run(share.ordered_steps())
        return careful.conflicts

    async def _run(self, steps: Iterable[RowSet], opening: list[bytes]) -> int:
        """Run steps as packets of statements; return the conflicts that the matched rows tell."""
        conflicts = 0
        for packet in self._packets(steps):
            texts = opening + [text for text, _ in packet]
            try:
                matched = await self.session.execute_many(texts)
            except ServerError as error:
                raise _ContradictedError(error.message) from error
            if opening:
                self._check_fence(matched[1])
            for (_, statement), count in zip(packet, matched[len(opening) :], strict=True):
                conflicts += _conflicts(statement, count)
            self.stats.statements += len(texts)
            opening = []
        if opening:
            self._check_fence((await self.session.execute_many(opening))[1])
        return conflicts

    def _packets(self, steps: Iterable[RowSet]) -> Iterator[list[tuple[bytes, Statement | None]]]:
        packet: list[tuple[bytes, Statement | None]] = []
        size = 0
        for text, statement in _texts(steps):
            if packet and size + len(text) > self._packet_bytes:
                yield packet
                packet, size = [], 0
            if len(text) + 1024 > self._packet_bytes_max:
                raise explain(
                    ServerError(1153, f"a statement of {len(text)} bytes exceeds the target's max_allowed_packet")
                )
            packet.append((text, statement))
            size += len(text) + 1
        if packet:
            yield packet


def _texts(steps: Iterable[RowSet]) -> Iterator[tuple[bytes, Statement | None]]:
    """Yield every statement's text, with foreign key checks off where the source had them off."""
    for step in steps:
        if step.foreign_keys_off:
            yield FOREIGN_KEYS_OFF, None
        for statement in render(step):
            yield statement.sql, statement
        if step.foreign_keys_off:
            yield FOREIGN_KEYS_ON, None


def _conflicts(statement: Statement | None, matched: int) -> int:
    if statement is None or matched == statement.matched:
        return 0
    if statement.is_exact:
        raise _ContradictedError(f"{matched} rows matched, {statement.matched} expected")
    return statement.conflicts(matched)
