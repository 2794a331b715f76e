"""What a server's settings would lose or break is named before anything moves."""

from dataclasses import replace

import pytest

from cdcd.errors import Lost
from cdcd.mysql.session import Session
from cdcd.precheck import check, precheck
from cdcd.precheck.pair import check_pair
from cdcd.precheck.server import probe
from tests.fixtures.links import wait_until
from tests.fixtures.mariadb import free_port
from tests.fixtures.sites import site
from tests.integration.precheck.conftest import configure

ODD_SOURCE = {
    "binlog-format": "MIXED",
    "binlog-row-image": "MINIMAL",
    "binlog-row-metadata": "NO_LOG",
    "sync-binlog": "0",
    "innodb-flush-log-at-trx-commit": "2",
    "binlog-expire-logs-seconds": "3600",
    "max-allowed-packet": "128M",
}
TABLE = "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY)"


@pytest.fixture
def shop(west):
    """Return the shared target, with a table to carry into."""
    west.sql(TABLE)
    yield west
    west.sql("DROP DATABASE shop")


def source(server_factory, **options):
    """Start a server with its own options and a table to carry."""
    server = server_factory({name.replace("_", "-"): value for name, value in options.items()})
    server.sql(TABLE)
    return server


def summary(problems):
    """Return how bad each problem is, where it is, and how its text begins."""
    return [(problem.level, problem.path, problem.text.split(":")[0]) for problem in problems]


async def test_every_odd_setting_is_named_with_what_sets_it_right(server_factory, shop):
    """The statements, run as printed on the server that is named, leave nothing to complain about."""
    east = source(server_factory, **ODD_SOURCE)
    config = configure(east, shop, "shop")
    problems = await precheck(config)

    assert [
        ("error", "sites.east", "binlog_format is MIXED"),
        ("warning", "sites.east", "binlog_row_image is MINIMAL"),
        ("warning", "sites.east", "binlog_row_metadata is NO_LOG"),
        ("warning", "sites.east", "sync_binlog is 0"),
        ("warning", "sites.east", "innodb_flush_log_at_trx_commit is 2"),
        ("warning", "sites.east", "the log is purged after 3600 s"),
        (
            "warning",
            "links.forward",
            "max_allowed_packet of west (67108864 bytes) is below that of east (134217728)",
        ),
    ] == summary(problems)

    for problem in problems[:-1]:
        east.sql(problem.fix)

    assert problems[-1:] == await precheck(config)


async def test_a_pair_needs_the_whole_row(server_factory, shop):
    """A conflict is told by the columns before the change, so MINIMAL is an error on a pair only."""
    east = source(server_factory, binlog_row_image="MINIMAL")

    assert [("warning", "sites.east", "binlog_row_image is MINIMAL")] == summary(
        await precheck(configure(east, shop, "shop"))
    )
    assert [("error", "sites.east", "binlog_row_image is MINIMAL")] == summary(
        await precheck(configure(east, shop, "shop", paired=True))
    )


async def test_settings_of_the_log_do_not_matter_on_a_mere_target(server_factory, shop):
    """Nobody reads a target's log on a one-way link, so it may be off."""
    west = source(server_factory, log_bin=None, binlog_format="STATEMENT")

    assert [] == await precheck(configure(shop, west, "shop"))


async def test_a_source_needs_a_log(server_factory, shop):
    """Without it a server has nothing to send."""
    east = source(server_factory, log_bin=None)

    assert [
        ("error", "sites.east", "the binary log is off, so there is nothing to follow"),
    ] == summary(await precheck(configure(east, shop, "shop")))


async def test_the_marker_must_reach_the_log_of_a_pair(server_factory, shop):
    """Without it the other link takes what cdcd wrote for a user's change, for ever."""
    east = source(server_factory, binlog_ignore_db="cdcd")
    [problem] = await precheck(configure(east, shop, "shop", paired=True))

    assert (True, "sites.east") == (problem.is_error, problem.path)
    assert "keeps database cdcd out of the log" in problem.text
    assert problem.fix.startswith("binlog_ignore_db = cdcd ")
    assert [] == await precheck(configure(east, shop, "shop"))


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        ("binlog_ignore_db", "shop", False),
        ("binlog_ignore_db", "test", True),
        ("binlog_do_db", "test", False),
        ("binlog_do_db", "shop", True),
    ],
)
async def test_carried_databases_must_reach_the_log(server_factory, shop, option, value, kept):
    """A filter on the source is a silent loss."""
    east = source(server_factory, **{option: value})
    problems = await precheck(configure(east, shop, "shop"))
    expected = f"{option} on east keeps changes in database shop out of the log"

    assert ([] if kept else [("error", "links.forward", expected)]) == summary(problems)


