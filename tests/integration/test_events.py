"""Rows go to the target as the events they came as: they must become what they would have become as SQL."""

from __future__ import annotations

import pytest

from cdcd.errors import ApplyFailed, Conflict
from tests.fixtures.links import PLAIN, Both, running
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.servers import ServerFactory

# A source column, what it is on a target of another mind, and values.
OTHER_TYPES = [
    ("tinyint", "bigint", "-128", "0", "127"),
    ("smallint unsigned", "decimal(9,3)", "0", "65535"),
    ("mediumint", "varchar(20)", "-8388608", "8388607"),
    ("mediumint unsigned", "double", "16777215", "0"),
    ("int", "varchar(20)", "-2147483648", "2147483647"),
    ("int(6) zerofill", "varchar(20)", "7", "4294967295"),
    ("int", "float", "16777217", "-2147483648"),
    ("int", "bit(40)", "1", "2147483647"),
    ("int", "text character set latin1", "-1", "0"),
    ("bigint", "decimal(30,5)", "-9223372036854775808", "9223372036854775807"),
    ("bigint unsigned", "varchar(30)", "18446744073709551615", "9223372036854775808"),
    ("bigint unsigned", "double", "18446744073709551615", "9007199254740993"),
    ("bigint unsigned", "float", "18446744073709551615", "16777217"),
    ("decimal(20,5)", "double", "-123456789012345.12345", "0.1", "0"),
    ("decimal(20,5)", "varchar(40)", "-0.00001", "123456789012345.00000", "0"),
    ("decimal(20,0)", "varchar(40)", "99999999999999999999", "-1", "0"),
    ("decimal(65,0)", "decimal(65,0)", "9" * 65, "-1"),
    ("decimal(9,2)", "int", "2.50", "-2.50", "3.00"),
    ("decimal(12,6)", "float", "0.1", "123456.654321"),
    ("float", "double", "0.1", "-0e0", "3.4028234663852886e38", "1.401298464324817e-45"),
    ("float", "varchar(40)", "0.1", "-0e0", "1e30", "123456.7"),
    ("double", "varchar(40)", "0.1", "-0e0", "1.7976931348623157e308", "5e-324", "100"),
    ("double", "decimal(40,20)", "0.1", "-1e10", "0.5"),
    ("year", "int", "0", "1901", "2155"),
    ("year", "varchar(10)", "0", "1901", "2155"),
    ("bit(64)", "bigint unsigned", "18446744073709551615", "0"),
    ("bit(8)", "varchar(10)", "255", "65"),
    ("date", "datetime", "'2024-02-29'", "'0000-00-00'"),
    ("date", "varchar(20)", "'2024-02-30'", "'0000-00-00'"),
    ("datetime(6)", "varchar(40)", "'2024-01-01 00:00:00.000001'"),
    ("datetime(3)", "datetime(6)", "'2024-01-01 00:00:00.001'"),
    ("datetime", "date", "'2024-01-01 00:00:00'"),
    ("timestamp(6) null", "datetime(6)", "'2024-07-01 12:00:00.5'"),
    ("time(6)", "varchar(40)", "'-838:59:59.999999'", "'00:00:00.000001'"),
    ("time", "time(3)", "'-00:00:01'"),
    ("varbinary(20)", "varchar(20)", "'a'", "x'c3a9'"),
    ("varbinary(20)", "int", "'12'", "'-3'"),
    ("varbinary(20)", "blob", "x'00ff27'", "''"),
    ("blob", "varchar(20) character set utf16", "x'00610062'", "x'61'"),
    ("binary(4)", "varbinary(9)", "'a'", "x'00'"),
    ("text", "varchar(20)", "'a'"),
    ("char(5)", "varchar(9)", "'a '"),
    ("varchar(99)", "varchar(99) compressed", "'é'", "REPEAT('ab', 40)"),
    ("blob", "blob compressed", "x'00ff'", "REPEAT('ab', 500)"),
    ("uuid", "uuid", "'00112233-4455-6677-8899-aabbccddeeff'"),
    ("enum('a','b')", "enum('a','b','c')", "'a'", "2"),
    ("set('a','b')", "set('a','b','c')", "'a,b'", "0"),
    ("varchar(20)", "int", "'12'", "' -3'"),
    ("varchar(20)", "varbinary(80)", "'é'", "''"),
    ("varchar(20)", "varchar(20) character set latin1", "'é'", "'it''s'"),
    ("varchar(20) character set latin1", "varchar(20)", "'é'", "'€'"),
    ("varchar(20) character set gbk", "text character set utf16", "_utf8mb4'誠'", "'a'"),
    ("varchar(20) character set utf8mb3", "varchar(20)", "'é'"),
    ("varchar(20) character set utf32", "varchar(20) character set ucs2", "'é'", "'日本'"),
    ("varchar(9)", "date", "'2024-01-01'"),
    ("text compressed", "text", "'a'", "REPEAT('ab', 500)"),
    ("text", "text compressed character set latin1", "'é'", "REPEAT('ab', 500)"),
]
RELAXED = "SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00';"


