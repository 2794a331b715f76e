"""What a link does when its log shows a statement: carry it, pass it over, or stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import structlog

from cdcd.apply.dispatcher import Dispatcher
from cdcd.apply.schema_change import Change, carry
from cdcd.binlog.decoder import Transaction
from cdcd.config.schema import Link
from cdcd.errors import UnsupportedEvent
from cdcd.model.position import Progress
from cdcd.mysql.session import Session
from cdcd.route import ddl
from cdcd.route.announced import Announced
from cdcd.route.rules import Rules

log = structlog.get_logger()

Outcome = Literal["own", "passed", "carried"]


@dataclass
class SchemaChanges:
    """Decides about each statement, and runs those that are carried on the target."""

    link: Link
    rules: Rules
    session: Session  # with the settings of the statement's source session, so not a writer's
    announced: Announced = field(default_factory=Announced)

    async def load(self, source: Session) -> None:
        """Read each link's last announcement on the source: a run may begin between it and its statement."""
        present = await source.fetch(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = 'cdcd' AND table_name = 'ddl'"
        )
        if present:
            rows = await source.fetch(
                "SELECT session, verb, objects FROM cdcd.ddl d WHERE announced_at ="
                " (SELECT MAX(announced_at) FROM cdcd.ddl l WHERE l.link = d.link)"
            )
            for session, verb, objects in rows:
                self.announced.add(session, verb, objects)

    async def take(self, transaction: Transaction, dispatcher: Dispatcher, progress: Progress) -> Outcome:
        """Handle one statement; everything before it is committed. Raises UnsupportedEvent, ApplyFailed, Fenced."""
        query = transaction.query
        assert query is not None
        change = ddl.parse(query.statement, query.database)
        if change is None or change.temporary:
            return "passed"
        if change.kind in ("dml", "unknown"):
            raise _unsupported(transaction, change.kind)
        if self.announced.take(query.thread_id, change.verb, change.objects):
            return "own"
        carried = [self.rules.carries(name) for name in change.objects]
        if change.kind == "other" or not any(carried):
            return "passed"
        if not self.link.ddl:
            log.warning("ddl_not_carried", statement=str(query), gtid=str(transaction.gtid))
            return "passed"
        statement = self._statement(transaction, change, carried)
        ran = await carry(
            self.session,
            Change(
                link=self.link.name,
                origin=transaction.origin or self.link.source,
                gtid=str(transaction.gtid),
                verb=change.verb,
                objects=tuple(
                    self.rules.target_name(name)
                    for name, is_carried in zip(change.objects, carried, strict=True)
                    if is_carried
                ),
                digest=ddl.digest(query.statement),
                statement=statement,
                query=query,
            ),
            dispatcher.fence(progress),
        )
        log.info("ddl_carried", statement=str(query), gtid=str(transaction.gtid), ran=ran)
        return "carried"

    def _statement(self, transaction: Transaction, change: ddl.SchemaChange, carried: list[bool]) -> str:
        """Return the text for the target: names qualified, and only tables that the link carries."""
        query = transaction.query
        assert query is not None
        if all(carried):
            return ddl.qualify(query.statement, query.database, self.rules.target_name)
        if change.verb == "DROP TABLE":
            kept = [name for name, is_carried in zip(change.objects, carried, strict=True) if is_carried]
            names = ", ".join("`{}`.`{}`".format(*(part.replace("`", "``") for part in name)) for name in kept)
            return f"DROP TABLE IF EXISTS {names}"
        raise UnsupportedEvent(
            f"a statement about tables of which the link carries only some: {query}",
            hint="carry all of them, or none",
        ).at(transaction=transaction.gtid)


def _unsupported(transaction: Transaction, kind: str) -> UnsupportedEvent:
    what = "changes rows by its text alone" if kind == "dml" else "is not understood"
    return UnsupportedEvent(
        f"a statement that {what}: {transaction.query}",
        hint="cdcd carries row events only: set binlog_format=ROW for every session of the source",
    ).at(transaction=transaction.gtid)
