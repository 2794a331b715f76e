"""A pair of links gets one piece of advice for a difference, and both are content once it was taken."""

from __future__ import annotations

import random

import pytest

from cdcd.precheck import precheck
from tests.integration.precheck.conftest import configure

TYPES = [
    "TINYINT", "INT", "INT UNSIGNED", "BIGINT", "BIGINT UNSIGNED", "SMALLINT UNSIGNED",
    "DECIMAL(10,2)", "DECIMAL(12,4)",
    "VARCHAR(10)", "VARCHAR(30)", "CHAR(20)", "TEXT", "VARCHAR(20) CHARACTER SET latin1",
    "VARCHAR(20) COLLATE utf8mb4_bin", "VARCHAR(15) CHARACTER SET ascii", "VARBINARY(9)", "BLOB",
    "DATETIME", "DATETIME(6)", "FLOAT", "DOUBLE", "ENUM('a','b')", "ENUM('b','a')", "ENUM('a','b','c''d')",
    "SET('x','y')", "SET('y','z')",
]  # fmt: skip
FAMILIES = [(0, 6), (6, 8), (8, 15), (15, 17), (17, 19), (19, 21), (21, 24), (24, 26)]
KEYS = ["", ", UNIQUE (a)", ", UNIQUE KEY both_of (a, b)", ", UNIQUE (b)"]
ROW_KEYS = ["PRIMARY KEY (id)", "PRIMARY KEY (code)", "UNIQUE (id)", "UNIQUE (code)"]
RULES = [None, "", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON DELETE CASCADE ON UPDATE CASCADE"]


def a_table(chance: random.Random, families: list[tuple[int, int]]) -> str:
    """Return a definition whose columns are of these families, and everything else by chance."""
    a, b = (TYPES[chance.randrange(*family)] + chance.choice(["", " NOT NULL"]) for family in families)
    keys = chance.choice(KEYS) if not any("TEXT" in kind or "BLOB" in kind for kind in (a, b)) else ""
    rule = chance.choice(RULES)
    reference = f", FOREIGN KEY (p) REFERENCES parent (id){rule}" if rule is not None else ""
    more = chance.choice(["", "", ", more INT NOT NULL DEFAULT 5"])
    return (
        f"CREATE TABLE t (id INT NOT NULL, code INT NOT NULL, p INT, a {a}, b {b}{more}, {chance.choice(ROW_KEYS)}"
        f"{keys}{reference})"
    )


def statements(fix: str, site: str) -> str:
    """Return what of a fix is to be run on a site."""
    return "".join(f"{line.partition(';')[0]};" for line in fix.splitlines() if f";  -- on {site}" in line)


async def test_taking_all_advice_leaves_nothing_to_say(check):
    """Advice of one direction that the other takes back would go on for ever, or end with data lost."""
    advised = 0
    for seed in range(12):
        chance = random.Random(seed)
        families = [chance.choice(FAMILIES), chance.choice(FAMILIES)]
        parent = "DROP TABLE IF EXISTS t, parent; CREATE TABLE parent (id INT PRIMARY KEY);"
        tables = [a_table(chance, families) for _ in range(2)]
        check.create(parent + tables[0], parent + tables[1])
        config = configure(check.east, check.west, check.database, paired=True)
        problems = await precheck(config)
        for problem in problems:
            fixes = problem.fix.splitlines()
            assert fixes, problem
            assert all(";  -- on " in line or line.startswith("-- give it one type") for line in fixes), (seed, problem)
            assert "DROP COLUMN" not in problem.fix
            advised += len(fixes)
        assert len({problem.text for problem in problems}) == len(problems), seed
        try:
            for server, name in ((check.east, "east"), (check.west, "west")):
                server.sql("".join(statements(problem.fix, name) for problem in problems) + "SELECT 1")
        except Exception as error:
            error.add_note(f"{seed}: {tables} {[problem.fix for problem in problems]}")
            raise
        left = [problem for problem in await precheck(config) if "give it one type" not in problem.fix]
        assert [] == left, (seed, tables, [problem.fix for problem in problems])
    assert advised > 24


@pytest.mark.parametrize(
    ("here", "there", "fixes"),
    [
        ("v INT", "v SMALLINT", {"west": "MODIFY COLUMN `v` int NULL"}),
        ("v INT UNSIGNED", "v INT", {"east": "MODIFY COLUMN `v` bigint NULL", "west": "MODIFY COLUMN `v` bigint NULL"}),
        ("v INT, UNIQUE (v)", "v INT", {"west": "ADD UNIQUE KEY (`v`)"}),
        ("v INT NOT NULL", "v INT", {"east": "MODIFY COLUMN `v` int NULL"}),
        ("v ENUM('a')", "v ENUM('a','b')", {"east": "MODIFY COLUMN `v` enum('a','b') "}),
    ],
)
@pytest.mark.parametrize("is_swapped", [False, True])
async def test_a_difference_of_a_pair_is_one_finding(check, here, there, fixes, is_swapped):
    """The wider side is kept whichever way is looked at first, and each statement names its site."""
    if is_swapped:
        here, there = there, here
        fixes = {{"east": "west", "west": "east"}[site]: fix for site, fix in fixes.items()}
    check.create(*(f"CREATE TABLE t (id INT PRIMARY KEY, {columns})" for columns in (here, there)))
    [problem] = await precheck(configure(check.east, check.west, check.database, paired=True))

    for site, fix in fixes.items():
        assert f"ALTER TABLE `{check.database}`.`t` {fix}" in statements(problem.fix, site)
    assert len(fixes) == len(problem.fix.splitlines())


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("id INT PRIMARY KEY, v DECIMAL(10,4)", "id INT PRIMARY KEY, v DECIMAL(10,2)"),
        ("id INT PRIMARY KEY, v DATETIME(6)", "id INT PRIMARY KEY, v DATETIME"),
        ("id INT PRIMARY KEY, v UUID", "id INT PRIMARY KEY, v BINARY(16)"),
        ("k VARCHAR(9) COLLATE utf8mb4_bin PRIMARY KEY", "k VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY"),
        ("k VARCHAR(9) PRIMARY KEY", "k VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY"),
    ],
)
async def test_what_stops_either_link_is_an_error(check, here, there):
    """A warning that lets a pair begin, and then ends it at its first row, has told the operator nothing."""
    check.create(f"CREATE TABLE t ({here})", f"CREATE TABLE t ({there})")
    [problem] = await precheck(configure(check.east, check.west, check.database, paired=True))
    assert problem.is_error, problem


async def test_a_loss_that_both_links_allow_is_a_warning(check):
    """The one that was asked for by name is no reason to refuse the pair."""
    check.create(*(f"CREATE TABLE t (id INT PRIMARY KEY, v DATETIME({digits}))" for digits in (6, 0)))
    allowed = (f"{check.database}.t.v",)
    [problem] = await precheck(configure(check.east, check.west, check.database, paired=True, allow_loss=allowed))
    assert not problem.is_error, problem


async def test_servers_of_a_pair_are_compared_once(check):
    """Were each link to propose another server_id, the sites would end with the same again."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT)")
    problems = await precheck(configure(check.east, check.west, check.database, paired=True))

    assert ["links.forward"] == [problem.path for problem in problems]
