"""What was collected and is not applied yet, and how far the target has come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cdcd.batch.admission import Admission
from cdcd.batch.net import Batch
from cdcd.config.schema import Link
from cdcd.errors import CdcdError
from cdcd.model.position import UNKNOWN, Coordinates, Gtid, Progress
from cdcd.row.plan import Plans
from cdcd.row.transaction import Transaction

# What a transaction costs besides its rows: a bound in bytes must hold for a million empty ones too.
TRANSACTION_BYTES = 512


@dataclass
class Backlog:
    """The batch that grows, the batch that is being applied, and the progress that both lead to.

    The collector adds, the dispatcher takes; ``notify`` wakes whoever waits for the other.
    """

    link: Link  # its bounds; a reload gives another one
    progress: Progress  # what is committed on the target
    plans: Plans
    batch: Batch = field(init=False)
    is_broken: bool = False  # the batch holds a transaction in part: it must never be applied
    applying: Batch | None = None
    origin: str | None = None  # of the transactions in the batch
    _seen: dict[int | Gtid, Gtid] = field(default_factory=dict)  # by stream, but for what is in ``progress.applied``
    seen_at: Coordinates = UNKNOWN  # where the last of them ends
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while a writer moves the progress
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.batch = Batch(self.plans)

    @property
    def is_busy(self) -> bool:
        """Whether anything collected is not committed yet."""
        return self.applying is not None or len(self.batch) > 0

    @property
    def is_ready(self) -> bool:
        """Whether there is a batch to apply."""
        return len(self.batch) > 0 and not self.is_broken

    @property
    def bytes_held(self) -> int:
        """Memory of what is collected and not applied, about: the net changes take as much again."""
        batches = (self.batch, self.applying) if self.applying is not None else (self.batch,)
        return sum(batch.size + TRANSACTION_BYTES * len(batch) for batch in batches)

    @property
    def oldest(self) -> Transaction | None:
        """The first transaction that is not committed yet."""
        for batch in (self.applying, self.batch):
            if batch is not None and len(batch):
                return batch.transactions[0]
        return None

    @property
    def is_full(self) -> bool:
        """Whether so much is held that nothing more is read."""
        return self.bytes_held > self.link.queue_bytes_max

    def notify(self) -> None:
        """Wake everyone who waits for a change."""
        self._changed.set()

    async def wait(self) -> None:
        """Wait for the next change."""
        self._changed.clear()
        await self._changed.wait()

    def extend(self, transactions: list[Transaction], at: int) -> tuple[int, Admission]:
        """Add from ``at`` on what may join the batch, each whole or not at all; return where it stopped, and why."""
        with self._merging():
            return self.batch.extend(
                transactions,
                at,
                origin=self.origin,
                applied=self.progress.applied,
                transactions_max=self.link.batch_transactions_max,
                bytes_max=self.link.batch_bytes_max,
            )

    def add(self, transaction: Transaction) -> None:
        """Add to the batch, whole or not at all."""
        with self._merging():
            self.batch.add(transaction)

    @contextmanager
    def _merging(self) -> Iterator[None]:
        """Note what joins the batch, and let none of it stay that was merged in part."""
        before = len(self.batch)
        try:
            yield
        except CdcdError as error:
            error.at(transaction=self._drop_last())
            raise
        except BaseException:
            self.is_broken = True
            raise
        finally:
            if not self.is_broken:
                self.advance(self.batch.transactions[before:])

    def _drop_last(self) -> Gtid:
        """Forget the last transaction, which could not be merged whole; return which it is."""
        *earlier, bad = self.batch.transactions
        self.is_broken = True
        self.batch = Batch(self.plans)
        for good in earlier:
            self.batch.add(good)
        self.is_broken = False
        return bad.gtid

    def advance(self, transactions: Sequence[Transaction]) -> None:
        """Note what was collected or passed over; of a stream the last is enough, and what was applied before."""
        seen, applied = self._seen, self.progress.applied
        for transaction in transactions:
            for gtid in (*transaction.passed, transaction.gtid):
                key = gtid if gtid in applied else gtid.stream
                seen.pop(key, None)  # What comes last stands last.
                seen[key] = gtid
        if transactions:
            self.seen_at = transactions[-1].coordinates

    @property
    def seen(self) -> list[Gtid]:
        """What was seen since the last batch was taken, in log order."""
        return list(self._seen.values())

    def take_seen(self) -> list[Gtid]:
        """Return what was seen, for whoever counts it as applied."""
        seen, self._seen = self.seen, {}
        return seen

    def start_batch(self) -> tuple[Batch, list[Gtid], Coordinates]:
        """Begin to apply the batch; return it, what was seen up to its end, and where that is."""
        seen = self.take_seen()
        self.applying, self.batch = self.batch, Batch(self.plans)
        return self.applying, seen, self.seen_at

    def commit_seen(self) -> None:
        """Count as applied what was seen, once all that was collected is committed."""
        self.progress = self.progress.after(self.take_seen(), self.seen_at)

    async def drained(self) -> None:
        """Wait until everything collected is committed."""
        while self.is_busy:
            self.notify()
            await self.wait()
        async with self.writing:
            self.commit_seen()
