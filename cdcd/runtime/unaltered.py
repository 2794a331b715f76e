"""Whether a table is still what it was at a transaction, as the log between that transaction and now tells.

Times are whole seconds, so a table that was created or altered in the second of its rows needs this; so does
a table whose time of alteration moved for another reason. It is a second reading of that stretch of the log,
with a connection of its own, and it ends at the first statement about the table.
"""

from __future__ import annotations

import math
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from cdcd.binlog.transaction import Transaction
from cdcd.config.schema import Link, Site
from cdcd.model.position import Gtid, Position
from cdcd.model.table import TableName
from cdcd.mysql.flavor import MARIADB
from cdcd.mysql.session import Session
from cdcd.route import ddl
from cdcd.route.plan import Collations
from cdcd.route.source_text import SourceText
from cdcd.runtime.second_reading import read_again
from cdcd.source.start import current_position

log = structlog.get_logger()

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
        return await self.next_change(name, since, start, until=altered + LATE_SECONDS_MAX) == ""

    async def next_change(
        self, name: TableName, since: Gtid, start: Position, *, until: float = math.inf
    ) -> str | None:
        """Return the verb of the first statement after ``since`` that changes the table, "" where there is none.

        None where the log does not show ``since``. The search ends at what the source stamped later than ``until``.
        Raises what :meth:`is_unaltered` does.
        """
        end = await current_position(self.session, MARIADB)
        log.info("table_checked", table=".".join(name), since=str(since), until=str(end))
        reading = read_again(self.site, self.link, ".".join(name), start, end, marked=self.link.relay)
        met = False
        async with aclosing(reading) as transactions:
            async for transaction in transactions:
                if met and transaction.timestamp > until:
                    return ""
                if met and (verb := self._change(transaction, name)):
                    return verb
                met = met or transaction.gtid == since
        return "" if met else None

    def _change(self, transaction: Transaction, name: TableName) -> str:
        query = transaction.query
        if query is None:
            return ""
        source = SourceText.of(query, self.collations)
        change = ddl.parse(source.text, query.database, source.mode)
        if change is None or change.temporary:
            return ""
        lowered = (name[0].lower(), name[1].lower())
        changed = {(database.lower(), table.lower()) for database, table in change.objects}
        return change.verb if change.kind == "unknown" or changed & {lowered, (lowered[0], "")} else ""
