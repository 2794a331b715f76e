"""The servers' own replication beside a link: what it brings back or leaves out is told, and never carried twice."""

from __future__ import annotations

import pytest

from cdcd.errors import UnsupportedEvent
from cdcd.precheck import precheck
from tests.fixtures.links import running, wait_until
from tests.fixtures.sites import a_link
from tests.integration.precheck.conftest import configure

TABLE = "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 0)"


def replicate(replica, upstream, options=""):
    """Let a server replicate from another by itself, from now on."""
    replica.sql(
        f"SET GLOBAL gtid_slave_pos = '{upstream.binlog_position()[2]}'; {options}"
        f"CHANGE MASTER TO MASTER_HOST='{upstream.host}', MASTER_PORT={upstream.port}, MASTER_USER='cdcd',"
        " MASTER_PASSWORD='secret', MASTER_USE_GTID=slave_pos; START SLAVE"
    )


@pytest.fixture
def pair(server_factory):
    """A server, and one that was made of it."""
    servers = server_factory(), server_factory()
    for server in servers:
        server.sql(f"SET sql_log_bin = 0; {TABLE}")
    return servers


@pytest.mark.parametrize(
    "going_on",
    ["SET GLOBAL slave_exec_mode = 'IDEMPOTENT'; ", "SET GLOBAL replicate_wild_ignore_table = 'cdcd.%'; "],
)
async def test_what_the_target_has_executed_itself_is_not_carried_back(pair, going_on):
    """As old values over newer ones it would lose updates, and without its marker it would go round for ever."""
    target, source = pair
    source.sql("SET GLOBAL gtid_domain_id = 7")  # Else numbers of one domain go back, which stops the link too.
    replicate(source, target, going_on)
    async with running(a_link("shop"), source, target) as link:
        target.sql("UPDATE shop.t SET n = n + 1")
        error = await link.stopped()
    assert isinstance(error, UnsupportedEvent), error
    assert "server_id of the link's own target" in str(error)
    assert [(1,)] == target.sql("SELECT n FROM shop.t")


async def test_what_the_target_has_executed_elsewhere_is_passed_over(pair):
    """Replication of other databases is no concern of the link."""
    target, source = pair
    for server in pair:
        server.sql("SET sql_log_bin = 0; CREATE DATABASE other; CREATE TABLE other.t (n INT PRIMARY KEY)")
    replicate(source, target, "SET GLOBAL replicate_do_db = 'other'; ")
    async with running(a_link("shop"), source, target) as link:
        target.sql("USE other; INSERT INTO t VALUES (1); ALTER TABLE t ADD COLUMN m INT")
        await wait_until(lambda: [(1,)] == source.sql("SELECT n FROM other.t"))
        source.sql("UPDATE shop.t SET n = 7")
        await link.caught_up()
    assert [(7,)] == target.sql("SELECT n FROM shop.t")


@pytest.mark.parametrize("is_source", [True, False])
async def test_check_names_a_link_beside_replication_of_the_same_servers(pair, is_source):
    """Once it runs, rows are lost or the servers' own replication breaks."""
    upstream, replica = pair
    replicate(replica, upstream)
    upstream.sql("UPDATE shop.t SET n = 1")
    await wait_until(lambda: [(1,)] == replica.sql("SELECT n FROM shop.t"))
    source, target = (replica, upstream) if is_source else (upstream, replica)
    problems = await precheck(configure(source, target, "shop"))
    assert ["replicates"] == [problem.text.split()[1] for problem in problems if problem.is_error], problems
    replica.sql("STOP SLAVE")
    assert not [problem for problem in await precheck(configure(source, target, "shop")) if problem.is_error]


async def test_check_names_a_source_that_does_not_log_what_it_replicates(server_factory):
    """Its replicated changes would never be carried, and everything would look well."""
    upstream, source, target = server_factory(), server_factory({"log-slave-updates": None}), server_factory()
    for server in (upstream, source, target):
        server.sql(f"SET sql_log_bin = 0; {TABLE}")
    replicate(source, upstream)
    await wait_until(lambda: source.sql("SELECT 1 FROM information_schema.processlist WHERE command = 'Slave_IO'"))
    problems = await precheck(configure(source, target, "shop"))
    assert ["log_slave_updates is OFF"] == [problem.text.split(":")[0] for problem in problems if problem.is_error]
