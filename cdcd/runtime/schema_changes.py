"""What a link does when its log shows a statement: carry it, pass it over, or stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import structlog

from cdcd.apply.dispatcher import Dispatcher
from cdcd.apply.sql.schema_change import Change, carry, settle
from cdcd.binlog.refusal import ROW_FORMAT
from cdcd.config.schema import Link, Site
from cdcd.errors import CdcdError, Conflict, UnsupportedEvent
from cdcd.model.position import Progress
from cdcd.model.query import Query
from cdcd.model.table import TableName
from cdcd.mysql.schema import table_type
from cdcd.mysql.session import Session
from cdcd.route import filtered
from cdcd.route.announced import Announced, Announcement
from cdcd.route.rules import Rules
from cdcd.route.source_text import SourceText
from cdcd.row.charset import Collations
from cdcd.row.transaction import Transaction
from cdcd.runtime.crossing import Crossings
from cdcd.runtime.foreign import Foreign
from cdcd.runtime.log_ahead import LogAhead
from cdcd.sql import ddl, quote

log = structlog.get_logger()

Outcome = Literal["own", "passed", "carried"]

# What decides what a statement means, and is in no event. Of a session that sets it otherwise nothing is known.
_UNLOGGED = ("default_storage_engine", "old_mode", "alter_algorithm", "div_precision_increment")
# Of statements that were ended half-way: ER_QUERY_INTERRUPTED, ER_SERVER_SHUTDOWN, ER_NEW_ABORTING_CONNECTION,
# ER_CONNECTION_KILLED, ER_STATEMENT_TIMEOUT (include/mysqld_error.h).
_CUT_OFF = frozenset({1317, 1053, 1184, 1927, 1969})
# Two zones that agree on these moments are taken for the same.
_ZONE = "SET STATEMENT time_zone = 'SYSTEM' FOR SELECT " + ", ".join(
    f"UNIX_TIMESTAMP('{year}-{day} 12:00:00')" for year in range(1975, 2038, 4) for day in ("01-15", "07-15")
)


@dataclass
class SchemaChanges:
    """Decides about each statement, and runs those that are carried on the target."""

    link: Link
    rules: Rules
    collations: Collations
    session: Session  # with the settings of the statement's source session, so not a writer's
    target: Site
    reader: int  # the server_id under which the link reads
    foreign: Foreign
    ahead: LogAhead
    announced: Announced = field(default_factory=Announced)
    is_paired: bool = False  # another link carries what is written on the target back
    defaults: dict[str, str] = field(default_factory=dict)  # the source's settings that no event carries
    zone: tuple[object, ...] | None = None  # the source's time zone SYSTEM, as the moments that it gives

    def __post_init__(self) -> None:
        self._crossings = Crossings(self.session, self.target, self.link, self.reader)

    async def load(self, source: Session) -> None:
        """Read the announcements on the source: a run may begin between one and its statement."""
        row = await source.fetch_one("SELECT @@lower_case_table_names")
        self.foreign.folds_names = bool(row and row[0])
        names = ",".join(map(quote.text, _UNLOGGED))
        self.defaults = dict(await source.fetch(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names})"))
        self.zone = await source.fetch_one(_ZONE)
        present = await source.fetch(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = 'cdcd' AND table_name = 'ddl'"
        )
        if present:
            rows = await source.fetch(
                "SELECT link, gtid, origin, session, verb, objects,"
                " CAST(UNIX_TIMESTAMP(announced_at) * 1000000 AS UNSIGNED) FROM cdcd.ddl"
            )
            for row in rows:
                self.announced.expect(Announcement.of(*row))

    def concerns(self, query: Query) -> bool:
        """Return whether a statement changes a table that the link carries, or may."""
        source = SourceText.of(query, self.collations)
        change = ddl.parse(source.text, query.database, source.mode)
        return change is not None and (change.kind == "unknown" or any(map(self._carries, change.objects)))

    async def take(self, transaction: Transaction, dispatcher: Dispatcher, progress: Progress) -> Outcome:
        """Handle one statement; everything before it is committed. Raises UnsupportedEvent, ApplyFailed, Fenced."""
        try:
            return await self._take(transaction, dispatcher, progress)
        except CdcdError as error:
            error.at(transaction=transaction.gtid)
            raise

    async def _take(self, transaction: Transaction, dispatcher: Dispatcher, progress: Progress) -> Outcome:
        query = transaction.query
        assert query is not None
        source = SourceText.of(query, self.collations)
        change = ddl.parse(source.text, query.database, source.mode)
        if change is None:
            return "passed"
        if change.temporary:
            self.foreign.temporaries.read(query, change, self._folded)
            return "passed"
        if change.kind == "dml":
            await self.foreign.check_rows(query, transaction)
            return "passed"
        if change.kind == "unknown":
            raise UnsupportedEvent(f"a statement that is not understood: {query}", hint=ROW_FORMAT)
        self._check_own(query, change, transaction)
        if announcement := self.announced.take(query, change.verb, change.objects, transaction.timestamp):
            await self._check_crossing(announcement, change, transaction)
            return "own"
        if self.foreign.temporaries.take(query, change, self._folded):
            log.info("statement_passed", verb=change.verb, gtid=str(transaction.gtid))
            return "passed"
        if await self._renames_others(change, transaction, progress):
            log.info("statement_passed", verb=change.verb, gtid=str(transaction.gtid))
            return "passed"
        if not await self._is_carried(change, transaction):
            return "passed"
        await self._check_temporary(query, change, transaction, progress)
        self._check_filters(query, change, transaction)
        self._check_readable(query)
        self._check_known(query, change, transaction)
        zone = await self._time_zone(query, change)
        ran = await carry(self.session, self._change(transaction, source, change, zone), dispatcher.fence(progress))
        log.info("ddl_carried", statement=str(query), gtid=str(transaction.gtid), ran=ran)
        return "carried"

    async def _check_crossing(
        self, announcement: Announcement, change: ddl.SchemaChange, transaction: Transaction
    ) -> None:
        """Raise Conflict where rows that came before a statement here came after its original on the target.

        There they met the changed table, and here the statement met them: the two sides may differ by them.
        """
        if announcement.origin != self.link.target or change.effect.keeps_rows:
            return
        table = await self._crossings.find(
            announcement,
            [self._target_name(name) for name in (*change.objects, *change.parents)],
            unbinds=change.effect.unbinds,
        )
        if table is not None:
            where, there = ".".join(table), self.link.target
            raise Conflict(
                f"{self.link.source} wrote to {where} while a schema change of {there} was on its way, so what it wrote"
                f" came before {change.verb} here and after it there: {transaction.query}",
                hint=f"compare the two sides of {where}, put right by hand what differs, then"
                f" cdcd skip --link {self.link.name} --gtid {transaction.gtid}",
            ).at(table=where, original=announcement.gtid)

    def _check_readable(self, query: Query) -> None:
        if query.error in _CUT_OFF:
            raise UnsupportedEvent(
                f"a statement that was ended half-way on the source (error {query.error}): {query}",
                hint="see on the source how far it came, do as much on the target by hand, then cdcd skip it",
            )
        if query.unknown is not None:
            raise UnsupportedEvent(
                f"a statement under a setting that is not understood (status variable {query.unknown}): {query}",
                hint="run it on the target by hand, under the settings of its session, then cdcd skip it",
            )

    def _check_own(self, query: Query, change: ddl.SchemaChange, transaction: Transaction) -> None:
        """Raise UnsupportedEvent for a statement logged in recovery that may be one that cdcd ran here."""
        if (announcement := self.announced.may_be(query, change.verb, change.objects)) is not None:
            raise UnsupportedEvent(
                "a statement that the source logged while it recovered from a crash, and nothing tells whether it is"
                f" the one that link {announcement.link} ran there: {query}",
                hint=f"if {announcement.origin} has made the same change, {self._skip(transaction)}; if not, make it on"
                " the target by hand, then skip it",
            ).at(original=announcement.gtid)

    def _check_known(self, query: Query, change: ddl.SchemaChange, transaction: Transaction) -> None:
        """Raise UnsupportedEvent where the statement depends on something that its event has not kept."""
        if not transaction.timestamp and change.effect.temporal:
            raise UnsupportedEvent(
                f"a statement that may depend on its time, which the log does not tell: {query}",
                hint="run it on the target by hand, give the rows that are there the values that they have on the"
                f" source, then {self._skip(transaction)}",
            )
        if query.is_recovered and (unknown := _unknown(query, change)):
            raise UnsupportedEvent(
                "a statement that the source logged while it recovered from a crash, without the settings of its"
                f" session, on which depends {unknown}: {query}",
                hint="see on the source what it did (SHOW CREATE TABLE), do the same on the target by hand, then"
                f" {self._skip(transaction)}",
            )

    def _skip(self, transaction: Transaction) -> str:
        return f"cdcd skip --link {self.link.name} --gtid {transaction.gtid}"

    async def _time_zone(self, query: Query, change: ddl.SchemaChange) -> str:
        """Return the time zone under which the statement means the same on the target; raise UnsupportedEvent."""
        if query.time_zone != "SYSTEM":
            return query.time_zone
        await settle(self.session)
        if self.zone == await self.session.fetch_one(_ZONE) or (
            change.effect.keeps_rows and not change.effect.temporal
        ):
            return "SYSTEM"
        raise UnsupportedEvent(
            f"a statement in the time zone SYSTEM, which is another one on the target: {query}",
            hint="give both servers the same default_time_zone (a name or an offset); run this statement on the target"
            " by hand, then cdcd skip it",
        )

    async def _is_carried(self, change: ddl.SchemaChange, transaction: Transaction) -> bool:
        """Return whether the statement is to run on the target; raise UnsupportedEvent where that would be wrong."""
        query = transaction.query
        if change.kind == "other":
            log.info("statement_passed", verb=change.verb, gtid=str(transaction.gtid))
            return False
        carried = [self._carries(name) for name in change.objects]
        if self.link.ddl and change.verb == "DROP DATABASE":
            await self._check_drop(change.objects[0][0], carried=carried[0])
        if not any(carried):
            return False
        if not self.link.ddl:
            log.warning("ddl_not_carried", statement=str(query), gtid=str(transaction.gtid))
            return False
        if not all(carried) and change.verb != "DROP TABLE":
            raise UnsupportedEvent(
                f"a statement about tables of which the link carries only some: {query}",
                hint="carry all of them, or none; this one is for you to do on the target by hand",
            )
        if foreign := [name for name in change.reads if not self._carries(name)]:
            raise UnsupportedEvent(
                f"a statement that depends on {'.'.join(foreign[0])}, which the link does not carry: {query}",
                hint="carry it too, or run the statement on the target by hand",
            )
        if len(set(change.objects)) < len(change.objects) and self.is_paired:
            raise UnsupportedEvent(
                f"a statement that puts a table in another's place, while the target takes writes of its own: {query}",
                hint="rows that the target wrote before would stay in the table that goes: let nothing write to it, see"
                " that the reverse link has caught up, run the statement on the target by hand, then pass over it here",
            )
        return True

    async def _renames_others(self, change: ddl.SchemaChange, transaction: Transaction, progress: Progress) -> bool:
        """Return whether a RENAME TABLE is about views and sequences alone; raise UnsupportedEvent where not alone."""
        if change.verb != "RENAME TABLE" or not self.link.ddl or not any(map(self._carries, change.objects)):
            return False
        final: dict[TableName, TableName] = {}
        for old, new in zip(change.objects[::2], change.objects[1::2], strict=True):
            final[new] = final.pop(old, old)
        others = [name for name in final if await self._is_other(name, transaction, progress)]
        if others and len(others) < len(final):
            raise UnsupportedEvent(
                f"a statement that renames {'.'.join(others[0])}, a view or a sequence, which the link does not carry,"
                f" together with tables: {transaction.query}",
                hint=f"rename the tables on the target by hand, then {self._skip(transaction)}",
            )
        return bool(others)

    async def _is_other(self, name: TableName, transaction: Transaction, progress: Progress) -> bool:
        """Return whether a name is on the source a view's or a sequence's, and has been since the transaction."""
        kind = await table_type(self.foreign.source, self._folded(name))
        is_other = kind in ("VIEW", "SEQUENCE")
        return is_other and not await self.ahead.next_change(name, transaction.gtid, progress)

    def _check_filters(self, query: Query, change: ddl.SchemaChange, transaction: Transaction) -> None:
        names = map(self._folded, change.objects)
        filters = {name: text for name in names if (text := self.link.where.get(".".join(name))) is not None}
        if found := filtered.refusal(change, filters):
            table = ".".join(found[0])
            raise UnsupportedEvent(
                f"a statement that {found[1]}, while the link carries only some rows of {table} (where): {query}",
                hint=f"run it on the target by hand, put right which rows of {table} are there, change `where` if it no"
                " longer fits, compare with cdcd verify, then skip it",
            ).at(table=table, transaction=transaction.gtid)

    async def _check_temporary(
        self, query: Query, change: ddl.SchemaChange, transaction: Transaction, progress: Progress
    ) -> None:
        """Raise UnsupportedEvent where the statement may be about a temporary table of an ordinary one's name."""
        suspect = self.foreign.temporaries.suspect(query, change, self._folded)
        if change.verb == "RENAME TABLE":
            suspect = await self._not_renamed(change, transaction, progress)
        if suspect is not None:
            raise UnsupportedEvent(
                f"a statement that may be about a temporary table of the name {'.'.join(suspect)}: {query}",
                hint=f"if it is, cdcd skip --link {self.link.name} --gtid {transaction.gtid}; if it is about the"
                " ordinary table, run it on the target by hand, then skip it",
            ).at(table=".".join(suspect))

    async def _not_renamed(
        self, change: ddl.SchemaChange, transaction: Transaction, progress: Progress
    ) -> TableName | None:
        """Return a table that should be gone after RENAME TABLE and is still there on the source.

        What made one of its name later says that it was gone.
        """
        olds, news = change.objects[::2], change.objects[1::2]
        for name in olds:
            if name in news or await table_type(self.foreign.source, self._folded(name)) in ("", "VIEW"):
                continue
            if await self.ahead.next_change(name, transaction.gtid, progress) not in ("CREATE TABLE", "RENAME TABLE"):
                return name
        return None

    async def _check_drop(self, database: str, *, carried: bool) -> None:
        """A dropped database takes all its tables along: on the target those must be the ones that are carried."""
        target = self._target_name((database, ""))[0]
        await settle(self.session)
        rows = await self.session.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_type <> 'VIEW'"
            f" AND table_schema = {quote.text(target)} ORDER BY 1"
        )
        for table in (row[0].decode() for row in rows):  # This session has no charset of its own.
            if self._carries((database, table)) != carried:
                raise UnsupportedEvent(
                    f"DROP DATABASE {database}, which on the target holds {target}.{table}: the link carries"
                    f" {'not this table' if carried else 'this table, and not the database'}",
                    hint="drop on the target by hand what should go, then start the link again",
                )

    def _change(self, transaction: Transaction, source: SourceText, change: ddl.SchemaChange, zone: str) -> Change:
        query = transaction.query
        assert query is not None
        objects = tuple(self._target_name(name) for name in change.objects if self._carries(name))
        if any(not part.isprintable() for name in objects for part in name):
            raise UnsupportedEvent(
                f"a name that is no text: {query}", hint="give the table another name, on both sides"
            )
        if len(objects) == len(change.objects):
            statement = ddl.qualify(source.text, query.database, self._target_name, source.mode)
        else:
            statement = "DROP TABLE IF EXISTS " + ", ".join(map(quote.table, objects))
        return Change(
            link=self.link.name,
            origin=transaction.origin or self.link.source,
            gtid=str(transaction.gtid),
            verb=change.verb,
            objects=objects,
            digest=ddl.digest(source.text, source.mode),
            statement=source.encode(statement),
            query=query,
            timestamp=transaction.timestamp,
            time_zone=zone,
            effect=change.effect,
            # An engine that the target does not have must not keep other statements from it.
            defaults={
                name: value
                for name, value in self.defaults.items()
                if change.verb == "CREATE TABLE" or name != "default_storage_engine"
            },
        )

    def _carries(self, name: TableName) -> bool:
        return self.rules.carries(self._folded(name))

    def _target_name(self, name: TableName) -> TableName:
        return self.rules.target_name(self._folded(name))

    def _folded(self, name: TableName) -> TableName:
        return self.foreign.folded(name)


def _unknown(query: Query, change: ddl.SchemaChange) -> str:
    """Return what in the statement means something else under other settings of a session; "" where nothing does."""
    if not query.statement.isascii():
        return "how its letters are read (character_set_client)"
    if '"' in query.statement or "\\" in query.statement or "||" in query.statement:
        return "how its quotes, backslashes and bars are read (sql_mode)"
    return "which numbers the rows get (auto_increment_increment)" if change.effect.numbers else ""
