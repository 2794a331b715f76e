"""The target's own applier, which takes row events as statements: may it be handed any, and do they arrive?

It obeys some of what is set for a replica though its events come from a client. Errors that the server was told to pass
over end an event half-way, and are answered like a success. A filter that renames databases sends rows to another one.
Neither changes while a server runs, so both are asked once a connect. The renaming is seen by what it does, as
variables show it for the server's connections only: an event for a table that is nowhere is refused by the name of the
place where it was looked for. The server writes that refusal to its error log.

Sources: MariaDB's ``sql/log_event_server.cc``, ``Rows_log_event::do_apply_event``, ``ignored_error_code`` and
``Table_map_log_event::do_apply_event``.
"""

from __future__ import annotations

import struct

import structlog

from cdcd.apply.sql.marker_event import ROWS_FLAGS, TABLE_ID, TABLE_MAP, binlog_statement, event
from cdcd.apply.sql.row_events import format_description
from cdcd.errors import AccessDenied, ServerError
from cdcd.mysql import codes
from cdcd.mysql.flavor import NO_ERRORS
from cdcd.mysql.session import Session
from cdcd.row.cell import LONG

log = structlog.get_logger()

NOWHERE = "no such table: cdcd asks where its row events go"
_DELETE_ROWS_V1 = 25


class Applier:
    """What one session may hand to it. ``reached`` is what all sessions with the server have found of its databases."""

    def __init__(self, session: Session, reached: dict[str, bool]) -> None:
        self._session = session
        self._folds_names = False
        self._reached = reached

    async def refusal(self) -> str:
        """Make the session one that sends row events; return why it may not, "" where nothing speaks against it."""
        flavor = self._session.flavor
        if (able := flavor.row_events_as_statements) is None:
            return f"{flavor.name} takes no row events as statements"
        passed_over = f"@@GLOBAL.{flavor.variables.skipped_errors}"
        try:
            await self._session.execute(format_description(able.version.encode(), able.event_types))
            await self._session.execute(able.strictly + b"DO 1")
            [(errors, folds)] = await self._session.fetch(f"SELECT {passed_over}, @@GLOBAL.lower_case_table_names")
        except (AccessDenied, ServerError) as error:
            return error.message
        self._folds_names = bool(int(folds))
        shown = errors.decode() if isinstance(errors, bytes) else str(errors)
        return "" if shown in NO_ERRORS else f"the server passes over errors ({passed_over} is {shown})"

    async def reaches(self, database: str) -> bool:
        """Return whether events for a database's tables go there, and not to another database."""
        if (known := self._reached.get(database)) is None:
            known = self._reached[database] = await self._ask(database)
        return known

    async def _ask(self, database: str) -> bool:
        name = database.lower() if self._folds_names else database
        try:
            await self._session.execute(_event_for(database))
        except ServerError as error:
            if error.code == codes.NO_SUCH_TABLE and f"'{name}.{NOWHERE}'" in error.message:
                return True
            reason = error.message
        else:
            reason = "the server took an event for a table that is nowhere"
        log.info("rows_sent_as_sql", database=database, reason=reason)
        return False


def _event_for(database: str) -> bytes:
    """Return a statement with the event that deletes a row from a table that is nowhere."""
    names = b"".join(bytes([len(name)]) + name + b"\0" for name in (database.encode(), NOWHERE.encode()))
    table_map = TABLE_ID + b"\0\0" + names + bytes([1, LONG, 0, 0])
    row = TABLE_ID + struct.pack("<H", ROWS_FLAGS) + b"\1\1" + b"\0" + bytes(4)
    events = event(TABLE_MAP, 0, table_map) + event(_DELETE_ROWS_V1, 0, row)
    return binlog_statement(events)
