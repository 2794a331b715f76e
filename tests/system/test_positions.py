"""A position means what it says: a source whose log is another, and a checkpoint that is gone, stop the link."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cdcd.checkpoint.witness import StateFiles, state_folder
from cdcd.errors import CdcdError, CheckpointForeign, CheckpointLost, SourceRewound
from tests.fixtures import mariadb
from tests.fixtures.daemon import until
from tests.fixtures.links import forget, purge, running, wait_until
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.operator import Operator
from tests.fixtures.servers import ServerFactory
from tests.fixtures.sites import a_link

TABLE = "CREATE TABLE t (n INT AUTO_INCREMENT PRIMARY KEY)"


@pytest.fixture(scope="module")
def private(module_server_factory: ServerFactory) -> MariaDB:
    """A source that a test may reset, rebuild and put back."""
    return module_server_factory()


@pytest.fixture
def source(private, west, database):
    """The private source with the test's database, whatever an earlier test left of it."""
    if not private.is_running:
        private.start()
    for server in (private, west):
        server.sql(f"CREATE OR REPLACE DATABASE {database}; USE {database}; {TABLE}")
    return private


def write(server, database, transactions=3, session="DO 0"):
    """Write transactions of a row each."""
    server.sql(";".join([session, *["INSERT INTO t VALUES ()"] * transactions]), database=database)


async def begin(source, target, link, database=""):
    """Run a link until it has carried something, so that its checkpoint says where in the log that was."""
    async with running(link, source, target) as run:
        write(source, database or link.name)
        await run.caught_up()


async def stopped(source, target, link, **options):
    """Return what stops a link where it begins or goes on; `cdcd check` has said so before."""
    checked = await operator(source, target, link).check()
    async with running(link, source, target, **options) as run:
        error = await run.stopped()
    assert isinstance(error, CdcdError)
    assert f"error: links.{link.name}: {error.message}" in checked
    return error


def operator(source, target, link):
    """Return who gives commands with a file of this link."""
    return Operator({link.source: source, link.target: target}, link)


async def new_second():
    """Wait until a log that is begun now says another time than one that was begun before: it says whole seconds."""
    began = int(time.time())
    await wait_until(lambda: int(time.time()) > began)


@contextmanager
def put_back(server: MariaDB) -> Iterator[None]:
    """Give a server, at the end, the data that it has now, as a restore from a copy does."""
    server.stop()
    copy = server.folder / "copy"
    shutil.copytree(server.data, copy)
    server.start()
    began = int(time.time())
    yield
    server.stop()
    shutil.rmtree(server.data)
    copy.rename(server.data)
    # A log says in whole seconds when it was begun.
    until(lambda: int(time.time()) > began)
    server.start()


def rebuild(server: MariaDB, database: str, **options: str | None) -> None:
    """Begin a server anew, on the same port and in the same folder, as its installation was."""
    server.stop()
    shutil.rmtree(server.data)
    shutil.copytree(mariadb._template(), server.data)
    server.options |= options
    server.start()
    server.sql(f"CREATE DATABASE {database}; USE {database}; {TABLE}")


async def test_a_log_that_is_reset_under_a_running_link_stops_it(source, west, database):
    """The source takes the reconnect, and passes over what it numbers anew; lag would stay 0."""
    async with running(a_link(database), source, west) as link:
        write(source, database)
        await link.caught_up()
        source.sql("RESET MASTER")
        write(source, database)
        error = await link.stopped(20)
    assert isinstance(error, SourceRewound), error
    assert "cdcd position set" in error.hint
    assert [(3,)] == west.sql("SELECT COUNT(*) FROM t", database=database)


@pytest.mark.parametrize("past", [1, 40], ids=["behind the position", "past the position"])
async def test_a_log_that_was_reset_while_the_link_was_away_stops_it(source, west, database, past):
    """Also once the new numbers have passed the old: the place in the log tells what the number does not."""
    source.sql("RESET MASTER")
    await begin(source, west, a_link(database))
    await new_second()
    source.sql("RESET MASTER")
    write(source, database, past)
    assert isinstance(await stopped(source, west, a_link(database)), SourceRewound)


