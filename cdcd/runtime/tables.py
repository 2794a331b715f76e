"""Which plan a link has for each table that its log names."""

from __future__ import annotations

from cdcd.binlog.decoder import TableMap, Transaction
from cdcd.config.schema import Link
from cdcd.errors import SchemaMismatch
from cdcd.mysql.schema import read_table
from cdcd.mysql.session import Session
from cdcd.route.plan import Collations, build
from cdcd.route.rules import Rules
from cdcd.route.where import RowFilter
from cdcd.source.schema import describe, read_collations


class Tables:
    """Plans, made when a table is first met after a connect or a schema change."""

    def __init__(self, link: Link, source: Session, target: Session, collations: Collations) -> None:
        self._link = link
        self._source = source
        self._target = target
        self._collations = collations
        self.rules = Rules(link.tables, link.exclude, link.rename)

    @classmethod
    async def open(cls, link: Link, source: Session, target: Session) -> Tables:
        """Read what is the same for all tables of the source."""
        return cls(link, source, target, await read_collations(source))

    def is_planned(self, transaction: Transaction) -> bool:
        """Return whether every table of a transaction has its plan."""
        return all(table.plan is not None for table in transaction.tables)

    async def plan(self, transaction: Transaction) -> None:
        """Give every table of a transaction its plan, or False where the link does not carry it.

        Raises SchemaMismatch when a carried table's changes could not be applied exactly.
        """
        for table in transaction.tables:
            if table.plan is None:
                table.plan = await self._plan(table, transaction)

    async def _plan(self, table: TableMap, transaction: Transaction) -> object:
        name = table.description.name
        if not self.rules.carries(name):
            return False
        try:
            return await self._build(table, transaction)
        except SchemaMismatch as error:
            error.at(table=".".join(name), transaction=transaction.gtid)
            raise

    async def _build(self, table: TableMap, transaction: Transaction) -> object:
        description, source = await describe(self._source, table.description, transaction.timestamp)
        target_name = self.rules.target_name(description.name)
        target = await read_table(self._target, target_name)
        if target is None:
            raise SchemaMismatch(
                f"the target has no table {target_name[0]}.{target_name[1]}",
                hint="create it there, leave it out of the link, or set ddl = true",
            )
        row_filter = None
        if (text := self._link.where.get(".".join(description.name))) is not None:
            assert description.column_names is not None
            columns = [(source or target).column(name) for name in description.column_names]
            row_filter = RowFilter.parse(text).bind([column for column in columns if column is not None])
        return build(
            description,
            source,
            target,
            self._collations,
            operations=self._link.operations,
            row_filter=row_filter,
        )
