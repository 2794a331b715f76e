"""Whether a table is still what it was at a transaction, as the log between that transaction and now tells.

Times are whole seconds, so a table that was created or altered in the second of its rows needs this; so does
a table whose time of alteration moved for another reason. It is a second reading of that stretch of the log,
with a connection of its own, and it ends at the first statement about the table.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import structlog

from cdcd.binlog.decoder import Decoder
from cdcd.binlog.transaction import Transaction
from cdcd.config.schema import Link, Site
from cdcd.model.position import Gtid, Position
from cdcd.model.table import TableName
from cdcd.mysql.flavor import MARIADB
from cdcd.mysql.session import Session
from cdcd.mysql.stream import ReplicationStream
from cdcd.route import ddl
from cdcd.route.plan import Collations
from cdcd.route.source_text import SourceText
from cdcd.source.start import current_position
from cdcd.source.stream import SILENT_HEARTBEATS

log = structlog.get_logger()

PART_BYTES = 1024 * 1024
# A statement is in the log at most this long after the table's time of alteration.
LATE_SECONDS_MAX = 10


@dataclass(frozen=True, slots=True)
class LogAhead:
    """The source's log from a position up to its end."""

    site: Site
    link: Link
    session: Session
    collations: Collations

    async def is_unaltered(self, name: TableName, altered: float, since: Gtid, start: Position) -> bool:
        """Return whether no statement after ``since`` changes the table; ``start`` is a position before it.

        ``altered`` is when the source last altered the table, in its seconds: no such statement comes later.
        Call it after the table has been read. Raises SourceLost, BinlogPurged, MalformedEvent, UnsupportedEvent.
        """
        end = await current_position(self.session, MARIADB)
        log.info("table_checked", table=".".join(name), since=str(since), until=str(end))
        stream = await ReplicationStream.open(
            self.site,
            position=str(start),
            server_id=0xC0000000 | zlib.crc32(f"{self.link.name}/{'.'.join(name)}".encode()) >> 2,
            heartbeat_seconds=self.link.heartbeat_seconds / 2,
        )
        all_origins: frozenset[str] | None = frozenset() if self.link.relay else None
        decoder = Decoder(start, relay_except=all_origins, transaction_bytes_max=PART_BYTES)
        try:
            return await self._is_unaltered(stream, decoder, name, altered, since, end)
        finally:
            stream.close()

    async def _is_unaltered(
        self,
        stream: ReplicationStream,
        decoder: Decoder,
        name: TableName,
        altered: float,
        since: Gtid,
        end: Position,
    ) -> bool:
        met = False
        while not all(decoder.position.includes(gtid) for gtid in end):
            for transaction in await self._read(stream, decoder):
                if met and transaction.timestamp > altered + LATE_SECONDS_MAX:
                    return True
                if met and self._changes(transaction, name):
                    return False
                met = met or transaction.gtid == since
        return met

    async def _read(self, stream: ReplicationStream, decoder: Decoder) -> list[Transaction]:
        if decoder.failure is not None:
            raise decoder.failure
        await stream.wait(SILENT_HEARTBEATS * self.link.heartbeat_seconds)
        taken = stream.take()
        try:
            return decoder.feed(taken)
        finally:
            taken.release()
            stream.release()

    def _changes(self, transaction: Transaction, name: TableName) -> bool:
        query = transaction.query
        if query is None:
            return False
        source = SourceText.of(query, self.collations)
        change = ddl.parse(source.text, query.database, source.mode)
        if change is None or change.temporary:
            return False
        if change.kind == "unknown":
            return True
        lowered = (name[0].lower(), name[1].lower())
        return any(
            (database.lower(), table.lower()) in (lowered, (lowered[0], "")) for database, table in change.objects
        )
