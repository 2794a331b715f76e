"""Which plan a link has for each table that its log names."""

from __future__ import annotations

import structlog

from cdcd.config.schema import Link, Site
from cdcd.errors import SchemaMismatch, ServerError, TargetAltered
from cdcd.model.position import Progress
from cdcd.model.table import Table, TableName
from cdcd.mysql import codes
from cdcd.mysql.schema import definition, definition_query, read_table, table_type
from cdcd.mysql.session import Session
from cdcd.route.plan import build
from cdcd.route.rules import Rules
from cdcd.route.where import RowFilter
from cdcd.row.rows import Plan
from cdcd.row.transaction import TableMap, Transaction
from cdcd.runtime.log_ahead import LogAhead
from cdcd.source.schema import describe, read_collations

log = structlog.get_logger()

READ_TRIES_MAX = 5

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
"""A MariaDB sequence is logged as a table of one row, with no key; each site counts its own."""

_SEQUENCE_VERBS = frozenset({"CREATE SEQUENCE", "ALTER SEQUENCE", "DROP SEQUENCE"})


class Tables:
    """Plans, made when a table is first met after a connect or a schema change."""

    def __init__(self, link: Link, ahead: LogAhead, target: Session) -> None:
        self._link = link
        self.ahead = ahead
        self._source = ahead.session
        self._target = target
        self.collations = ahead.collations
        self.rules = Rules(link.tables, link.exclude, link.rename)

    @classmethod
    async def open(cls, link: Link, site: Site, reader: int, source: Session, target: Session) -> Tables:
        """Read what is the same for all tables of the source; ``reader`` is the link's server_id there."""
        return cls(link, LogAhead(site, link, reader, source, await read_collations(source)), target)

    async def plan(self, transaction: Transaction, before: Progress) -> None:
        """Give every table of a transaction its plan, or False where the link does not carry it.

        ``before`` is what was applied before the transaction.
        Raises SchemaMismatch when a carried table's changes could not be applied exactly.
        """
        for table in transaction.tables:
            if table.plan is None:
                table.plan = await self._plan(table, transaction, before)
            # Reading the log ahead is dear, and whole rows do not need it.
            if transaction.leaves_out and isinstance(table.plan, Plan) and not table.plan.is_unaltered:
                name = table.description.name
                table.plan.is_unaltered = await self.ahead.is_unaltered(name, transaction.gtid, before)

    async def _plan(self, table: TableMap, transaction: Transaction, before: Progress) -> object:
        name = table.description.name
        if not self.rules.carries(name):
            return False
        try:
            return await self._build(table, transaction, before)
        except SchemaMismatch as error:
            error.at(table=".".join(name), transaction=transaction.gtid)
            raise

    async def _build(self, table: TableMap, transaction: Transaction, before: Progress) -> object:
        name = table.description.name
        description, source = await describe(
            self._source,
            table.description,
            self.collations,
            lambda: self.ahead.is_unaltered(name, transaction.gtid, before),
        )
        may_be_sequence = description.column_names == SEQUENCE_COLUMNS and not description.primary_key
        if may_be_sequence and await self._is_sequence(name, transaction, before):
            log.info("sequence_passed", table=".".join(name), gtid=str(transaction.gtid))
            return False
        target_name = self.rules.target_name(description.name)
        target, known = await self._read_target(target_name)
        if target is None:
            raise SchemaMismatch(
                f"the target has no table {target_name[0]}.{target_name[1]}",
                hint="create it there, leave it out of the link, or set ddl = true",
            )
        _check_exact(source, target)
        row_filter = None
        if (text := self._link.where.get(".".join(description.name))) is not None:
            assert description.column_names is not None
            columns = [(source or target).column(name) for name in description.column_names]
            row_filter = RowFilter.parse(text).bind([column for column in columns if column is not None])
        return build(
            description,
            source,
            target,
            self.collations,
            operations=self._link.operations,
            row_filter=row_filter,
            definition=known,
            allow_loss=self._link.allow_loss,
        )

    async def _is_sequence(self, name: TableName, transaction: Transaction, before: Progress) -> bool:
        """Return whether a table of a sequence's columns is one; raise SchemaMismatch where nothing tells."""
        if kind := await table_type(self._source, name):
            return kind == "SEQUENCE"
        if await self.ahead.next_change(name, transaction.gtid, before) in _SEQUENCE_VERBS:
            return True
        raise SchemaMismatch(
            "the table has the columns of a sequence, and nothing tells whether it was one",
            hint="if it was a sequence, leave it out of the link (exclude)",
        )

    async def _read_target(self, name: TableName) -> tuple[Table | None, bytes | None]:
        """Return a target table, and its definition, which was the same before and after the table was read.

        Raises TargetAltered when others keep altering it.
        """
        for _ in range(READ_TRIES_MAX):
            before = await self._read_definition(name)
            table = await read_table(self._target, name)
            if before == await self._read_definition(name):
                return (table, before) if before is not None else (None, None)
        raise TargetAltered("the target table was altered while it was read").at(table=".".join(name))

    async def _read_definition(self, name: TableName) -> bytes | None:
        try:
            row = await self._target.fetch_one(definition_query(name))
        except ServerError as error:
            if error.code not in codes.GONE:
                raise
            return None
        return definition((row[0], row[1])) if row else None


def _check_exact(source: Table | None, target: Table) -> None:
    """Raise SchemaMismatch where applying rows would not leave the target as the source, or not be undone."""
    problem = hint = ""
    if not target.is_transactional:
        problem = "the target table's engine cannot roll back, so nothing could be applied exactly once"
        hint = "ALTER TABLE ... ENGINE = InnoDB on the target"
    elif target.versioned or (source is not None and source.versioned):
        problem, hint = "a table WITH SYSTEM VERSIONING writes its own history", "leave it out of the link"
    elif target.triggers:
        problem = f"the target's trigger {target.triggers[0]} would run a second time for each row"
        hint = "drop the triggers of the target table: the source's changes hold what they did there"
    if problem:
        raise SchemaMismatch(problem, hint=hint)