@pytest.mark.parametrize("given", ["position set", "start", "start at the end"])
async def test_a_log_that_is_reset_after_a_link_was_told_its_gtid_stops_it(source, west, database, given):
    """Nothing has been applied since that would say where in the log the position lies."""
    source.sql("RESET MASTER")
    write(source, database)
    gtid = source.binlog_position()[2]
    write(source, database, 0 if given == "start at the end" else 3)
    link = a_link(database, start="now" if given == "position set" else gtid)
    if given == "position set":
        await begin(source, west, link)
        await operator(source, west, link).position_set(database, gtid)
    else:
        west.sql("DROP TABLE t", database=database)  # So that nothing is applied.
        async with running(link, source, west):
            pass
        west.sql(TABLE, database=database)
    [(file, offset)] = set(west.sql(f"SELECT log_file, log_offset FROM cdcd.checkpoint WHERE link = '{database}'"))
    assert [(gtid,)] == source.sql(f"SELECT BINLOG_GTID_POS('{file}', {offset})")
    await new_second()
    source.sql("RESET MASTER")
    write(source, database, 40)
    assert isinstance(await stopped(source, west, link), SourceRewound)


async def test_a_place_is_found_for_a_position_that_leaves_out_domains(source, west, database):
    """What they hold comes before it in the log, and was never a part of it."""
    source.sql("RESET MASTER")
    write(source, database, session="SET SESSION gtid_domain_id = 5")
    write(source, database)
    gtid = next(each for each in source.binlog_position()[2].split(",") if not each.startswith("5-"))
    write(source, database, session="SET SESSION gtid_domain_id = 5")
    write(source, database, 1)
    write(source, database, session="SET SESSION gtid_domain_id = 5")
    link = a_link(database, start=gtid)
    async with running(link, source, west) as run:
        await run.caught_up()
    assert [(10,)] == west.sql("SELECT COUNT(*) FROM t", database=database)
    west.sql("TRUNCATE t", database=database)
    await operator(source, west, link).position_set(database, gtid)
    assert "0 errors" in await operator(source, west, link).check()
    async with running(link, source, west) as run:
        await run.caught_up()
    assert [(10,)] == west.sql("SELECT COUNT(*) FROM t", database=database)


async def test_a_start_that_the_log_does_not_hold_is_not_kept(source, west, database):
    """Once the file is put right, the link begins as if it had never been refused."""
    source.sql("RESET MASTER")
    write(source, database)
    error = await stopped(source, west, a_link(database, start="0-1-999999"))
    assert "cdcd position --site east" in str(error)
    for table in ("checkpoint", "link"):
        assert [] == west.sql(f"SELECT 1 FROM cdcd.{table} WHERE link = '{database}'")
    async with running(a_link(database, start="earliest"), source, west) as run:
        await run.caught_up()
    assert [(3,)] == west.sql("SELECT COUNT(*) FROM t", database=database)


ANEW = "never be applied: the target must have it"
AGAIN, NEVER = "are applied already will be applied again", "between the two that are not applied will never be"


@pytest.mark.parametrize(
    ("to", "said", "unsaid"),
    [
        ("rewound", ["not of one log", ANEW], [AGAIN, NEVER]),
        ("restored", ["not of one log", ANEW], [AGAIN, NEVER]),
        ("forward", [NEVER], [AGAIN, ANEW]),
        ("backward", [AGAIN], [NEVER, ANEW]),
        ("same", ["No transaction lies between"], [AGAIN, NEVER, ANEW]),
        ("first", ["has no checkpoint", ANEW], [AGAIN, NEVER]),
        ("purged", [NEVER], [AGAIN, ANEW]),
    ],
)
async def test_it_is_said_what_putting_a_link_elsewhere_means(source, west, database, to, said, unsaid):
    """Numbers of two histories say nothing of each other: a smaller one is no way back."""
    link = a_link(database)
    source.sql("RESET MASTER")
    write(source, database)
    before = source.binlog_position()[2]
    if to == "restored":
        with put_back(source):
            await begin(source, west, link)
        write(source, database, 40)
    elif to != "first":
        await begin(source, west, link)
    if to == "rewound":
        await new_second()
        source.sql("RESET MASTER")
    if to in ("rewound", "forward", "purged"):
        write(source, database, 1)
    if to == "purged":
        await purge(source)
    text = await operator(source, west, link).position_set(
        database, before if to == "backward" else "now", dry_run=True
    )
    assert [] == [part for part in said if part not in text], text
    assert [] == [part for part in unsaid if part in text], text