@pytest.mark.usefixtures("rows_as_events")
async def test_columns_of_other_types_get_what_sql_makes_of_them(both: Both, request: pytest.FixtureRequest) -> None:
    """Bytes mean something else to a column of another type: such tables are left to the target's own conversions."""
    for side, create in enumerate((both.only_source, both.only_target)):
        create(
            ";".join(f"CREATE TABLE t{n} (id INT PRIMARY KEY, v {case[side]})" for n, case in enumerate(OTHER_TYPES))
        )
    script = "; ".join(
        f"INSERT INTO t{n} VALUES (0, NULL), {', '.join(f'({i}, {v})' for i, v in enumerate(case[2:], 1))}"
        for n, case in enumerate(OTHER_TYPES)
    )
    numbers = range(len(OTHER_TYPES))
    allow_loss = tuple(f"{both.database}.t{n}.v" for n in numbers)
    counts = " + ".join(f"(SELECT COUNT(*) FROM t{n})" for n in numbers)
    query = " UNION ALL ".join(f"SELECT {n}, id, HEX(v), HEX(CONCAT(v)) FROM t{n}" for n in numbers)
    found = []
    for _ in range(2):
        outcome = await both.carry(f"{RELAXED} BEGIN; {script}; COMMIT", allow_loss=allow_loss)
        assert PLAIN == {"conflicts": outcome.conflicts, "careful": outcome.row_by_row}
        assert both.on_source(f"SELECT {counts}") == both.on_target(f"SELECT {counts}")
        found.append([(OTHER_TYPES[n], *row) for n, *row in both.on_target(f"{query} ORDER BY 1, 2")])
        both.both(";".join(f"DELETE FROM t{n}" for n in numbers))
        request.getfixturevalue("rows_as_sql")
    assert found[0] == found[1]


