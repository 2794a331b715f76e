"""Whether a table is still what it was at a transaction, as the log between that transaction and now tells.

Times tell nothing: they are whole seconds, and any account may give its transactions others. So the log is read a
second time, ahead of the link and with a connection of its own: once, from the first transaction that is asked about,
and on from there with each question. Of it are kept the statements that change tables.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class LogAhead:
    """The source's log from the first position that is asked about up to its end."""

    site: Site
    link: Link
    session: Session
    collations: Collations
    _until: Position | None = None  # it has been read up to here
    _statements: list[tuple[Gtid, frozenset[TableName] | None]] = field(default_factory=list)  # None: not understood

    async def is_unaltered(self, name: TableName, since: Gtid, start: Position) -> bool:
        """Return whether no statement after ``since`` may have changed the table; ``start`` is a position before it.

        Call it after the table has been read, and with a position not before that of an earlier call.
        Raises SourceLost, BinlogPurged, MalformedEvent, UnsupportedEvent.
        """
        end = await current_position(self.session, MARIADB)
        log.info("table_checked", table=".".join(name), since=str(since), until=str(end))
        until = self._until
        # The link itself may have read past it since.
        is_past = until is None or all(start.includes(gtid) for gtid in until)
        await self._read_on(start if until is None or is_past else until, end)
        self._statements = [(gtid, names) for gtid, names in self._statements if not start.includes(gtid)]
        lowered = {(name[0].lower(), name[1].lower()), (name[0].lower(), "")}
        return not any(
            names is None or names & lowered for gtid, names in self._statements if not _is_before(gtid, since)
        )

    async def _read_on(self, start: Position, end: Position) -> None:
        everything = "" if self.link.relay else None
        decoder = Decoder(start, relay_except=everything, transaction_bytes_max=PART_BYTES)
        if all(start.includes(gtid) for gtid in end):
            return
        stream = await ReplicationStream.open(
            self.site,
            position=str(start),
            server_id=0xC0000000 | zlib.crc32(self.link.name.encode()) >> 2,
            heartbeat_seconds=self.link.heartbeat_seconds / 2,
        )
        found: list[tuple[Gtid, frozenset[TableName] | None]] = []
        try:
            while not all(decoder.position.includes(gtid) for gtid in end):
                found += [each for each in map(self._statement, await self._read(stream, decoder)) if each]
        finally:
            stream.close()
        self._statements += found
        self._until = decoder.position

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

    def _statement(self, transaction: Transaction) -> tuple[Gtid, frozenset[TableName] | None] | None:
        query = transaction.query
        if query is None:
            return None
        source = SourceText.of(query, self.collations)
        change = ddl.parse(source.text, query.database, source.mode)
        if change is None or change.temporary:
            return None
        if change.kind == "unknown":
            return transaction.gtid, None
        return transaction.gtid, frozenset((database.lower(), table.lower()) for database, table in change.objects)


def _is_before(gtid: Gtid, since: Gtid) -> bool:
    """Return whether a transaction is known to come no later than another: of other domains, nothing is known."""
    return gtid.domain == since.domain and gtid.sequence <= since.sequence
