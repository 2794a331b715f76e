"""A value arrives as it is, or is refused: every pair of column types, judged before and tried on real servers."""

from __future__ import annotations

import pytest

from cdcd.errors import ApplyFailed, SchemaMismatch
from cdcd.model.table import Column
from cdcd.route.conversion import judge
from cdcd.row.column_type import Type, members
from tests.fixtures.links import PLAIN, Both, running
from tests.fixtures.mariadb import MariaDB

UTF8 = "character set utf8mb4"
# A type, and values at its edges.
TYPES: dict[str, tuple[str, ...]] = {
    "tinyint": ("-128", "0", "127"),
    "tinyint unsigned": ("0", "255"),
    "smallint": ("-32768", "32767"),
    "mediumint unsigned": ("16777215",),
    "int": ("-2147483648", "2147483647", "16777217"),
    "int unsigned": ("4294967295",),
    "bigint": ("-9223372036854775808", "9223372036854775807", "9007199254740993"),
    "bigint unsigned": ("18446744073709551615",),
    "decimal(5,0)": ("-99999", "99999"),
    "decimal(6,2)": ("-9999.99", "0.10", "0.01"),
    "decimal(10,4)": ("999999.9999", "-0.0001"),
    "decimal(30,10)": ("12345678901234567890.0123456789",),
    "float": ("0.1", "-1e30", "16777216", "1.401298464324817e-45"),
    "double": ("0.1", "1e300", "-5e-324", "123456789.123456789"),
    "bit(8)": ("65", "255", "0"),
    "bit(64)": ("18446744073709551615",),
    "year": ("0", "1901", "2155"),
    "date": ("'2024-02-29'", "'0000-00-00'", "'9999-12-31'"),
    "time": ("'-838:59:59'", "'00:00:01'"),
    "time(6)": ("'-00:00:00.000001'", "'838:59:58.999999'"),
    "datetime": ("'2024-01-01 10:20:30'", "'0000-00-00 00:00:00'"),
    "datetime(6)": ("'2024-01-01 10:20:30.000001'",),
    "timestamp null": ("'2024-01-01 10:20:30'", "'2038-01-19 03:14:07'"),
    "timestamp(3) null": ("'2024-01-01 10:20:30.123'",),
    f"char(5) {UTF8}": ("'a'", "'日本é'", "''"),
    f"varchar(5) {UTF8}": ("'a   '", "'日本é'", "''", "'12'"),
    f"varchar(40) {UTF8}": ("'a                         '", "'日本é'", "'2024-01-01'"),
    "varchar(40) character set latin1": ("'é€'", "'a '"),
    "varchar(40) character set utf8mb3": ("'日本'", "''"),
    f"text {UTF8}": ("'日本é  '", "REPEAT('x', 300)"),
    "tinytext character set latin1": ("REPEAT('é', 255)",),
    "binary(4)": ("'a'", "x'00ff2700'"),
    "binary(6)": ("'a'",),
    "varbinary(4)": ("'a'", "x'00ff27'", "x'6120'"),
    "blob": ("x'00ff27'", "REPEAT('x', 300)"),
    "uuid": ("'00112233-4455-6677-8899-aabbccddee00'",),
    "inet6": ("'::1'", "'2001:db8::ff00:42:8300'", "'::ffff:1.2.3.0'"),
    "inet4": ("'1.2.3.0'",),
    "enum('a','b''c','x,y')": ("'a'", "2", "'x,y'"),
    "enum('a','b''c','x,y','d')": ("'d'",),
    "set('a','b')": ("'a,b'", "''"),
    "point": ("ST_GeomFromText('POINT(1 2)')",),
}
MODE = "SET sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00';"


@pytest.fixture
def types(east: MariaDB, database: str) -> dict[str, Type]:
    """Every type as the server describes a column of it."""
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(TYPES))
    rows = east.sql(
        f"CREATE TABLE all_types ({columns}); SELECT column_name, column_type, data_type, character_set_name,"
        " collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name = 'all_types' ORDER BY ordinal_position",
        database=database,
    )
    east.sql("DROP TABLE all_types", database=database)
    described = [
        Column(name, kind, data.lower(), charset or "", collation or "", True, False, False)
        for name, kind, data, charset, collation in rows
    ]
    return {kind: Type.of(column) for kind, column in zip(TYPES, described, strict=True)}


