"""Judge one server in the roles that the links give it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cdcd.checkpoint.logged import unlogged
from cdcd.model.table import CHECKPOINT
from cdcd.mysql.flavor import NO_ERRORS
from cdcd.precheck import grants
from cdcd.precheck.problem import Problem
from cdcd.precheck.server import Server

EXPIRE_SECONDS_MIN = 24 * 60 * 60
IN_FILE_TOO = "  -- and in the server's option file, so that it lasts"


@dataclass(frozen=True, slots=True)
class Roles:
    """What the links ask of a server."""

    is_source: bool
    is_target: bool
    is_paired: bool  # source and target of two opposite links


def check_site(server: Server, roles: Roles) -> Iterator[Problem]:
    """Yield what is wrong with a server by itself."""
    if roles.is_source:
        yield from _check_source(server, roles)
    if roles.is_target:
        yield from _check_target(server, roles)


def _check_source(server: Server, roles: Roles) -> Iterator[Problem]:
    group = server.flavor.advice.option_group
    if server.variables.get("log_bin") != "ON":
        text = "the binary log is off, so there is nothing to follow"
        yield Problem.error(
            server.path,
            text,
            f"log_bin = binlog    # in {group} of the server's option file; then restart it",
        )
        return
    yield from _check_log_format(server, roles)
    yield from _check_durability(server)
    yield from _check_replica(server)
    if missing := [privilege for privilege in server.flavor.privileges.read_log if not server.grants.allow(privilege)]:
        text = f"the account lacks {' and '.join(missing)}, which reading the log needs"
        yield Problem.error(server.path, text, grants.statement(missing, "", server.account))


def _check_log_format(server: Server, roles: Roles) -> Iterator[Problem]:
    variables, path = server.variables, server.path
    if (value := variables.get("binlog_format")) != "ROW":
        text = f"binlog_format is {value}: changes would be logged as statements, which can't be carried"
        fix = f"SET GLOBAL binlog_format = 'ROW';{IN_FILE_TOO}; sessions that are open keep the old format"
        yield Problem.error(path, text, fix)
    if (value := variables.get("binlog_row_image")) != "FULL":
        text = f"binlog_row_image is {value}: rows are logged without columns that " + (
            "telling a conflict on an active-active pair needs" if roles.is_paired else "a changed row can be found by"
        )
        make = Problem.error if roles.is_paired else Problem.warning
        yield make(path, text, f"SET GLOBAL binlog_row_image = 'FULL';{IN_FILE_TOO}")
    if (value := variables.get("binlog_row_metadata")) not in (None, "FULL"):
        text = (
            f"binlog_row_metadata is {value}: column names then come from the table as it is now, and a link"
            " stops where that can't be proven to fit an older event"
        )
        yield Problem.warning(path, text, f"SET GLOBAL binlog_row_metadata = 'FULL';{IN_FILE_TOO}")


def _check_replica(server: Server) -> Iterator[Problem]:
    """Yield what keeps changes that a source replicates by itself from being carried, or told apart by position."""
    variables, group = server.flavor.variables, server.flavor.advice.option_group
    if server.replicates and server.value(name := variables.logs_replicated) != "ON":
        text = f"{name} is OFF: what the server replicates from elsewhere is not in its log, and not carried"
        fix = f"{name} = ON    # in {group} of the server's option file; then restart it"
        yield (Problem.warning if server.takes_some else Problem.error)(server.path, text, fix)
    if server.replicates and server.value(strict := variables.strict_order) == "OFF":
        text = (
            f"{strict} is OFF while the server replicates: it may log transactions whose numbers go back, where"
            " a link stops"
        )
        yield Problem.warning(server.path, text, f"SET GLOBAL {strict} = ON;{IN_FILE_TOO}")


def _check_durability(server: Server) -> Iterator[Problem]:
    for name in ("sync_binlog", "innodb_flush_log_at_trx_commit"):
        if server.number(name) not in (None, 1):
            text = (
                f"{name} is {server.number(name)}: a crash of the server may take back transactions"
                " that the target has already"
            )
            yield Problem.warning(server.path, text, f"SET GLOBAL {name} = 1;{IN_FILE_TOO}")
    seconds = server.number("binlog_expire_logs_seconds")
    if seconds and seconds < EXPIRE_SECONDS_MIN:
        text = f"the log is purged after {seconds} s: a link that is down for longer must copy all data again"
        fix = f"SET GLOBAL binlog_expire_logs_seconds = {7 * EXPIRE_SECONDS_MIN};{IN_FILE_TOO}"
        yield Problem.warning(server.path, text, fix)


def _check_applier(server: Server) -> Iterator[Problem]:
    """Yield what keeps rows from being handed to the server's own applier."""
    slower = "rows go as SQL, which is about twice the work for the target"
    replay = server.flavor.privileges.replay
    if not (server.grants.allow(replay) or server.grants.allow("SUPER")):
        text = f"the account lacks {replay}: {slower}"
        yield Problem.warning(server.path, text, grants.statement([replay], "", server.account))
    elif (errors := server.value(name := server.flavor.variables.skipped_errors)) not in NO_ERRORS:
        text = f"{name} is {errors}, and the server's own applier would leave rows out at such an error: {slower}"
        fix = f"{name} = OFF    # in {server.flavor.advice.option_group} of the server's option file; then restart it"
        yield Problem.warning(server.path, text, fix)


def _check_target(server: Server, roles: Roles) -> Iterator[Problem]:
    privileges = server.flavor.privileges
    if server.variables.get("read_only") == "ON" and not server.grants.allow(privileges.write_read_only):
        # It may be so while another server takes over, which is what links wait for.
        yield Problem.error(server.path, "the target is read-only", "SET GLOBAL read_only = OFF;", transient=True)
    lacking = server.grants.missing(grants.KEEP_CHECKPOINTS, [CHECKPOINT])
    for database, lacks, _ in grants.by_database(lacking):
        text = f"the account lacks {', '.join(lacks)} on database {database}, where checkpoints are kept"
        yield Problem.error(server.path, text, grants.statement(lacks, database, server.account))
    if server.flavor.row_events_as_statements is not None:
        yield from _check_applier(server)
    annotates = (server.variables.get("log_bin"), server.value(option := server.flavor.variables.logs_text))
    if annotates == ("ON", "ON") and not (
        server.grants.allow(privileges.leave_out_text) or server.grants.allow("SUPER")
    ):
        text = (
            f"{option} is ON, and the account lacks {privileges.leave_out_text}: the target's log holds"
            " what cdcd sends as text too, beside its rows, and grows to twice the size"
        )
        fix = grants.statement([privileges.leave_out_text], "", server.account)
        yield Problem.warning(server.path, text, f"{fix} -- or {option} = OFF for the whole server")
    if roles.is_paired and server.logged and (problem := unlogged(server.logged)):
        yield Problem.error(server.path, *problem)