async def test_a_log_that_was_reset_to_a_later_file_stops_the_link(source, west, database):
    """Its first file is later than ours, as if ours had been purged."""
    await begin(source, west, a_link(database))
    source.sql("RESET MASTER TO 500")
    write(source, database, 40)
    assert isinstance(await stopped(source, west, a_link(database)), SourceRewound)


@pytest.mark.parametrize("domain", ["0", "7"])
async def test_a_source_that_was_begun_anew_in_the_same_place_stops_the_link(source, west, database, domain):
    """The same address, port and folder: with another domain its whole log would be replayed over fresh data."""
    await begin(source, west, a_link(database))
    rebuild(source, database, **{"gtid-domain-id": domain})
    write(source, database, 60)
    try:
        assert isinstance(await stopped(source, west, a_link(database)), SourceRewound)
    finally:
        source.options.pop("gtid-domain-id")
        source.restart()


async def test_a_source_restored_from_an_older_copy_stops_the_link(source, west, database):
    """Written past the position since, it has other transactions under the numbers that were applied."""
    await begin(source, west, a_link(database))
    with put_back(source):
        await begin(source, west, a_link(database))
        await new_second()
    write(source, database, 20)
    assert isinstance(await stopped(source, west, a_link(database)), SourceRewound)


async def test_a_log_without_what_was_applied_after_the_position_stops_the_link(source, west, database):
    """Parallel writers were ahead: what the log gives those numbers from now on would be passed over."""
    source.sql("RESET MASTER")
    await begin(source, west, a_link(database))
    [(domain, server, sequence)] = source.sql("SELECT @@gtid_domain_id, @@server_id, @@gtid_binlog_pos")
    after = int(sequence.split("-")[2]) + 3
    west.sql(
        f"UPDATE cdcd.checkpoint SET applied = '{domain}-{server}:{after}' WHERE link = '{database}'"
        " ORDER BY batch DESC LIMIT 1"
    )
    error = await stopped(source, west, a_link(database))
    assert isinstance(error, SourceRewound), error
    assert f"lacks {domain}-{server}-{after}" in str(error)
    write(source, database, 3)
    async with running(a_link(database), source, west) as link:
        await link.caught_up()
    assert [(5,)] == west.sql("SELECT COUNT(*) FROM t", database=database)


async def test_a_checkpoint_without_a_place_is_checked_by_its_numbers(source, west, database):
    """One of an earlier cdcd has none; the next write fills it in."""
    link = a_link(database)
    await begin(source, west, link)
    place = "source_server = '', log_file = '', log_offset = 0, event_time = 0"
    west.sql(f"UPDATE cdcd.checkpoint SET {place} WHERE link = '{database}'")
    await begin(source, west, link)
    file, offset, _ = source.binlog_position()
    [found] = west.sql(
        "SELECT log_file, log_offset, source_server <> '', UNIX_TIMESTAMP() - event_time < 600 FROM cdcd.checkpoint"
        f" WHERE link = '{database}' ORDER BY batch DESC LIMIT 1"
    )
    assert (file, offset, 1, 1) == found
    west.sql(f"UPDATE cdcd.checkpoint SET {place} WHERE link = '{database}'")
    source.sql("RESET MASTER")
    assert isinstance(await stopped(source, west, link), SourceRewound)


async def test_a_position_at_the_end_of_a_file_that_was_purged_goes_on(source, west, database):
    """Nothing that the link needs has gone, and a file's name alone proves nothing."""
    await begin(source, west, a_link(database))
    for purges in (False, True):
        source.sql("FLUSH BINARY LOGS")
        if purges:
            await purge(source)
        await begin(source, west, a_link(database))
    assert [(9,)] == west.sql("SELECT COUNT(*) FROM t", database=database)