@pytest.mark.usefixtures("either_way")
async def test_exact_pairs_keep_every_value(both: Both, types: dict[str, Type]) -> None:
    """What a pair is said to keep, the target gives back: read as the source's type it is the source's value."""
    pairs = {here: [there for there in TYPES if judge(types[here], types[there]) == "exact"] for here in TYPES}
    script = []
    for n, (here, theres) in enumerate(pairs.items()):
        for create, kinds in ((both.only_source, [here] * len(theres)), (both.only_target, theres)):
            columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(kinds))
            create(f"CREATE TABLE t{n} (id INT PRIMARY KEY, {columns})")
        values = ",".join(f"({i}{f', {value}' * len(theres)})" for i, value in enumerate(TYPES[here]))
        script += [
            f"INSERT INTO t{n} VALUES {values}",
            f"UPDATE t{n} SET id = id + 10",
            f"DELETE FROM t{n} WHERE id = 12",
        ]
    outcome = await both.carry(MODE + ";".join(script))
    assert PLAIN == {"conflicts": outcome.conflicts, "careful": outcome.row_by_row}
    for n, (here, theres) in enumerate(pairs.items()):
        shown = ", ".join(f"HEX(c{i}), CONCAT(c{i})" for i in range(len(theres)))
        columns = ", ".join(f"c{i} {here}" for i in range(len(theres)))
        both.only_target(f"{MODE} CREATE TABLE back{n} (id INT, {columns}); INSERT INTO back{n} SELECT * FROM t{n}")
        query = f"SET time_zone = '+00:00'; SELECT id, {shown} FROM {{}} ORDER BY id"
        found = both.on_target(query.format(f"back{n}"))
        assert both.on_source(query.format(f"t{n}")) == found, (here, theres)


def test_checked_pairs_refuse_what_they_cannot_keep(east: MariaDB, database: str, types: dict[str, Type]) -> None:
    """A strict server answers with an error, or has kept the value; it never just notes a change."""
    checked = [(a, b) for a in TYPES for b in TYPES if judge(types[a], types[b]) == "checked"]
    assert checked
    with east.connect(database=database, autocommit=True) as session, session.cursor() as cursor:
        for statement in MODE.rstrip(";").split(";"):
            cursor.execute(statement)
        for here, there in checked:
            cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE a (v {here})")
            cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE b (v {there})")
            cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE back (v {here})")
            for value in TYPES[here]:
                for table in ("a", "b", "back"):
                    cursor.execute(f"DELETE FROM {table}")
                cursor.execute(f"INSERT INTO a VALUES ({value})")
                try:
                    cursor.execute("INSERT INTO b SELECT * FROM a")
                except Exception:  # noqa: BLE001 - whatever the server says, it has stored nothing
                    continue
                cursor.execute("INSERT INTO back SELECT * FROM b")
                cursor.execute("SELECT (SELECT HEX(v) FROM a) = (SELECT HEX(v) FROM back)")
                assert cursor.fetchone() == (1,), (here, there, value)


SILENT = [
    ("decimal(10,4)", "decimal(10,1)", "1.2345"),
    ("double", "int", "1.5"),
    ("datetime(6)", "datetime", "'2024-01-01 00:00:00.7'"),
    ("datetime", "date", "'2024-01-01 10:00:00'"),
    ("bigint", "double", "9007199254740993"),
    ("double", "float", "0.1"),
    ("float", "float(7,3)", "1.23456"),
    ("text", "text compressed", "'a'"),
    ("varchar(9)", "varchar(5)", "'a       '"),
    ("timestamp null", "datetime", "'2024-01-01 10:00:00'"),
    ("bit(8)", "varchar(9)", "65"),
    ("varbinary(9)", "varchar(9)", "'a'"),
    ("binary(4)", "binary(6)", "'a'"),
]


@pytest.mark.parametrize(("here", "there", "value"), SILENT)
async def test_a_pair_that_changes_values_is_refused(both: Both, here: str, there: str, value: str) -> None:
    """Nobody has said that they may change; the message says how to say it."""
    both.only_source(f"CREATE TABLE t (id INT PRIMARY KEY, v {here})")
    both.only_target(f"CREATE TABLE t (id INT PRIMARY KEY, v {there})")
    with pytest.raises(SchemaMismatch, match=r"column v is .*allow_loss"):
        await both.carry(f"INSERT INTO t VALUES (1, {value})")
    assert [] == both.on_target("SELECT * FROM t")


