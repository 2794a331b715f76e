"""What a link does with what its log shows and no row event says: statements beside rows, and rows taken back.

The decoder hands them on with the transaction. Here the rules say whether anything that the link carries is
concerned: what provably is not is passed over, everything else stops the link.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from cdcd.binlog.refusal import ROW_FORMAT
from cdcd.errors import UnsupportedEvent
from cdcd.model.query import Query
from cdcd.model.table import TableName
from cdcd.mysql.schema import read_table
from cdcd.mysql.session import Session
from cdcd.precheck.grants import Grants
from cdcd.route.rules import Rules
from cdcd.row.charset import Collations
from cdcd.row.transaction import TableMap, Transaction
from cdcd.runtime.temporary import Temporaries
from cdcd.sql import ddl, quote
from cdcd.sql.source_text import SourceText

log = structlog.get_logger()

# What an account needs to see a table's triggers, a view's being one, and a stored function.
_SEEING = ("SELECT", "TRIGGER", "EXECUTE")


@dataclass
class Foreign:
    """Decides about statements that change rows, and about rows that were rolled back."""

    rules: Rules
    collations: Collations
    source: Session
    folds_names: bool = False  # the source compares names in lower case (lower_case_table_names)
    temporaries: Temporaries = field(default_factory=Temporaries)

    async def check(self, transaction: Transaction, earlier: Sequence[TableMap]) -> None:
        """Pass over what a transaction holds besides its rows; raise UnsupportedEvent where that could lose some.

        ``earlier`` are the tables of its parts before this one.
        """
        tables = [*transaction.tables, *transaction.undone, *earlier]
        has_carried = any(self._carries(table.description.name) for table in tables)
        for query in transaction.noted:
            await self._check_statement(query, transaction, has_carried=has_carried)
        undone = [*transaction.undone, *earlier] if transaction.rolled_back else transaction.undone
        await self._check_undone(undone, transaction)

    async def _check_statement(self, query: Query, transaction: Transaction, *, has_carried: bool) -> None:
        source = SourceText.of(query, self.collations)
        if has_carried and ddl.control(source.text, source.mode) is not None:
            raise UnsupportedEvent(
                f"a transaction takes back a part of itself that is applied already, or not certain: {query}",
                hint="where it is too large to hold, raise transaction_bytes_max above its size and start the link"
                " again; where a name of its savepoints is not ASCII, `cdcd skip` it, then cdcd verify",
            ).at(transaction=transaction.gtid)
        change = ddl.parse(source.text, query.database, source.mode)
        if change is None:
            return
        if change.temporary:
            self.temporaries.read(query, change, self.folded)
            return
        if self.temporaries.take(query, change, self.folded):
            return
        if change.kind == "dml":
            await self.check_rows(query, transaction)
        elif change.kind == "unknown" or any(map(self._carries, change.objects)):
            raise _unsupported(query, "stands beside rows in one transaction", transaction)

    async def check_rows(self, query: Query, transaction: Transaction) -> None:
        """Pass over a statement that changes rows by its text; raise UnsupportedEvent unless none is carried."""
        source = SourceText.of(query, self.collations)
        candidates = ddl.names(source.text, query.database, source.mode)
        if any(map(self._carries, candidates)):
            raise _unsupported(query, "changes rows by its text alone", transaction)
        databases = {query.database, *(database for database, _ in candidates)}
        await self._check_sight(query, databases, transaction)
        if what := await self._side_effect(candidates):
            raise _unsupported(query, f"changes rows by its text alone, and {what}", transaction)
        log.info("statement_passed", verb=source.text.split(None, 1)[0][:20].upper(), gtid=str(transaction.gtid))

    async def _check_sight(self, query: Query, databases: set[str], transaction: Transaction) -> None:
        lines = [row[0] for row in await self.source.fetch("SHOW GRANTS")]
        grants = Grants.parse(lines, self.source.flavor.privileges.synonyms)
        present = {row[0] for row in await self.source.fetch("SELECT schema_name FROM information_schema.schemata")}
        # Databases that the account does not see may exist: only the default one is surely a database.
        for database in sorted(databases & {*present, query.database} - {""}):
            if missing := [privilege for privilege in _SEEING if not grants.allow(privilege, (database, ""))]:
                raise UnsupportedEvent(
                    f"a statement that changes rows by its text alone: {query}",
                    hint=f"{ROW_FORMAT}; or let cdcd see that no trigger, view or function of database {database}"
                    f" reaches carried tables: GRANT {', '.join(missing)} ON {quote.identifier(database)}.* there",
                ).at(transaction=transaction.gtid)

    async def _side_effect(self, candidates: set[TableName]) -> str:
        """Return what could change other tables than those that the statement names, or nothing."""
        listed = ", ".join(f"({quote.text(database)}, {quote.text(name)})" for database, name in sorted(candidates))
        for what, query in (
            ("fires a trigger", f"triggers WHERE (event_object_schema, event_object_table) IN ({listed})"),
            ("names a view", f"tables WHERE table_type = 'VIEW' AND (table_schema, table_name) IN ({listed})"),
            ("names a stored function", f"routines WHERE (routine_schema, routine_name) IN ({listed})"),
        ):
            if await self.source.fetch_one(f"SELECT 1 FROM information_schema.{query} LIMIT 1"):
                return what
        return "changes the parent of a foreign key" if await self._has_children(candidates) else ""

    async def _has_children(self, candidates: set[TableName]) -> bool:
        rows = await self.source.fetch(f"SELECT LOWER(ref_name) FROM {self.source.flavor.catalog.foreign_keys}")
        parents = {row[0] for row in rows}
        # Names other than ASCII words are encoded there: they count as parents.
        return any("@" in parent for parent in parents) or any(
            f"{database}/{name}".lower() in parents for database, name in candidates
        )

    async def _check_undone(self, tables: Iterable[TableMap], transaction: Transaction) -> None:
        """Rows that were rolled back are gone, but for a table whose engine does not roll back."""
        for table in tables:
            name = table.description.name
            if not self._carries(name):
                continue
            live = await read_table(self.source, name)
            if live is None or not live.is_transactional:
                raise UnsupportedEvent(
                    "a row was rolled back in a table whose engine does not roll back, or which is gone",
                    hint="use InnoDB; compare the sites with cdcd verify",
                ).at(table=".".join(name), transaction=transaction.gtid)

    def _carries(self, name: TableName) -> bool:
        return self.rules.carries(self.folded(name))

    def folded(self, name: TableName) -> TableName:
        """Return a table's name as the source compares it."""
        return (name[0].lower(), name[1].lower()) if self.folds_names else name


def _unsupported(query: Query, what: str, transaction: Transaction) -> UnsupportedEvent:
    return UnsupportedEvent(f"a statement that {what}: {query}", hint=ROW_FORMAT).at(transaction=transaction.gtid)
