"""Writers' sessions: what they set for themselves, and what happens when a server ends one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from copy import copy

import pymysql
import pytest

from tests.fixtures.links import Both, running, wait_until
from tests.fixtures.servers import ServerFactory

CONTRARY = {
    "default-time-zone": "+05:00",
    "sql-mode": "NO_BACKSLASH_ESCAPES,ANSI_QUOTES,NO_ZERO_DATE,NO_ZERO_IN_DATE,STRICT_ALL_TABLES,PIPES_AS_CONCAT",
    "character-set-server": "latin1",
    "explicit-defaults-for-timestamp": "0",
    "transaction-isolation": "SERIALIZABLE",
    "autocommit": "0",
}
TABLE = """
CREATE TABLE t (
  id INT AUTO_INCREMENT PRIMARY KEY, n INT, happened TIMESTAMP(6) NULL, day DATE, text VARCHAR(50),
  plain VARCHAR(50) CHARACTER SET latin1, raw VARBINARY(50), CHECK (n <> 7)
) CHARACTER SET utf8mb4
"""
ROWS = """
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'; SET time_zone = '+00:00'; SET check_constraint_checks = 0;
INSERT INTO t VALUES (0, 1, '2024-06-01 12:00:00.123456', '0000-00-00', 'it''s \\\\ "é" 日本', 'ü\\n', x'00FF27225C0A');
INSERT INTO t VALUES (7, 7, NULL, '2024-02-30', '\\'\\'', '', ''), (8, 8, '2024-01-01', NULL, NULL, NULL, NULL);
UPDATE t SET text = CONCAT(text, '\\\\'), day = '2000-00-01';
"""


@pytest.mark.usefixtures("every_row_splits", "either_way")
async def test_values_arrive_whatever_the_target_s_defaults(server_factory: ServerFactory) -> None:
    """Time zone, SQL mode and charsets decide what a value means: a writer sets them, at every connect."""
    source, target = server_factory(), server_factory(CONTRARY)
    for server in (source, target):
        server.sql("CREATE DATABASE shop")
    both = Both(source, target, "shop")
    both.both(TABLE)
    query = "SET time_zone = '+00:00'; SELECT * FROM t ORDER BY id"
    async with running(both.link(), source, target) as link:
        both.only_source(ROWS)
        await link.caught_up()
        assert both.on_source(query) == both.on_target(query)

        await ended_sessions(both, link.runner.link.name)
        both.only_source("DELETE FROM t; " + ROWS)
        await link.caught_up()
        assert both.on_source(query) == both.on_target(query)
        assert 0 == link.runner.conflicts


async def ended_sessions(both: Both, link: str) -> None:
    """End the sessions that wrote for a link last; some may end by themselves meanwhile."""
    rows = both.target.sql(
        "SELECT p.id FROM information_schema.processlist p JOIN cdcd.checkpoint c ON c.session = p.id"
        f" WHERE c.link = '{link}' AND c.session > 0"
    )
    assert rows
    for (thread_id,) in rows:
        with suppress(pymysql.OperationalError):
            await asyncio.to_thread(both.target.sql, f"KILL {thread_id}")


@pytest.mark.usefixtures("every_row_splits", "either_way")
async def test_every_change_is_applied_once_though_sessions_are_ended(both: Both) -> None:
    """A lost session may have committed or not: counters that are added to would show either mistake."""
    both.both("CREATE TABLE counter (id INT PRIMARY KEY, n INT); INSERT INTO counter SELECT seq, 0 FROM seq_1_to_20")
    both.both("CREATE TABLE journal (at INT, n INT)")
    script = ";".join(
        f"UPDATE counter SET n = n + 1 WHERE id = {1 + i % 20}; INSERT INTO journal VALUES ({i}, {i % 3})"
        for i in range(60)
    )
    async with running(both.link(batch_transactions_max=20), both.source, both.target) as link:
        for _ in range(6):
            writing = asyncio.create_task(asyncio.to_thread(both.only_source, script))
            applied = link.runner.transactions
            await wait_until(lambda applied=applied: link.runner.transactions > applied or link.task.done())
            assert not link.task.done(), link.runner.error
            await ended_sessions(both, link.runner.link.name)
            await writing
        await link.caught_up()
        assert 0 == link.runner.conflicts
    both.assert_equal("counter", "journal")


def annotated(both: Both, since: tuple[str, int, str]) -> list[str]:
    """Return the statements that the target has logged as text since a position."""
    events = both.target.sql(f"SHOW BINLOG EVENTS IN '{since[0]}' FROM {since[1]}")
    return [event[5] for event in events if event[2] == "Annotate_rows"]


@pytest.mark.usefixtures("either_way")
async def test_what_is_sent_is_not_logged_as_text_too(both: Both) -> None:
    """The target's log would hold every row twice, and its other readers would read it twice."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY)")
    async with running(both.link(), both.source, both.target) as link:
        before = both.target.binlog_position()
        both.only_source("INSERT INTO t SELECT seq FROM seq_1_to_500")
        await link.caught_up()
    both.assert_equal("t")
    # Where the link is, noted once a minute and at the end, is not what was sent.
    assert [] == [text for text in annotated(both, before) if "cdcd.link" not in text]


@pytest.mark.usefixtures("either_way")
async def test_an_account_without_the_optional_privileges_carries_everything(both: Both) -> None:
    """They make it faster and the log smaller, and not everybody gives them."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY)")
    account = f"{both.database}@'%'"
    both.only_target(
        f"CREATE USER {account} IDENTIFIED BY 'secret'; GRANT ALL ON cdcd.* TO {account};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {both.database}.* TO {account}"
    )
    limited = copy(both.target)
    limited.user = both.database
    before = both.target.binlog_position()
    try:
        async with running(both.link(), both.source, limited) as link:
            both.only_source("INSERT INTO t SELECT seq FROM seq_1_to_500")
            await link.caught_up()
        assert 0 == link.contradicted
    finally:
        both.only_target(f"DROP USER {account}")
    both.assert_equal("t")
    assert any("INSERT INTO" in text and both.database in text for text in annotated(both, before))