async def test_allow_loss_lets_one_column_change(both: Both) -> None:
    """It is said of a column of the source, and of no other."""
    both.only_source("CREATE TABLE t (id INT PRIMARY KEY, price DECIMAL(10,4), n DECIMAL(10,4))")
    both.only_target("CREATE TABLE t (id INT PRIMARY KEY, price DECIMAL(10,1), n DECIMAL(10,4))")
    await both.carry("INSERT INTO t VALUES (1, 1.2345, 1.2345)", allow_loss=(f"{both.database}.t.price",))
    assert ["1.2 1.2345"] == [f"{a} {b}" for a, b in both.on_target("SELECT price, n FROM t")]
    both.only_target("ALTER TABLE t MODIFY n DECIMAL(10,1)")
    with pytest.raises(SchemaMismatch, match="column n is"):
        await both.carry("INSERT INTO t VALUES (2, 1, 1)", allow_loss=(f"{both.database}.t.price",))


@pytest.mark.parametrize(
    ("here", "there", "value"), [("varchar(80)", "varchar(40)", "REPEAT('x', 60)"), ("int", "tinyint", "1000")]
)
async def test_allow_loss_lets_nothing_in_that_does_not_fit(both: Both, here: str, there: str, value: str) -> None:
    """To round is one thing, to cut another; who allowed the one is told that it is not the other."""
    both.only_source(f"CREATE TABLE t (id INT PRIMARY KEY, v {here})")
    both.only_target(f"CREATE TABLE t (id INT PRIMARY KEY, v {there})")
    with pytest.raises(ApplyFailed, match=r"narrower.*allow_loss lets values be rounded"):
        await both.carry(f"INSERT INTO t VALUES (1, {value})", allow_loss=(f"{both.database}.t.v",))
    assert [] == both.on_target("SELECT * FROM t")


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("enum('a','b')", "enum('a','b\\'x')"),
        ("enum('a','b')", "enum('a')"),
        ("set('a','b')", "set('b','a')"),
        ("enum('a')", "varchar(9)"),
        ("varchar(9)", "enum('a')"),
    ],
)
async def test_members_that_differ_are_refused(both: Both, here: str, there: str) -> None:
    """The numbers of an ENUM mean its members, so those of the source must begin the target's; nothing allows else."""
    both.only_source(f"CREATE TABLE t (id INT PRIMARY KEY, v {here})")
    both.only_target(f"CREATE TABLE t (id INT PRIMARY KEY, v {there})")
    with pytest.raises(SchemaMismatch):
        await both.carry("INSERT INTO t VALUES (1, 'a')", allow_loss=(f"{both.database}.t.v",))


def test_members_are_read_as_servers_write_them() -> None:
    """With quotes doubled, and some characters escaped."""
    assert ("a", "b'x", "c,d", "e\\", "f\n") == members("enum('a','b''x','c,d','e\\\\','f\\n')")


KEYS = [
    ("id INT, v INT", "id INT PRIMARY KEY, v INT"),
    ("v VARCHAR(9) COLLATE utf8mb4_bin PRIMARY KEY", "v VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY"),
    ("id INT, v INT, PRIMARY KEY (id, v)", "id INT PRIMARY KEY, v INT"),
]


@pytest.mark.parametrize(("here", "there"), KEYS)
async def test_a_key_that_would_merge_rows_is_refused(both: Both, here: str, there: str) -> None:
    """A row that the target takes for another would be written over it, and no conflict counted."""
    both.only_source(f"CREATE TABLE t ({here})")
    both.only_target(f"CREATE TABLE t ({there})")
    async with running(both.link(), both.source, both.target) as link:
        both.only_source("INSERT INTO t (v) VALUES (1)" if "id" not in here else "INSERT INTO t (id, v) VALUES (1, 1)")
        error = await link.stopped()
    assert isinstance(error, SchemaMismatch)
    assert "does not tell the source's rows apart" in str(error)


async def test_a_finer_key_is_taken(both: Both) -> None:
    """More columns, or a collation that tells more apart, merge no rows."""
    both.only_source("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) COLLATE utf8mb4_general_ci, UNIQUE (v(2)))")
    both.only_target(
        "CREATE TABLE t (id BIGINT, v VARCHAR(9) COLLATE utf8mb4_bin NOT NULL, PRIMARY KEY (id, v), UNIQUE (v))"
    )
    await both.carry("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET v = 'c' WHERE id = 1")
    both.assert_equal("t")