@pytest.mark.usefixtures("either_way")
async def test_a_row_of_more_bytes_than_one_packet_holds_arrives(both: Both) -> None:
    """The protocol splits what exceeds 16 MiB, and the answer's number goes on from there."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)")
    edges = [f"REPEAT('x', {(1 << 24) - n})" for n in (150, 61, 60)]
    whole = ", ".join(f"({n}, {text})" for n, text in enumerate(["REPEAT('it''s', 3500000)", *edges, "'x'"]))
    outcome = await both.carry(f"INSERT INTO t VALUES {whole}", "UPDATE t SET v = 'y' WHERE id = 2")
    assert PLAIN == {"conflicts": outcome.conflicts, "careful": outcome.row_by_row}
    query = "SELECT id, LENGTH(v), MD5(v) FROM t ORDER BY id"
    assert both.on_source(query) == both.on_target(query)


@pytest.mark.usefixtures("either_way")
async def test_a_long_row_is_not_pushed_over_the_target_s_limit_by_its_neighbours(
    server_factory: ServerFactory,
) -> None:
    """What the target takes alone must not stop the link because rows before it were already in the statement."""
    both = Both(server_factory(), server_factory({"max-allowed-packet": "1M"}), "shop")
    for server in (both.source, both.target):
        server.sql("CREATE DATABASE shop")
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
    outcome = await both.carry(
        "BEGIN; INSERT INTO t SELECT seq, REPEAT('x', 900) FROM seq_1_to_280;"
        "INSERT INTO t VALUES (281, REPEAT('y', 1040000)), (282, REPEAT('z', 900)); COMMIT"
    )
    assert PLAIN == {"conflicts": outcome.conflicts, "careful": outcome.row_by_row}
    both.assert_equal("t")


@pytest.mark.usefixtures("either_way")
async def test_nulls_and_columns_that_the_target_computes_or_hides(both: Both) -> None:
    """A value goes to its own column, whichever of the others are NULL, generated, invisible or oddly named."""
    both.both(
        "CREATE TABLE t (id INT PRIMARY KEY, `a``?b` INT, never VARCHAR(9), low INT AS (id % 7) PERSISTENT,"
        " hidden BLOB INVISIBLE, later DATETIME(3) NULL, high INT AS (id + 1) VIRTUAL, `last;'` DECIMAL(9,2) DEFAULT 5)"
    )
    both.both("CREATE TABLE bare (v INT, w VARCHAR(9))")
    outcome = await both.carry(
        "INSERT INTO t (id, `a``?b`, hidden, later, `last;'`) SELECT seq, IF(seq % 2, NULL, seq),"
        " IF(seq % 3, NULL, seq), IF(seq % 5, NULL, '2024-01-01 00:00:00.5'), IF(seq % 7, NULL, -seq)"
        " FROM seq_1_to_300; INSERT INTO bare SELECT NULL, NULL FROM seq_1_to_150;"
        "UPDATE t SET `a``?b` = NULL, hidden = 'x', later = NULL WHERE id > 100"
    )
    assert PLAIN == {"conflicts": outcome.conflicts, "careful": outcome.row_by_row}
    query = "SELECT *, hidden FROM t ORDER BY id"
    assert both.on_source(query) == both.on_target(query)
    both.assert_equal("bare")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM t; ALTER TABLE t ADD COLUMN own INT DEFAULT 3 FIRST",
        "ALTER TABLE t MODIFY v BIGINT",
        "ALTER TABLE t MODIFY v VARCHAR(30)",
        "DROP TABLE t; CREATE TABLE t (v DECIMAL(20,3), id INT PRIMARY KEY)",
        "RENAME TABLE t TO old; CREATE TABLE t LIKE old",
        "FLUSH TABLES; ANALYZE TABLE t",
        "DELETE FROM t; ALTER TABLE t MODIFY v INT FIRST",
        "DROP TABLE t; CREATE TABLE t (v INT, id INT PRIMARY KEY)",
    ],
)
async def test_a_target_may_be_altered_between_two_batches(both: Both, change: str) -> None:
    """By hand, before the source is: rows must not be stored by what the table was when the link read it."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    async with running(both.link(writers=1), both.source, both.target) as link:
        both.only_source("INSERT INTO t SELECT seq, -seq FROM seq_1_to_200")
        await link.caught_up()
        both.only_target(change)
        both.only_source("INSERT INTO t SELECT seq, -seq - 1000 FROM seq_201_to_400; UPDATE t SET v = 7 WHERE id = 201")
        await link.caught_up()
        assert PLAIN == {"conflicts": link.runner.conflicts, "careful": link.row_by_row}
    query = "SELECT id, CAST(v AS SIGNED) FROM t WHERE id > 200 ORDER BY id"
    assert both.on_source(query) == both.on_target(query)
    assert 200 == len(both.on_target(query))


