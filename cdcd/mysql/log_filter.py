"""Which databases a server writes to its binary log."""

from __future__ import annotations

from dataclasses import dataclass

from cdcd.mysql.session import Session


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which databases' changes a server writes to its log (binlog_do_db, binlog_ignore_db)."""

    only: frozenset[str]
    ignored: frozenset[str]

    def keeps(self, database: str) -> bool:
        """Return whether row changes in the database reach the log."""
        return database in self.only if self.only else database not in self.ignored


async def read_log_filter(session: Session) -> LogFilter | None:
    """Return a server's filter, None where there is no log; raise AccessDenied where the account may not ask."""
    row = await session.fetch_one(session.flavor.log.end)
    return LogFilter(_split(row[2]), _split(row[3])) if row else None


def _split(names: str) -> frozenset[str]:
    return frozenset(name for name in names.split(",") if name)
