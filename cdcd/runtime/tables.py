"""Which plan a link has for each table that its log names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from cdcd.apply.contract import Catalog
from cdcd.config.schema import Link
from cdcd.errors import SchemaMismatch
from cdcd.model.position import Progress
from cdcd.model.table import Table
from cdcd.route.logged import has_floats, logged_columns
from cdcd.route.plan import build
from cdcd.route.rules import Rules
from cdcd.route.where import RowFilter
from cdcd.row.cell import Description
from cdcd.row.plan import Plan, Plans, Route
from cdcd.row.transaction import TableMap, Transaction
from cdcd.source import contract

log = structlog.get_logger()


class Tables:
    """Makes plans, when a table is first met after a connect or a schema change; ``plans`` keeps them."""

    def __init__(self, link: Link, source: contract.Catalog, target: Catalog) -> None:
        self._link = link
        self.plans = Plans()
        self._source = source
        self._target = target
        self.rules = Rules(link.tables, link.exclude, link.rename)

    async def plan(self, transaction: Transaction, before: Progress) -> None:
        """See that every table of a transaction has its plan.

        ``before`` is what was applied before the transaction.
        Raises SchemaMismatch when a carried table's changes could not be applied exactly.
        """
        self.plans.make_room(transaction)
        for table in transaction.tables:
            plan = self.plans.find(table)
            if plan is None:
                plan = await self._plan(table, transaction, before)
                self.plans.keep(table, plan)
            # Reading the log ahead is dear, and whole rows do not need it.
            if transaction.leaves_out and plan.is_carried and not plan.is_unaltered:
                plan.is_unaltered = await self._source.is_unaltered(table.description.name, transaction.gtid, before)

    async def _plan(self, table: TableMap, transaction: Transaction, before: Progress) -> Plan:
        name = table.description.name
        if not self.rules.carries(name):
            return Plan(Route(name, None))
        try:
            return await self._build(table, transaction, before)
        except SchemaMismatch as error:
            error.at(table=".".join(name), transaction=transaction.gtid)
            raise

    async def _build(self, table: TableMap, transaction: Transaction, before: Progress) -> Plan:
        name = table.description.name
        description, source = await self._source.as_of(table.description, transaction.gtid, before)
        if await self._source.is_sequence(description, transaction.gtid, before):
            log.info("sequence_passed", table=".".join(name), gtid=str(transaction.gtid))
            return Plan(Route(name, None))
        target_name = self.rules.target_name(description.name)
        found = await self._target.table(target_name)
        if found is None:
            raise SchemaMismatch(
                f"the target has no table {target_name[0]}.{target_name[1]}",
                hint="create it there with the rows that it had on the source before, or leave it out of the link;"
                " with ddl = true, tables that are created from then on are carried",
            )
        target, known = found
        _check_exact(source, target)
        return build(
            description,
            source,
            target,
            self._source.collations,
            operations=self._link.operations,
            row_filter=await self._row_filter(description, source, transaction, before),
            definition=known,
            allow_loss=self._link.allow_loss,
        )

    async def _row_filter(
        self, description: Description, source: Table | None, transaction: Transaction, before: Progress
    ) -> Callable[[Sequence[object]], bool] | None:
        """Return the table's filter, bound to its columns as the source had them when it logged the rows."""
        text = self._link.where.get(".".join(description.name))
        if text is None:
            return None
        row_filter = RowFilter.parse(text)
        if source is not None and has_floats(source, row_filter.columns):
            unaltered = await self._source.is_unaltered(description.name, transaction.gtid, before)
            source = source if unaltered else None
        return row_filter.bind(logged_columns(description, source, self._source.collations, row_filter.columns))


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
