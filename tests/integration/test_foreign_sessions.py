"""Whatever a server's settings make of a new session, every session that cdcd opens is the same."""

from __future__ import annotations

import asyncio
import io
from contextlib import AsyncExitStack

import pytest

from cdcd.cli import position
from cdcd.config.schema import Config, Daemon, Link
from cdcd.errors import SourceLost, TargetLost
from cdcd.mysql.reader import Reader
from cdcd.precheck import precheck
from cdcd.runtime.link import LinkRunner
from cdcd.verify import verify
from tests.fixtures.links import RunningLink, wait_until
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.pair import AT_ONCE
from tests.fixtures.servers import ServerFactory
from tests.fixtures.sites import site

ACCOUNT = """
CREATE USER plain@'%' IDENTIFIED BY 'x';
GRANT REPLICATION SLAVE, BINLOG MONITOR, PROCESS, BINLOG REPLAY, BINLOG ADMIN ON *.* TO plain@'%';
GRANT ALL ON cdcd.* TO plain@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON shop.* TO plain@'%';
GRANT CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES ON shop.* TO plain@'%';
CREATE DATABASE shop;
CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40), c CHAR(9) NOT NULL, at TIMESTAMP NULL, d DATE);
CREATE TABLE shop.u (a INT NOT NULL, b VARCHAR(9) NOT NULL, UNIQUE (a, b));
"""

GLOBALS = {
    "plain": "sql_mode = ''",
    "ORACLE": "sql_mode = 'ORACLE,EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT'",
    "ANSI": "sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE,NO_ZERO_DATE'",
    "limits": "sql_select_limit = 1, max_join_size = 1, sql_safe_updates = 1, group_concat_max_len = 4,"
    " max_sort_length = 64, sql_auto_is_null = 1, lock_wait_timeout = 5",
    "times": "max_statement_time = 5, idle_transaction_timeout = 1, wait_timeout = 5, time_zone = '+09:00',"
    " net_read_timeout = 1, lc_messages = 'de_DE', lc_time_names = 'fr_FR'",
    "transactions": "completion_type = 'RELEASE', autocommit = 0, tx_read_only = 1, tx_isolation = 'SERIALIZABLE'",
    "text": "character_set_client = latin1, character_set_results = latin1, character_set_connection = cp1251,"
    " collation_connection = cp1251_general_ci, sql_quote_show_create = 0, old_mode = ''",
}
AT_CONNECT = {
    **{f"init_connect: {name}": f"SET {settings}" for name, settings in GLOBALS.items()},
    "an open transaction": "START TRANSACTION READ ONLY; SELECT * FROM shop.t",
    "locked tables": "LOCK TABLES shop.t READ",
    "another database": "USE information_schema",
    "the log": "SET sql_log_bin = 0, gtid_domain_id = 7, server_id = 99, binlog_format = 'STATEMENT',"
    " binlog_row_image = 'MINIMAL', skip_replication = 1; SET gtid_seq_no = 123456",
    "the clock": "SET timestamp = 1000000, insert_id = 5, sql_if_exists = 1, foreign_key_checks = 0",
}
# The application's own session, and the tests'.
SANE = "SET sql_mode = '', tx_read_only = 0, completion_type = 0, sql_safe_updates = 0, sql_big_selects = 1;"
ROWS = """
DELETE FROM t; INSERT INTO t (v, c, at, d) VALUES ('it''s \\\\ "é"', '',
'2020-02-02 02:02:02', '0000-00-00'), ('', 'x ', NULL, NULL);
INSERT INTO t (v, c, at, d) SELECT v, c, at, d FROM t; INSERT INTO t (v, c) SELECT REPEAT('a', seq % 40), seq
FROM seq_1_to_300; UPDATE t SET v = CONCAT(v, '''') WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0;
REPLACE INTO u VALUES (1, 'x'), (2, ''), (3, '\\\\');
"""


@pytest.fixture
def hostile(server_factory: ServerFactory) -> tuple[MariaDB, MariaDB]:
    """Give two servers with an account to which init_connect applies."""
    servers = (server_factory(), server_factory())
    for server in servers:
        server.sql(ACCOUNT)
    return servers


async def _everything(east: MariaDB, west: MariaDB, name: str) -> None:
    """Check, carry rows and a schema change, verify, ask for the position: all as the account."""
    sites = {key: site(server, key, user="plain", password="x") for key, server in (("east", east), ("west", west))}
    link = Link(name=name, source="east", target="west", tables=("shop.*",), ddl=True)
    config = Config(daemon=Daemon(), sites=sites, links={name: link})
    assert [] == [problem for problem in await precheck(config) if problem.is_error]
    [(before,)] = west.sql("SELECT @@GLOBAL.gtid_binlog_pos")
    runner = LinkRunner(link, sites["east"], sites["west"])
    running = RunningLink(runner, east)
    try:
        await wait_until(lambda: running.task.done() or runner._pipeline is not None)
        for statements in (ROWS, "ALTER TABLE u COMMENT 'é'", "DELETE FROM u"):
            await asyncio.to_thread(east.sql, SANE + statements, database="shop")
        await running.caught_up()
    finally:
        runner.drain()
        await asyncio.wait({running.task}, timeout=60)
    assert (0, None) == (runner.conflicts, runner.error)
    async with AsyncExitStack() as stack:
        here, there = await Reader.open(sites["east"], SourceLost), await Reader.open(sites["west"], TargetLost)
        for reader in (here, there):
            stack.push_async_callback(reader.close)
        report = await verify(link, here, there, AT_ONCE)
        assert [] == [found for table in report.tables for found in table.first]
    printed = io.StringIO()
    await position.run(config, "east", out=printed)
    [(logged,)] = east.sql("SELECT @@GLOBAL.gtid_binlog_pos")
    assert logged == printed.getvalue().strip()
    # What the link wrote is in the target's log, under the target's own name.
    [(after,)] = west.sql("SELECT @@GLOBAL.gtid_binlog_pos")
    assert int(after.split("-")[2]) > int(before.split("-")[2])
    assert after.split("-")[:2] == before.split("-")[:2]


async def test_a_link_does_not_depend_on_the_servers_defaults(hostile: tuple[MariaDB, MariaDB]) -> None:
    """A session begins with the server's global settings, which are the operator's for other programs."""
    east, west = hostile
    for number, (name, settings) in enumerate(GLOBALS.items()):
        kept = [part.split("=")[0].strip() for part in settings.split(", ") if "=" in part]
        for server in hostile:
            server.sql("".join(f"SET GLOBAL {part};" for part in settings.split(", ")))
        try:
            await _everything(east, west, f"link_{number}")
        except BaseException as error:
            error.add_note(name)
            raise
        for server in hostile:
            server.sql(SANE + "".join(f"SET GLOBAL {part} = DEFAULT;" for part in kept))


async def test_a_link_does_not_depend_on_init_connect(hostile: tuple[MariaDB, MariaDB]) -> None:
    """It runs in every session of an ordinary account, and may leave anything behind."""
    east, west = hostile
    for number, (name, statement) in enumerate(AT_CONNECT.items()):
        for server in hostile:
            server.sql('SET GLOBAL init_connect = "' + statement + '"')
        try:
            await _everything(east, west, f"link_{number}")
        except BaseException as error:
            error.add_note(name)
            raise
        for server in hostile:
            server.sql("SET GLOBAL init_connect = ''")
