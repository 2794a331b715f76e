"""What the tables of a target server are now (``contract.Catalog``)."""

from __future__ import annotations

from dataclasses import dataclass

from cdcd.errors import ServerError, TargetAltered
from cdcd.model.table import Table, TableName
from cdcd.mysql import codes
from cdcd.mysql.schema import definition, definition_query, read_table
from cdcd.mysql.session import Session

READ_TRIES_MAX = 5


@dataclass(slots=True)
class SqlCatalog:
    """Reads tables, each as one whole though it takes several questions."""

    session: Session

    async def table(self, name: TableName) -> tuple[Table, bytes] | None:
        """Return a table and its definition, which was the same before and after the table was read."""
        for _ in range(READ_TRIES_MAX):
            before = await self._definition(name)
            table = await read_table(self.session, name)
            if before == await self._definition(name):
                return (table, before) if table is not None and before is not None else None
        raise TargetAltered("the target table was altered while it was read").at(table=".".join(name))

    async def _definition(self, name: TableName) -> bytes | None:
        try:
            row = await self.session.fetch_one(definition_query(self.session.flavor, name))
        except ServerError as error:
            if error.code not in codes.GONE:
                raise
            return None
        return definition((row[0], row[1])) if row else None