async def test_a_domain_that_the_source_was_told_to_forget_stops_the_link(source, west, database):
    """Used again, it counts from 1, and the source would pass over numbers that the position has."""
    async with running(a_link(database), source, west) as link:
        write(source, database, session="SET SESSION gtid_domain_id = 5")
        write(source, database)
        await link.caught_up()
    await purge(source)
    source.sql("FLUSH BINARY LOGS DELETE_DOMAIN_ID=(5)")
    write(source, database, session="SET SESSION gtid_domain_id = 5")
    assert isinstance(await stopped(source, west, a_link(database)), SourceRewound)


async def test_a_log_that_begins_after_the_position_stops_the_link(source, west, database):
    """A replica that was made of a copy holds later transactions of the same server, and not those in between."""
    source.sql("RESET MASTER")
    [(domain, server)] = source.sql("SELECT @@gtid_domain_id, @@server_id")
    write(source, database, session="SET gtid_seq_no = 500")
    error = await stopped(source, west, a_link(database, start=f"{domain}-{server}-400"))
    assert isinstance(error, SourceRewound), error
    assert "400" in str(error)


async def test_a_replica_that_has_all_of_it_takes_the_sources_place(source, west, database, server_factory):
    """A failover of the source goes on, with a warning; one that lacks the position stops the link."""
    replica = server_factory()
    source.sql("RESET MASTER")
    source.sql(f"CREATE OR REPLACE DATABASE {database}; USE {database}; {TABLE}")
    replica.sql(
        f"RESET MASTER; CHANGE MASTER TO MASTER_HOST='{source.host}', MASTER_PORT={source.port}, MASTER_USER='cdcd',"
        " MASTER_PASSWORD='secret', MASTER_USE_GTID=slave_pos; START SLAVE"
    )
    await begin(source, west, a_link(database))
    await asyncio.to_thread(replica.sql, f"SELECT MASTER_GTID_WAIT('{source.binlog_position()[2]}', 20); STOP SLAVE")
    with capture_logs() as logs:
        await begin(replica, west, a_link(database))
    assert "source_server_changed" in {line["event"] for line in logs}
    assert [(6,)] == west.sql("SELECT COUNT(*) FROM t", database=database)
    # The old source does not have what was written to the new one since.
    assert isinstance(await stopped(source, west, a_link(database)), SourceRewound)


@pytest.mark.parametrize("seen_by", ["target", "source", "file"])
async def test_a_checkpoint_that_is_gone_stops_the_link(east, west, database, both, seen_by, tmp_path, monkeypatch):
    """Whoever remembers alone: begun anew at `now`, the link would leave out what came between."""
    both(TABLE)
    # The opposite link makes the tables on the source.
    await begin(west, east, a_link(f"{database}_r", source="west", target="east", tables=("none.*",)), database)
    await begin(east, west, a_link(database), database)
    write(east, database)
    if seen_by == "target":
        west.sql(f"DELETE FROM cdcd.checkpoint WHERE link = '{database}'")
    else:
        west.sql("DROP DATABASE cdcd")
    if seen_by != "source":
        east.sql(f"DELETE FROM cdcd.link WHERE link = '{database}'")
    if seen_by != "file":
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "another"))
    error = await stopped(east, west, a_link(database))
    assert isinstance(error, CheckpointLost), error
    # Told to forget it, it begins.
    forget(database, east, west)
    async with running(a_link(database), east, west) as link:
        await link.caught_up()
    assert [(3,)] == west.sql("SELECT COUNT(*) FROM t", database=database)


async def test_a_link_under_a_new_name_stops(east, west, database, both):
    """Its checkpoint is there under the old one; with both in the file, they are two links."""
    both(TABLE)
    await begin(east, west, a_link(database), database)
    new = a_link(database, name=f"{database}_new")
    error = await stopped(east, west, new, names={new.name})
    assert isinstance(error, CheckpointLost), error
    assert f"cdcd link rename --link {database} {new.name}" in error.hint
    async with running(new, east, west, names={new.name, database}) as link:
        await link.caught_up()


