"""What a source must offer: the stream of its transactions, and a catalog of its tables."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from cdcd.config.schema import Link
from cdcd.model.position import Coordinates, Gtid, Position, Progress
from cdcd.model.table import Table, TableName
from cdcd.row.cell import Description
from cdcd.row.charset import Collations
from cdcd.row.transaction import Transaction


@dataclass(slots=True)
class Chunk:
    """Transactions that the stream completed, in order: so many that memory for them is bounded."""

    transactions: list[Transaction]
    abandoned: bool  # parts of a transaction were handed on earlier that will not be completed


@dataclass(slots=True)
class SourceFigures:
    """What a source has done since the daemon started, over all runs of a link; it fills this itself."""

    seconds_busy: float = 0.0
    seconds_waiting: float = 0.0
    bytes_read: int = 0
    chunks: int = 0
    reconnects: int = 0
    suppressed: int = 0  # transactions that a link wrote, and that are not sent back
    suppressed_outside: int = 0  # of these, what changed a table outside database cdcd
    connected: bool = False
    error: str | None = None  # why the connection ended, until there is a new one


class Source(Protocol):
    """The transactions of one site, in the order in which they were committed there.

    Each is handed on once, whole, or in parts where it is too large to hold. What is lost on the way is mended here:
    the stream goes on after the last transaction that was read whole, and a chunk says where parts were abandoned.
    """

    figures: SourceFigures
    lost: asyncio.Event  # set at each loss of a connection, for whoever clears it

    @property
    def position(self) -> Position:
        """After the last transaction that was read whole, whether it was handed on or passed over as the link's own."""

    @property
    def at(self) -> Coordinates:
        """Where the position ends in the log."""

    @property
    def bytes_received(self) -> int:
        """What has arrived and is not read yet."""

    async def read(self) -> Chunk:
        """Return the next chunk that completes anything, or abandons parts.

        Raises BinlogError when the log cannot be followed any further; transactions before that are handed on first.
        Losing no chunk, it may be cancelled while it waits.
        """

    async def watch(self) -> None:
        """While nothing comes, see until cancelled that the log that is followed is still the source's."""

    def reload(self, link: Link) -> None:
        """Take over the reloadable keys of a changed link."""

    def close(self) -> None:
        """Drop the connection."""


class Catalog(Protocol):
    """What a source's tables are: now, or as of a transaction that is read while they may have gone on.

    What is asked about reaches back to ``before``, what was applied before the transaction; call with progress not
    before that of an earlier call. Raises SourceLost, and BinlogError where the log cannot tell.
    """

    @property
    def collations(self) -> Collations:
        """The source's collations by id."""

    async def as_of(self, description: Description, gtid: Gtid, before: Progress) -> tuple[Description, Table | None]:
        """Return what an event says of a table, with column names, and the live table where that is still the same.

        Raises SchemaMismatch when the names cannot be proven.
        """

    async def kind(self, name: TableName) -> str:
        """Return what is under a name now, as information_schema calls it (VIEW, SEQUENCE, ...); "" if nothing is."""

    async def is_sequence(self, description: Description, gtid: Gtid, before: Progress) -> bool:
        """Return whether an event's rows are a sequence's, which each site counts by itself.

        Raises SchemaMismatch where nothing tells.
        """

    async def is_unaltered(self, name: TableName, since: Gtid, before: Progress) -> bool:
        """Return whether no statement after ``since`` may have changed the table; ask after reading the table."""

    async def next_change(self, name: TableName, since: Gtid, before: Progress) -> str:
        """Return the verb of the first statement after ``since`` that may change the table, "" where there is none."""


class ByteStream(Protocol):
    """The bytes of a log as they come: a socket's, or a stored log's."""

    @property
    def bytes_received(self) -> int:
        """What has arrived and is not taken."""

    async def wait(self, seconds_max: float) -> None:
        """Wait until something has arrived; raise SourceLost at the end, or when nothing comes for so long."""

    def taken(self) -> AbstractContextManager[memoryview]:
        """Take all that has arrived; the bytes are good until the context ends."""

    def close(self) -> None:
        """Drop the connection."""
