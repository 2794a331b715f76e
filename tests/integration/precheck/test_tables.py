"""What keeps a table from being carried exactly is named before anything moves."""

import pytest

CUSTOMER = "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL)"
PARENT = "CREATE TABLE p (id INT PRIMARY KEY);"

# A statement that fixes the target: (on the source, on the target, level, what the problem says).
FIXED_BY_ITS_STATEMENT = {
    "column missing": (
        CUSTOMER,
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "error",
        "t.name is missing on the target",
    ),
    "narrower text": (
        CUSTOMER,
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(10) NOT NULL)",
        "error",
        "t.name is varchar(20) utf8mb4_general_ci on the source and varchar(10)",
    ),
    "other charset": (
        CUSTOMER,
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20) CHARACTER SET latin1 NOT NULL)",
        "warning",
        "varchar(20) latin1_swedish_ci on the target",
    ),
    "smaller integer": (
        "CREATE TABLE t (id BIGINT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "warning",
        "t.id is bigint(20) on the source and int(11) on the target",
    ),
    "other sign": (
        "CREATE TABLE t (id INT UNSIGNED PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "warning",
        "t.id is int(10) unsigned on the source and int(11) on the target",
    ),
    "fewer digits before the point": (
        "CREATE TABLE t (id INT PRIMARY KEY, price DECIMAL(10,2) NOT NULL)",
        "CREATE TABLE t (id INT PRIMARY KEY, price DECIMAL(10,4) NOT NULL)",
        "warning",
        "t.price is decimal(10,2) on the source and decimal(10,4) on the target",
    ),
    "fewer fractions of a second": (
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME(6) NOT NULL)",
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME NOT NULL)",
        "error",
        "t.at is datetime(6) on the source and datetime on the target",
    ),
    "NULL not allowed": (
        "CREATE TABLE t (id INT PRIMARY KEY, note INT)",
        "CREATE TABLE t (id INT PRIMARY KEY, note INT NOT NULL)",
        "warning",
        "t.note may be NULL on the source and not on the target",
    ),
    "other enum members": (
        "CREATE TABLE t (id INT PRIMARY KEY, size ENUM('S','M') NOT NULL)",
        "CREATE TABLE t (id INT PRIMARY KEY, size ENUM('M','S','L') NOT NULL)",
        "error",
        "the members of",
    ),
    "other row key": (
        "CREATE TABLE t (id INT PRIMARY KEY, code INT NOT NULL)",
        "CREATE TABLE t (id INT NOT NULL, code INT PRIMARY KEY)",
        "error",
        "told apart by (id) on the source and by (code) on the target",
    ),
    "no row key": (
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT NOT NULL)",
        "error",
        "told apart by (id) on the source and by no key on the target",
    ),
    "one more unique key": (
        "CREATE TABLE t (id INT PRIMARY KEY, code INT)",
        "CREATE TABLE t (id INT PRIMARY KEY, code INT UNIQUE)",
        "warning",
        "unique key code of",
    ),
    "one more foreign key": (
        PARENT + "CREATE TABLE t (id INT PRIMARY KEY, p INT, KEY (p))",
        PARENT + "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))",
        "warning",
        "is not on the source: the target may refuse rows",
    ),
    "a cascade missing": (
        PARENT + "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
        PARENT + "CREATE TABLE t (id INT PRIMARY KEY, p INT, KEY (p))",
        "error",
        "rows that it changes by itself are in no log",
    ),
    "another cascade": (
        PARENT + "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON UPDATE CASCADE)",
        PARENT + "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL)",
        "error",
        "rows that it changes by itself are in no log",
    ),
    "trigger": (
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY);CREATE TRIGGER twice BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1",
        "error",
        "trigger twice of",
    ),
    "history": (
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
        "error",
        "is system-versioned on the target",
    ),
    "no rollback": (
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY) ENGINE = MyISAM",
        "error",
        "on the target is MyISAM, which can't roll back",
    ),
}


