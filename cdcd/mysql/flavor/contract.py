"""Which data a flavor holds. A template's fields stand in braces; values in them are quoted by whoever fills it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

NO_ERRORS = frozenset({"", "OFF"})
"""What ``Variables.skipped_errors`` shows where the server was told to pass over none."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Numbers of a server's errors by what they mean, where kinds of servers differ; ``mysql.codes`` has the others.

    The defaults are what the family shares (``include/mysqld_error.h``); a flavor adds its own: MariaDB's and MySQL's
    numbers part at 1900. 2059 and 2061 are the driver's own, of an authentication plug-in that it does not have or
    that failed; 0 is a connection that ended without a word.
    """

    denied: frozenset[int] = frozenset({1044, 1045, 1142, 1143, 1227, 1251, 1370, 1410, 1698, 2059, 2061})
    lost: frozenset[int] = frozenset({
        0, 1040, 1047, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1317,
    })  # fmt: skip
    full: frozenset[int] = frozenset({1040, 1203, 1226})  # of connections
    # Tried again: rows or transactions in the way, a server that takes no writes now, and a full disk (3, 1021, 1026,
    # 1114, as InnoDB's 1030 may be).
    busy: frozenset[int] = frozenset({3, 1020, 1021, 1026, 1114, 1205, 1213, 1290, 1637, 1792, 1836})
    cut_off: frozenset[int] = frozenset({1053, 1184, 1317})  # of statements that were ended half-way
    names_only: frozenset[int] = frozenset()  # whose messages hold no value of a row, besides ``messages``' own

    def joined(self, other: Errors) -> Errors:
        """Return what either of two flavors means."""
        return Errors(**{each.name: getattr(self, each.name) | getattr(other, each.name) for each in fields(self)})


@dataclass(frozen=True, slots=True)
class Log:
    """How a server is asked for its log.

    ``position`` asks for where it ends, ``end`` for the same as a file and an offset (and which databases it keeps),
    and ``position_of`` turns these into the same kind of position; ``written`` asks for the last GTID of each domain
    and server, ``written_here`` for where it ends and for the domain in which the session would write.
    """

    position: str  # MySQL: @@global.gtid_executed
    # {file} {offset}. MySQL has no such function: there the event with which each file begins (Previous_gtids) tells
    # it, so this becomes a field that may be None, and ``source`` has the other way.
    position_of: str
    end: str  # MySQL from 8.4 on: SHOW BINARY LOG STATUS
    written: str
    written_here: str
    earliest: str
    between: frozenset[str]  # what SHOW BINLOG EVENTS calls events that are in no transaction, or begin one
    kept: Mapping[str, int]  # variables that say how long it is kept, each with the seconds of its unit
    replica_settings: tuple[str, ...]  # of the connection that reads it: {position} {heartbeat_nanoseconds}
    dump: Callable[[str, int], tuple[int, bytes]]  # the command and its body, for a position and a server_id


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a server says of itself and of its tables, where the family has no common way to ask."""

    identity: tuple[str, ...]  # variables that together are no other server's (MySQL: server_uuid)
    status_value: str  # an expression: {name} (MySQL: of performance_schema.global_status)
    definition: str  # a query for the whole definition of a {table}, whatever the session's sql_mode
    foreign_keys: str  # InnoDB's list of all of them, by ref_name (MySQL 8: information_schema.innodb_foreign)
    tables: str  # InnoDB's list of all of them, by name (MySQL 8: information_schema.innodb_tables)
    not_generated: str  # a condition on information_schema.columns
    contextual_collations: str | None  # a query for those that information_schema.collations leaves out
    replication_threads: str  # a query with a row where the server's own replication runs


@dataclass(frozen=True, slots=True)
class Variables:
    """The server's names for settings that the precheck judges; None where it has no such setting."""

    logs_replicated: str  # what its own replication brings goes to its log (MySQL from 8.0.26 on: log_replica_updates)
    strict_order: str | None  # a transaction whose number goes back is refused
    replicated: str | None  # up to where its own replication has come
    takes_some: tuple[str, ...]  # which databases or tables its own replication takes
    logs_text: str | None  # the text of statements goes to the log beside their rows
    skipped_errors: str  # numbers of errors that its applier passes over; NO_ERRORS where there are none

    @property
    def named(self) -> frozenset[str]:
        """All of them that the server has."""
        names = (
            self.logs_replicated,
            self.strict_order,
            self.replicated,
            *self.takes_some,
            self.logs_text,
            self.skipped_errors,
        )
        return frozenset(name for name in names if name is not None)


@dataclass(frozen=True, slots=True)
class Privileges:
    """What GRANT calls privileges; ``synonyms`` are what other versions print for the same one."""

    read_log: tuple[str, ...]
    replay: str  # row events are handed to the server as they are
    leave_out_text: str  # a session may keep the text of its statements out of the log
    write_read_only: str  # rows may be written while the server is read-only
    synonyms: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Advice:
    """What an operator is told to do there."""

    option_group: str  # of the option file
    dump: str  # the program that writes a table's definition
    end_replication: str


@dataclass(frozen=True, slots=True)
class SchemaChanges:
    """What a statement of the log needs to mean the same on another server of this flavor.

    ``logged`` are the variables that an event tells of, each with the name in ``model.query.Query``; ``unlogged`` are
    those that it does not tell: the source's own count.
    """

    logged: Mapping[str, str]
    unlogged: tuple[str, ...]
    in_system_zone: str  # {query}: runs it in the time zone SYSTEM, and leaves the session in its own


@dataclass(frozen=True, slots=True)
class RowEvents:
    """Row events as statements: the server hands them to its own applier (``BINLOG '…'``)."""

    version: str  # of a server whose events are laid out as ours; it tells the applier how to read them
    event_types: int  # how many of them that version knows
    strictly: bytes  # begins such a statement, and fails it where what the rows contradict would be no error


@dataclass(frozen=True, slots=True)
class Flavor:
    """One kind of server.

    ``session_settings`` open every session: all that our statements depend on, whatever the server's defaults are and
    whatever ``init_connect`` did before; ``log_settings`` are variables with the values that they must have, which
    only a privileged account may set. ``writer_settings`` make a session store exactly the values that it is given:
    an AUTO_INCREMENT column a zero (NO_AUTO_VALUE_ON_ZERO), a date what stands there, bytes as they are.
    ``leniently`` begins a statement that a strict server would refuse for a value that is only implied.
    ``without_text`` keeps the text of a session's statements out of the log, None where it is never there.
    """

    name: str
    answers_to: re.Pattern[str]  # found in the version text of such a server, and of no other
    session_settings: tuple[str, ...]
    log_settings: Mapping[str, str]
    writer_settings: tuple[str, ...]
    leniently: bytes
    without_text: str | None
    errors: Errors
    log: Log
    catalog: Catalog
    variables: Variables
    privileges: Privileges
    advice: Advice
    schema_changes: SchemaChanges
    row_events_as_statements: RowEvents | None