async def test_both_sites_need_their_own_server_id(server_factory, shop):
    """GTIDs name the server that wrote, so equal ids make two transactions look like one."""
    [(server_id,)] = shop.sql("SELECT @@server_id")
    east = source(server_factory, server_id=str(server_id))
    [problem] = await precheck(configure(east, shop, "shop"))

    assert (True, "links.forward") == (problem.is_error, problem.path)
    assert f"sites east and west have the same server_id {server_id}" in problem.text


async def test_one_server_cannot_be_two_sites(shop):
    """A link to itself would carry its own changes round and round."""
    problems = await precheck(configure(shop, shop, "shop", paired=True))

    [problem] = problems
    assert "links.forward" == problem.path
    assert "are the same server" in problem.text


async def test_a_read_only_target_is_an_error_that_may_pass(server_factory, shop):
    """Unless the account may write all the same; a daemon that starts in a failover must not give up."""
    west = source(server_factory)
    west.sql("SET GLOBAL read_only = ON")
    config = configure(shop, west, "shop")

    assert [] == await precheck(config)

    west.sql("REVOKE CONNECTION ADMIN ON *.* FROM cdcd@'%'")

    assert [] == await precheck(config)

    west.sql("REVOKE READ ONLY ADMIN ON *.* FROM cdcd@'%'")
    [problem] = await precheck(config)

    assert ("sites.west", "the target is read-only", True) == (problem.path, problem.text, problem.transient)

    west.sql(problem.fix)

    assert [] == await precheck(config)


@pytest.mark.parametrize(("ahead_seconds", "warned"), [(-100, True), (100, True), (0, False)])
async def test_clocks_that_differ_are_a_warning(shop, ahead_seconds, warned):
    """Lag is the difference of two clocks."""
    session = await Session.open(site(shop, "east"), Lost)
    try:
        east = await probe(session)
    finally:
        await session.close()
    identity = {**east.variables, "server_uid": "another", "server_id": "77"}
    west = replace(
        east,
        site=site(shop, "west"),
        variables=identity,
        clock_seconds=east.clock_seconds + ahead_seconds,
    )
    problems = list(check_pair("links.forward", east, west))

    assert warned == any("the clocks of east and west differ by" in problem.text for problem in problems)


async def test_servers_that_cannot_be_reached_are_all_named(shop):
    """One check shows every site that fails, and which key to change."""
    closed = configure(shop, shop, "shop", account={"port": free_port()})
    problems = await precheck(closed)

    assert [("error", "sites.east"), ("error", "sites.west")] == [(p.level, p.path) for p in problems]
    for name, problem in zip(("east", "west"), problems, strict=True):
        assert problem.transient
        assert f"127.0.0.1:{closed.sites[name].port}" in problem.text
        assert problem.fix.startswith(f"sites.{name}: host, port or socket")


async def test_a_wrong_password_is_named_and_not_shown(shop):
    """The message is for a terminal or a log."""
    problems = await precheck(configure(shop, shop, "shop", account={"password": "not-the-one"}))

    assert ["sites.east", "sites.west"] == [problem.path for problem in problems]
    for problem in problems:
        assert not problem.transient
        assert "the server refuses the account" in problem.text
        assert "not-the-one" not in str(problem)


async def test_a_server_without_tls_is_not_talked_to_in_the_clear(shop):
    """`required` means it; what is said is the server's fault, not a number of the TLS library's."""
    problems = await precheck(configure(shop, shop, "shop", account={"tls": "required"}))

    assert 2 == len(problems)
    for problem in problems:
        assert problem.is_error
        assert "the server offers no TLS" in problem.text
        assert "ssl_cert" in problem.fix.splitlines()[1]


def test_a_certificate_that_is_wrong_is_no_reason_to_do_without():
    """Who is in the middle would like that advice."""
    assert 'tls = "off"' not in check._connection_fix("east", "certificate verify failed: self-signed certificate")


async def test_no_session_stays_open(server_factory, shop):
    """A check leaves no trace on a server."""
    east = source(server_factory)
    await precheck(configure(east, shop, "shop"))
    await wait_until(lambda: not east.sql("SELECT 1 FROM information_schema.processlist WHERE user = 'cdcd'"))


async def test_errors_that_the_target_passes_over_are_named(server_factory, shop):
    """They cost speed, as rows then go as SQL; a server restarted as told leaves nothing to complain about."""
    west = source(server_factory, slave_skip_errors="1032,1062")
    config = configure(shop, west, "shop")
    [problem] = await precheck(config)
    assert ("warning", "sites.west") == (problem.level, problem.path)
    assert "slave_skip_errors is 1032,1062" in problem.text
    name, _, value = problem.fix.partition("#")[0].partition("=")
    west.options[name.strip().replace("_", "-")] = value.strip()
    west.restart()
    assert [] == await precheck(config)