async def test_another_source_under_the_same_name_stops_the_link(source, east, west, database):
    """A position of the old one's log says nothing of the new one's."""
    east.sql(TABLE, database=database)
    await begin(east, west, a_link(database), database)
    error = await stopped(source, west, a_link(database, source="north"))
    assert isinstance(error, CheckpointForeign), error
    # Under the same site's name, the log tells.
    assert isinstance(await stopped(source, west, a_link(database)), SourceRewound)


async def test_a_checkpoint_older_than_a_witness_goes_on_with_a_warning(east, west, database, both):
    """A target that was put back from a copy has its own position in it."""
    both(TABLE)
    link = a_link(database)
    await begin(east, west, link, database)
    kept = west.sql(f"SELECT * FROM cdcd.checkpoint WHERE link = '{database}'")
    noted = west.sql(f"SELECT position FROM cdcd.link WHERE link = '{database}'")[0][0].decode()
    rows = west.sql("SELECT * FROM t", database=database)
    await begin(east, west, link, database)
    west.sql(f"UPDATE cdcd.link SET position = '{noted}' WHERE link = '{database}'")
    west.sql(f"DELETE FROM t WHERE n > {len(rows)}", database=database)
    with west.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM cdcd.checkpoint WHERE link = '{database}'")
        cursor.executemany(f"INSERT INTO cdcd.checkpoint VALUES ({','.join(['%s'] * len(kept[0]))})", kept)
    with capture_logs() as logs:
        async with running(link, east, west) as run:
            await run.caught_up()
    assert "checkpoint_older_than_seen" in {line["event"] for line in logs}
    assert [(6,)] == west.sql("SELECT COUNT(*) FROM t", database=database)


async def test_a_start_that_is_not_used_is_told_each_time(east, west, database, both):
    """An operator who changes it expects something of it."""
    both(TABLE)
    await begin(east, west, a_link(database), database)
    for start, told in (("now", 0), ("earliest", 1), ("0-1-1", 1)):
        with capture_logs() as logs:
            async with running(a_link(database, start=start), east, west):
                pass
        assert told == [line["event"] for line in logs].count("start_not_used")


async def test_check_says_where_a_link_that_runs_goes_on_and_leaves_it_alone(east, west, both, database):
    """An operator asks while the daemon runs: no row is written or waited for, and no reader of the log ended."""
    both(TABLE)
    link = a_link(database)
    async with running(link, east, west) as run:
        for _ in range(3):
            write(east, database)
            await run.caught_up()
            stored = [west.sql(f"SELECT * FROM cdcd.{table}") for table in ("checkpoint", "link")]
            logged = east.binlog_position(), west.binlog_position()
            with west.connect(autocommit=False) as session, session.cursor() as cursor:
                cursor.execute("SELECT * FROM cdcd.checkpoint FOR UPDATE")
                assert "0 errors, 0 warnings" in await operator(east, west, link).check()
            assert stored == [west.sql(f"SELECT * FROM cdcd.{table}") for table in ("checkpoint", "link")]
            assert logged == (east.binlog_position(), west.binlog_position())
        assert (0, []) == (run.runner._source_figures.reconnects, [run.task.exception()] if run.task.done() else [])


async def test_an_unreadable_state_file_stops_the_link(east, west, database, both):
    """It may be the only thing that remembers."""
    both(TABLE)
    folder = state_folder(Path("test.toml"))
    folder.mkdir(parents=True)
    (folder / "other.json").write_text("{}")
    error = await stopped(east, west, a_link(database))
    assert "other.json" in str(error)


async def test_the_position_is_noted_while_a_link_runs(east, west, database, both, monkeypatch):
    """So that a checkpoint put back from a copy is noticed after a crash, too."""
    monkeypatch.setattr("cdcd.runtime.resume.NOTED_SECONDS", 0.1)
    both(TABLE)
    async with running(a_link(database), east, west) as link:
        write(east, database)
        await link.caught_up()
        write(east, database)
        await link.caught_up()

        def noted() -> set[str]:
            rows = west.sql(f"SELECT position FROM cdcd.link WHERE link = '{database}'")
            files = StateFiles(state_folder(Path("test.toml"))).read()
            return {position.decode() for (position,) in rows} | {each.position for each in files}

        await wait_until(lambda: {str(link.pipeline.dispatcher.written)} == noted())
