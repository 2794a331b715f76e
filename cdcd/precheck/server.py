"""What a server says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cdcd.config.schema import Site
from cdcd.errors import AccessDenied
from cdcd.model.position import parse_gtids
from cdcd.model.table import TableName
from cdcd.mysql.flavor import Flavor
from cdcd.mysql.log_filter import LogFilter, read_log_filter
from cdcd.mysql.session import Session
from cdcd.precheck.grants import Grants
from cdcd.sql import quote

# Besides those that a flavor names.
VARIABLES = (
    "auto_increment_increment",
    "auto_increment_offset",
    "binlog_expire_logs_seconds",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_metadata",
    "innodb_flush_log_at_trx_commit",
    "log_bin",
    "lower_case_table_names",
    "max_allowed_packet",
    "read_only",
    "server_id",
    "sync_binlog",
)


@dataclass(frozen=True, slots=True)
class Server:
    """One site's server, at the moment of the check. Variables that it does not know are missing."""

    site: Site
    flavor: Flavor
    variables: Mapping[str, str]
    grants: Grants
    account: str  # quoted, as GRANT wants it
    logged: LogFilter | None  # None: the account may not ask, or there is no log
    clock_seconds: float
    clock_error_seconds: float
    replicates: bool  # it runs threads of its own replication, as far as the account may see

    @property
    def path(self) -> str:
        """Where the file describes this server."""
        return f"sites.{self.site.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        """What two connections to the same server have in common."""
        return tuple(self.variables.get(name, "") for name in self.flavor.catalog.identity)

    @property
    def folds_names(self) -> bool:
        """Whether the case of a table's name means nothing to the server, which may store it in lower case."""
        return self.variables.get("lower_case_table_names", "0") != "0"

    def folded(self, name: TableName) -> TableName:
        """Return the form in which two names of one table are the same."""
        return (name[0].lower(), name[1].lower()) if self.folds_names else name

    @property
    def takes_some(self) -> bool:
        """Whether its own replication is told which databases or tables to take."""
        return any(self.variables.get(name) for name in self.flavor.variables.takes_some)

    def replicates_from(self, other: Server) -> bool:
        """Return whether its own replication runs, and has brought what another server has executed."""
        position = self.value(self.flavor.variables.replicated)
        return self.replicates and other.number("server_id") in {gtid.server for gtid in parse_gtids(position)}

    def value(self, variable: str | None) -> str:
        """Return a variable, "" where the server does not have it."""
        return self.variables.get(variable or "", "")

    def number(self, variable: str) -> int | None:
        """Return a variable that is a number, None where the server does not have it."""
        value = self.variables.get(variable, "")
        return int(value) if value.isdecimal() else None


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What ``model.table`` leaves out because only the precheck asks."""

    transactional: bool
    engine: str
    counts_up: bool  # has an AUTO_INCREMENT column
    required: tuple[str, ...]  # columns that an INSERT must name


async def probe(session: Session) -> Server:
    """Ask a server everything that does not depend on tables."""
    flavor = session.flavor
    names = ",".join(map(quote.text, {*VARIABLES, *flavor.catalog.identity, *flavor.variables.named}))
    variables = dict(await session.fetch(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names})"))
    grants = Grants.parse((row[0] for row in await session.fetch("SHOW GRANTS")), flavor.privileges.synonyms)
    [(account,)] = await session.fetch("SELECT CURRENT_USER()")
    user, _, host = account.rpartition("@")
    clock, uncertainty = await _clock(session)
    return Server(
        session.site,
        flavor,
        variables,
        grants,
        f"{quote.identifier(user)}@{quote.identifier(host)}",
        await _log_filter(session),
        clock,
        uncertainty,
        bool(await session.fetch(flavor.catalog.replication_threads)),
    )


async def read_facts(session: Session, wanted: Callable[[TableName], bool]) -> dict[TableName, TableFacts]:
    """Return the facts of the wanted tables, in three queries however many tables there are."""
    transactional = {
        row[0]
        for row in await session.fetch("SELECT engine FROM information_schema.engines WHERE transactions = 'YES'")
    }
    required: dict[TableName, list[str]] = {}
    for database, table, column in await session.fetch(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns"
        " WHERE is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%'"
        f" AND {session.flavor.catalog.not_generated}"
    ):
        required.setdefault((database, table), []).append(column)
    return {
        (database, table): TableFacts(
            engine in transactional,
            engine or "no engine",
            counter is not None,
            tuple(required.get((database, table), ())),
        )
        for database, table, engine, counter in await session.fetch(
            "SELECT table_schema, table_name, engine, auto_increment FROM information_schema.tables"
            " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        )
        if wanted((database, table))
    }


async def list_sequences(session: Session) -> list[TableName]:
    """Return every SEQUENCE object: their changes are in the log as if they were tables."""
    rows = await session.fetch(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'SEQUENCE' ORDER BY 1, 2"
    )
    return [(database, table) for database, table in rows]


async def _clock(session: Session) -> tuple[float, float]:
    """Return how far the server's clock is ahead of ours, and how wrong that may be, in seconds."""
    before = time.time()
    [(there,)] = await session.fetch("SELECT UNIX_TIMESTAMP(NOW(6))")
    after = time.time()
    return float(there) - (before + after) / 2, (after - before) / 2


async def _log_filter(session: Session) -> LogFilter | None:
    try:
        return await read_log_filter(session)
    except AccessDenied:
        return None
