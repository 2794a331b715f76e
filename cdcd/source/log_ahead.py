"""Whether a table is still what it was at a transaction, as the log between that transaction and now tells.

Times tell nothing: they are whole seconds, and any account may give its transactions others. So the log is read a
second time, ahead of the link and with a connection of its own: once, from the first transaction that is asked about,
and on from there with each question. Of it are kept the statements that change tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from cdcd.config.schema import Link, Site
from cdcd.model.position import Gtid, Position, Progress
from cdcd.model.table import TableName
from cdcd.mysql.session import Session
from cdcd.row.charset import Collations
from cdcd.row.transaction import Transaction
from cdcd.source.second_reading import read_again
from cdcd.source.start import current_position
from cdcd.sql import ddl
from cdcd.sql.source_text import SourceText

log = structlog.get_logger()


class _Statement(NamedTuple):
    """A statement that changes tables."""

    gtid: Gtid
    verb: str
    names: frozenset[TableName] | None  # in lower case; None: it is not understood, and may change any


@dataclass(slots=True)
class LogAhead:
    """The source's log from the first position that is asked about up to its end."""

    site: Site
    link: Link
    reader: int  # the server_id under which the link reads: as this one's, it is its own
    session: Session
    collations: Collations
    _until: Position | None = None  # it has been read up to here
    _statements: list[_Statement] = field(default_factory=list)

    async def next_change(self, name: TableName, since: Gtid, start: Progress) -> str:
        """Return the verb of the first statement after ``since`` that may change the table, "" where there is none.

        ``start`` was applied before ``since``. Call it with progress not before that of an earlier call.
        Raises SourceLost, BinlogPurged, MalformedEvent, UnsupportedEvent.
        """
        end = await current_position(self.session)
        log.info("table_checked", table=".".join(name), since=str(since), until=str(end))
        until = self._until
        # The link itself may have read past it since.
        is_past = until is None or all(start.position.includes(gtid) for gtid in until)
        await self._read_on(start if until is None or is_past else Progress(until, start.applied), end)
        self._statements = [each for each in self._statements if not start.position.includes(each.gtid)]
        lowered = {(name[0].lower(), name[1].lower()), (name[0].lower(), "")}
        later = (each for each in self._statements if not _is_before(each.gtid, since))
        return next((each.verb for each in later if each.names is None or each.names & lowered), "")

    async def _read_on(self, start: Progress, end: Position) -> None:
        if all(start.position.includes(gtid) for gtid in end):
            return
        reading = read_again(self.site, self.link, self.reader, "ahead", start, end, marked=self.link.relay)
        found: list[_Statement] = []
        async with aclosing(reading) as transactions:
            async for transaction in transactions:
                found += self._changes(transaction)
        self._statements += found
        self._until = end

    def _changes(self, transaction: Transaction) -> Iterator[_Statement]:
        for query in (transaction.query, *transaction.noted):
            if query is None:
                continue
            source = SourceText.of(query, self.collations)
            change = ddl.parse(source.text, query.database, source.mode)
            if change is None or change.temporary:
                continue
            names = frozenset((database.lower(), table.lower()) for database, table in change.objects)
            yield _Statement(transaction.gtid, change.verb, None if change.kind == "unknown" else names)


def _is_before(gtid: Gtid, since: Gtid) -> bool:
    """Return whether a transaction is known to come no later than another: of other domains, nothing is known."""
    return gtid.domain == since.domain and gtid.sequence <= since.sequence