@pytest.mark.parametrize(
    ("here", "there", "level", "text"), FIXED_BY_ITS_STATEMENT.values(), ids=FIXED_BY_ITS_STATEMENT.keys()
)
async def test_the_printed_statement_fixes_the_target(check, here, there, level, text):
    """A problem names the table and the column, and its fix, run as printed, makes it go away."""
    check.create(here, there)
    [problem] = await check()

    assert (level, "links.forward") == (problem.level, problem.path)
    assert text in problem.text
    assert f"{check.database}.t" in problem.text or "twice" in problem.text

    check.west.sql(problem.fix)

    assert [] == await check()


@pytest.mark.parametrize("paired", [False, True])
async def test_a_pair_without_faults_has_no_problems(check, paired):
    """The precheck cries only when there is something to do."""
    check.create(
        PARENT + "CREATE TABLE t (id INT PRIMARY KEY, size ENUM('S') NOT NULL, p INT,"
        " FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE, total INT AS (id * 2))"
    )

    assert [] == await check(paired=paired)


WIDER = {
    "text": ("name VARCHAR(10)", "name VARCHAR(20)"),
    "members": ("size ENUM('S','M,L')", "size ENUM('S','M,L','XL')"),
    "default": ("name INT", "name INT, more INT NOT NULL DEFAULT 1"),
    "nullable": ("name INT NOT NULL", "name INT, more INT"),
    "computed on the source alone": ("n INT, twice INT AS (n * 2)", "n INT"),
    "display width": ("n INT(9)", "n INT(4)"),
    "case of a name": ("Name INT", "name INT"),
}


@pytest.mark.parametrize(("here", "there"), WIDER.values(), ids=WIDER.keys())
async def test_a_target_may_hold_more(check, here, there):
    """What fits without loss is not a problem."""
    check.create(*(f"CREATE TABLE t (id INT PRIMARY KEY, {columns})" for columns in (here, there)))

    assert [] == await check()


async def test_a_column_that_must_be_given_is_an_error(check):
    """Every insert would fail; the fix names the default that only the operator knows."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE t (id INT PRIMARY KEY, region INT NOT NULL)")
    [problem] = await check()

    assert problem.is_error
    assert "t.region is not on the source, must not be NULL and has no default" in problem.text
    assert problem.fix.endswith("ALTER COLUMN `region` SET DEFAULT …;  -- on west")


async def test_a_column_computed_on_one_side_only_is_named(check):
    """Nothing would write it on the target, or what the source stores would be lost."""
    plain, computed = "n INT, twice INT", "n INT, twice INT AS (n * 2)"
    check.create(
        f"CREATE TABLE a (id INT PRIMARY KEY, {plain}); CREATE TABLE b (id INT PRIMARY KEY, {computed})",
        f"CREATE TABLE a (id INT PRIMARY KEY, {computed}); CREATE TABLE b (id INT PRIMARY KEY, {plain})",
    )
    problems = await check()

    assert ["warning", "error"] == [problem.level for problem in problems]
    assert "a.twice is computed on the target" in problems[0].text
    assert "b.twice is computed on the source and plain on the target" in problems[1].text


@pytest.mark.parametrize(
    ("paired", "level", "text"),
    [
        (True, "error", "conflicts between the sites can't be told"),
        (False, "warning", "carried by comparing whole rows, which is slow"),
    ],
)
async def test_every_table_without_a_key_is_named(check, paired, level, text):
    """One link can compare whole rows; a pair can't tell which row a conflict is about."""
    check.create("CREATE TABLE a (n INT); CREATE TABLE b (n INT UNIQUE); CREATE TABLE c (n INT PRIMARY KEY)")
    problems = await check(paired=paired)

    assert [level] * 2 == [problem.level for problem in problems]
    for table, problem in zip("ab", problems, strict=True):
        assert f"table {check.database}.{table} has neither a primary key" in problem.text
        assert text in problem.text
        assert f"-- ALTER TABLE `{check.database}`.`{table}` ADD PRIMARY KEY" in problem.fix


async def test_a_table_that_cannot_roll_back_on_the_source_is_a_warning(check):
    """It can be carried, but a failed statement leaves what it had done."""
    check.create(
        "CREATE TABLE t (id INT PRIMARY KEY) ENGINE = Aria",
        "CREATE TABLE t (id INT PRIMARY KEY) ENGINE = InnoDB",
    )
    [problem] = await check()

    assert ("warning", True) == (problem.level, "on the source is Aria" in problem.text)


