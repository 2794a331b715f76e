"""What the tables of a server with a binary log are, now and as of a transaction (``contract.Catalog``)."""

from __future__ import annotations

from dataclasses import dataclass

from cdcd.config.schema import Link, Site
from cdcd.errors import SchemaMismatch
from cdcd.model.position import Gtid, Progress
from cdcd.model.table import Table, TableName
from cdcd.mysql.schema import read_kind
from cdcd.mysql.session import Session
from cdcd.row.cell import Description
from cdcd.row.charset import Collations
from cdcd.source.log_ahead import LogAhead
from cdcd.source.schema import describe, read_collations

SEQUENCE_COLUMNS = (
    "next_not_cached_value",
    "minimum_value",
    "maximum_value",
    "start_value",
    "increment",
    "cache_size",
    "cycle_option",
    "cycle_count",
)
"""A sequence is logged as a table of one row, with no key."""

_SEQUENCE_VERBS = frozenset({"CREATE SEQUENCE", "ALTER SEQUENCE", "DROP SEQUENCE"})


@dataclass(slots=True)
class LogCatalog:
    """Asks the server what a table is now, and its log whether it was the same at a transaction."""

    collations: Collations
    session: Session
    _ahead: LogAhead

    @classmethod
    async def open(cls, site: Site, link: Link, reader: int, session: Session) -> LogCatalog:
        """Read what is the same for all tables; ``reader`` is the server_id under which the link reads the log."""
        collations = await read_collations(session)
        return cls(collations, session, LogAhead(site, link, reader, session, collations))

    async def as_of(self, description: Description, gtid: Gtid, before: Progress) -> tuple[Description, Table | None]:
        """Return what an event says of a table, with column names, and the live table where that is still the same."""

        async def is_unaltered() -> bool:
            return await self.is_unaltered(description.name, gtid, before)

        return await describe(self.session, description, self.collations, is_unaltered)

    async def is_unaltered(self, name: TableName, since: Gtid, before: Progress) -> bool:
        """Return whether no statement after ``since`` may have changed the table."""
        return await self._ahead.next_change(name, since, before) == ""

    async def next_change(self, name: TableName, since: Gtid, before: Progress) -> str:
        """Return the verb of the first statement after ``since`` that may change the table, "" where there is none."""
        return await self._ahead.next_change(name, since, before)

    async def kind(self, name: TableName) -> str:
        """Return what is under a name now, as information_schema calls it; "" where nothing is."""
        return await read_kind(self.session, name)

    async def is_sequence(self, description: Description, gtid: Gtid, before: Progress) -> bool:
        """Return whether what an event describes is a sequence; raise SchemaMismatch where nothing tells."""
        if description.column_names != SEQUENCE_COLUMNS or description.primary_key:
            return False
        if kind := await self.kind(description.name):
            return kind == "SEQUENCE"
        if await self.next_change(description.name, gtid, before) in _SEQUENCE_VERBS:
            return True
        raise SchemaMismatch(
            "the table has the columns of a sequence, and nothing tells whether it was one",
            hint="if it was a sequence, leave it out of the link (exclude)",
        )
