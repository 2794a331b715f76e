"""Whether a server's own log holds the marker: the other link of a pair knows by it what not to send back.

The servers behind a site's address may change while a daemon runs, so its target is asked at each connect.
"""

from __future__ import annotations

from cdcd.errors import PrecheckFailed
from cdcd.model.table import CHECKPOINT
from cdcd.mysql.log_filter import LogFilter, read_log_filter
from cdcd.mysql.session import Session


def unlogged(logged: LogFilter) -> tuple[str, str] | None:
    """Return what keeps the marker out of a log, and the option that mends it; None where nothing does."""
    if logged.keeps(CHECKPOINT[0]):
        return None
    option = "binlog_do_db" if logged.only else "binlog_ignore_db"
    verb = "add a line with" if logged.only else "remove the line"
    return (
        f"binlog_do_db or binlog_ignore_db keeps database {CHECKPOINT[0]} out of the log: without the"
        " marker the other link would send changes back",
        f"{option} = {CHECKPOINT[0]}    # {verb} this in the server's option file; then restart it",
    )


async def check_logged(session: Session) -> None:
    """Raise PrecheckFailed unless the server of a pair's target logs what is written there, the marker included."""
    logged = await read_log_filter(session)
    if logged is None:
        group = session.flavor.advice.option_group
        problem: tuple[str, str] | None = (
            "the binary log is off, so that the other link would miss what is written here",
            f"log_bin = binlog    # in {group} of the server's option file; then restart it",
        )
    else:
        problem = unlogged(logged)
    if problem is not None:
        raise PrecheckFailed(problem[0], hint=problem[1]).at(site=session.site.name)