async def test_a_value_that_an_altered_target_cannot_hold_stops_the_link(both: Both) -> None:
    """Row events do not tell signed numbers from unsigned ones; their bytes must not become another number."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    async with running(both.link(writers=1), both.source, both.target) as link:
        both.only_source("INSERT INTO t SELECT seq, -seq FROM seq_1_to_200")
        await link.caught_up()
        both.only_target("DELETE FROM t; ALTER TABLE t MODIFY v INT UNSIGNED")
        both.only_source("INSERT INTO t SELECT seq, -seq FROM seq_201_to_400")
        with pytest.raises(ApplyFailed, match="narrower than the source's"):
            await link.caught_up()
    assert [(0,)] == both.on_target("SELECT COUNT(*) FROM t")


async def test_a_value_that_the_target_refuses_is_named(both: Both) -> None:
    """Out of many rows in one statement, the message must name the table and the row."""
    both.only_source("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    both.only_target("CREATE TABLE t (id INT PRIMARY KEY, v SMALLINT)")
    with pytest.raises(ApplyFailed, match=rf"table {both.database}.t, row id = 277.*alter it"):
        await both.carry("INSERT INTO t SELECT seq, IF(seq = 277, 32768, seq) FROM seq_1_to_300")
    assert [] == both.on_target("SELECT * FROM t")


@pytest.fixture(scope="module")
def lenient(module_server_factory: ServerFactory) -> MariaDB:
    """A target that was told to overlook what row events contradict."""
    return module_server_factory({"slave-exec-mode": "IDEMPOTENT", "slave-type-conversions": "ALL_LOSSY"})


@pytest.fixture
def both_lenient(east: MariaDB, lenient: MariaDB, database: str) -> Both:
    """The same database on a source and on the lenient target."""
    lenient.sql(f"CREATE DATABASE {database}")
    return Both(east, lenient, database)


async def test_a_lenient_target_loses_no_other_row(both_lenient: Both) -> None:
    """Told to be idempotent, a server removes every row in the way of an event, whatever its key."""
    both = both_lenient
    both.both("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE)")
    both.only_target("INSERT INTO t VALUES (7, 1)")
    with pytest.raises(Conflict):
        await both.carry("INSERT INTO t VALUES (1, 1)")
    assert [(7, 1)] == both.on_target("SELECT * FROM t")


async def test_a_lenient_target_misses_no_change(both_lenient: Both) -> None:
    """Told to be idempotent, a server passes over an update of a row that is not there."""
    both = both_lenient
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2)")
    both.only_target("DELETE FROM t")
    outcome = await both.carry("UPDATE t SET v = 5 WHERE id = 1; DELETE FROM t WHERE id = 2")
    assert 2 == outcome.conflicts
    both.assert_equal("t")


async def test_a_lenient_target_cuts_no_value(both_lenient: Both) -> None:
    """Told to convert with loss, a server makes of a number what fits."""
    both = both_lenient
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    async with running(both.link(writers=1), both.source, both.target) as link:
        both.only_source("INSERT INTO t VALUES (1, 1)")
        await link.caught_up()
        both.only_target("ALTER TABLE t MODIFY v SMALLINT")
        both.only_source("INSERT INTO t VALUES (2, 100000)")
        assert isinstance(await link.stopped(), ApplyFailed)
    assert [(1, 1)] == both.on_target("SELECT * FROM t")


async def test_events_leave_a_session_as_it_was(both: Both) -> None:
    """The flags of an event are the session's afterwards: the next statement must not run by the last row's."""
    both.both("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    query = (
        "SELECT @@foreign_key_checks, @@unique_checks, @@check_constraint_checks, @@sql_mode, @@time_zone,"
        " @@autocommit, @@tx_isolation, @@server_id, @@gtid_domain_id, @@insert_id, @@sql_log_bin,"
        " @@character_set_client, @@skip_replication, DATABASE(), NOW() > '2020-01-01'"
    )
    states = []
    async with running(both.link(writers=1), both.source, both.target) as link:
        [writer] = link.writers
        for n, settings in enumerate(("1", "0")):
            states += [await writer.session.fetch(query), await writer.session.execute("ROLLBACK")]
            both.only_source(
                f"SET foreign_key_checks = {settings}, unique_checks = {settings}; INSERT INTO t VALUES ({500 + n}, 1)"
            )
            await link.caught_up()
        states += [await writer.session.fetch(query), await writer.session.execute("ROLLBACK")]
        assert 0 == link.contradicted
    assert states[0] == states[2] == states[4]
    both.only_target("INSERT INTO t (v) VALUES (9)")
    assert [(502,)] == both.on_target("SELECT id FROM t WHERE v = 9")


@pytest.mark.usefixtures("either_way")
async def test_a_part_that_is_contradicted_goes_another_way_inside_its_transaction(both: Both) -> None:
    """A transaction that comes in parts cannot be begun again: only the part is taken back, by its savepoint."""
    both.both("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))")
    both.only_target("INSERT INTO t VALUES (2500, 'in the way')")
    async with running(both.link(transaction_bytes_max=64 * 1024), both.source, both.target) as link:
        both.only_source("INSERT INTO t SELECT seq, REPEAT('x', 250) FROM seq_1_to_3000")
        await link.caught_up()
        assert (1, 1) == (link.runner.conflicts, link.runner.transactions)
    both.assert_equal("t")