async def test_a_missing_table_is_named_as_the_target_knows_it(check):
    """With a rename, the missing name is the new one."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY)", "SELECT 1")
    [problem] = await check(rename={f"{check.database}.t": f"{check.database}.new"})

    assert problem.is_error
    assert f"table {check.database}.new is missing on the target" == problem.text
    assert f"mariadb-dump --no-data --skip-triggers {check.database} t " in problem.fix


async def test_a_renamed_table_is_compared_under_its_new_name(check):
    """The judge must look where the rows will go, foreign keys included."""
    reference = "FOREIGN KEY (p) REFERENCES {} (id) ON DELETE CASCADE"
    child = "CREATE TABLE t (id INT PRIMARY KEY, p INT, {})"
    check.create(
        PARENT + child.format(reference.format("p")),
        PARENT.replace("p", "q", 1) + child.format(reference.format("q")),
    )

    assert [] == await check(rename={f"{check.database}.p": f"{check.database}.q"})


async def test_two_tables_into_one_is_an_error(check):
    """Their rows would overwrite each other."""
    check.create("CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY)")
    [problem] = await check(rename={f"{check.database}.a": f"{check.database}.b"})
    a, b = (f"{check.database}.{table}" for table in "ab")

    assert (True, f"{a} and {b} both become {b} on the target") == (problem.is_error, problem.text)


async def test_rules_that_match_nothing_are_an_error(check):
    """A mistyped rule must not run for days and carry nothing."""
    [problem] = await check()

    assert problem.is_error
    assert f"no table of east matches tables ({check.database}.*)" in problem.text
    assert f"GRANT SELECT ON `{check.database.replace('_', chr(92) + '_')}`.* TO `cdcd`@`%`;" == problem.fix


async def test_a_sequence_is_to_be_excluded(check):
    """Its changes are in the log like rows of a table, which it is not."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY); CREATE SEQUENCE s")
    [problem] = await check()

    assert (True, f'links.forward.exclude = ["{check.database}.s"]') == (problem.is_error, problem.fix)
    assert [] == await check(exclude=(f"{check.database}.s",))


async def test_tables_outside_the_rules_are_not_judged(check):
    """What the link does not carry is not its concern."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE tmp (n INT) ENGINE = MyISAM")

    assert [] == await check(exclude=(f"{check.database}.tmp",))


async def test_sites_that_hand_out_the_same_numbers_are_warned(check):
    """Inserts on both sides of a pair would take the same AUTO_INCREMENT values."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT)")
    [problem] = await check(paired=True)

    assert "warning" == problem.level
    assert "east and west hand out the same AUTO_INCREMENT numbers" in problem.text
    assert [] == await check(paired=False)


WRONG_FILTERS = {
    "unknown column": ("regoin = 'eu'", "'regoin' is not a column of the table; it has id, region, note, at"),
    "type": ("region = 5", "compares varchar(9) with a integer, which a server converts in ways of its own"),
    "order": ("region < 'eu'", "can't be decided in collation 'utf8mb4_general_ci'"),
    "charset": ("note = 'x'", "text in charset armscii8, which cannot be read exactly"),
    "moment": ("at > 'soon'", "is no full date or time"),
}


@pytest.mark.parametrize(("text", "says"), WRONG_FILTERS.values(), ids=WRONG_FILTERS.keys())
async def test_a_filter_that_would_stop_the_link_is_an_error(check, text, says):
    """The link would run until the first row of that table."""
    check.create(
        "CREATE TABLE t (id INT PRIMARY KEY, region VARCHAR(9), note VARCHAR(9) CHARACTER SET armscii8, at DATETIME)"
    )
    name = f"{check.database}.t"
    [problem] = await check(where={name: text})

    assert (True, f'links.forward.where."{name}"') == (problem.is_error, problem.path)
    assert says in problem.text
    assert "^" in problem.text


async def test_a_filter_of_a_table_that_is_not_carried_is_an_error(check):
    """A misspelt name would let every row pass."""
    check.create("CREATE TABLE t (id INT PRIMARY KEY)")
    [problem] = await check(where={f"{check.database}.tt": "id = 1"})

    assert (True, True) == (problem.is_error, f"carries no table {check.database}.tt" in problem.text)
    assert [] == await check(where={f"{check.database}.t": "id = 1"})
