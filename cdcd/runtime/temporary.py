"""Statements about temporary tables, which the log does not always call so.

A session whose format is not ROW logs what it does to a temporary table as if the name were an ordinary table's:
TRUNCATE, ALTER TABLE, CREATE INDEX and the like. Such an event has LOG_EVENT_THREAD_SPECIFIC_F in its header. The
flag is also set where a table has CONNECTION_ID() in a default, and by CREATE OR REPLACE, so alone it proves nothing;
without it there is no temporary table in the statement. RENAME TABLE is the exception: it is logged without the flag,
in every format.
"""

from __future__ import annotations

from collections.abc import Callable

from cdcd.model.query import Query
from cdcd.model.table import TableName
from cdcd.sql.statement import SchemaChange

Fold = Callable[[TableName], TableName]


class Temporaries:
    """The temporary tables of the source's sessions, as far as the log has shown since the run began."""

    def __init__(self) -> None:
        self._names: dict[int, set[TableName]] = {}

    def read(self, query: Query, change: SchemaChange, fold: Fold) -> None:
        """Note a statement that says TEMPORARY."""
        names = self._names.setdefault(query.thread_id, set())
        if change.verb == "CREATE TABLE":
            names.add(fold(change.objects[0]))
        else:
            names.difference_update(map(fold, change.objects))
        if not names:
            del self._names[query.thread_id]

    def take(self, query: Query, change: SchemaChange, fold: Fold) -> bool:
        """Return whether a statement is provably about temporary tables alone, and note the name that it gives."""
        names = self._names.get(query.thread_id, set())
        if not may_be_temporary(query, change) or not change.objects or fold(change.objects[0]) not in names:
            return False
        if change.verb == "CREATE TABLE":
            return False
        if change.verb == "ALTER TABLE" and len(change.objects) > 1:
            names.discard(fold(change.objects[0]))
            names.add(fold(change.objects[-1]))
        return True

    def suspect(self, query: Query, change: SchemaChange, fold: Fold) -> TableName | None:
        """Return a name in a statement that may be a temporary table's, and may be an ordinary one's too.

        CREATE OR REPLACE TABLE always has the flag, so of what it reads only what is known counts.
        """
        if not may_be_temporary(query, change):
            return None
        if change.verb != "CREATE TABLE":
            return change.objects[0]
        known = self._names.get(query.thread_id, set())
        return next((name for name in change.reads if fold(name) in known or not change.effect.renews), None)


def may_be_temporary(query: Query, change: SchemaChange) -> bool:
    """Return whether what a statement changes or reads may be a temporary table.

    Of a DROP the server logs the two kinds of tables apart, and CREATE TABLE without TEMPORARY makes an ordinary one.
    """
    is_ordinary = change.verb == "DROP TABLE" or (change.verb == "CREATE TABLE" and not change.reads)
    return query.thread_specific and change.kind == "table" and not is_ordinary
