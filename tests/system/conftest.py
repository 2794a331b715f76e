"""Databases on both shared servers, daemons that end with the test, and what several systems tests ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.daemon import Daemon, until
from tests.fixtures.links import Both
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.sites import HEARTBEAT_SECONDS
from tests.system import ledger


@pytest.fixture
def both(east: MariaDB, west: MariaDB, database: str) -> Callable[[str], None]:
    """Run statements in the database on both servers."""
    return Both(east, west, database).both


@pytest.fixture
def daemon_factory(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Make a daemon of sites and links; all of them end with the test."""
    with ExitStack() as daemons:

        def make(sites: dict[str, Any], links: dict[str, dict[str, Any]]) -> Daemon:
            folder = tmp_path / f"daemon{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            daemon = Daemon(folder, sites, links)
            daemons.callback(daemon.close)
            return daemon

        yield make


@pytest.fixture
def pair(east: MariaDB, west: MariaDB, database: str, daemon_factory: Callable[..., Daemon]) -> Callable[..., Daemon]:
    """Make the daemon of an active-active pair over the shared servers; links are named after the database."""

    def make(**keys: Any) -> Daemon:
        common = {"tables": [f"{database}.*"], "heartbeat_seconds": HEARTBEAT_SECONDS, **keys}
        links = {
            f"{database}_f": {"source": "east", "target": "west", **common},
            f"{database}_r": {"source": "west", "target": "east", **common},
        }
        return daemon_factory({"east": east, "west": west}, links)

    return make


def equal(east: MariaDB, west: MariaDB, database: str) -> bool:
    """Return whether both ledgers are complete, and the same."""
    return ledger.count(east, database) == ledger.count(west, database) and (
        ledger.rows(east, database) == ledger.rows(west, database)
    )


def quiet(daemon: Daemon, *servers: MariaDB, heartbeats: int = 3) -> None:
    """Wait until the servers' logs have stood still while every link lived through several heartbeats."""

    def stands() -> bool:
        before = [server.binlog_position() for server in servers]
        heard = {name: link["stages"]["source"]["chunks"] for name, link in daemon.status.items()}
        until(
            lambda: (
                (status := daemon.status)
                and all(status[name]["stages"]["source"]["chunks"] >= heard[name] + heartbeats for name in heard)
            )
        )
        return before == [server.binlog_position() for server in servers]

    until(stands)
