"""The account gets exactly the statements that it needs, and needs no more than they give."""

import uuid

import pytest

from cdcd.precheck import precheck
from tests.integration.precheck.conftest import configure


@pytest.fixture
def account(east, west, database):
    """Make an account on both servers that sees the test's table and may do nothing else."""
    name = f"user_{uuid.uuid4().hex[:8]}"
    for server in (east, west):
        server.sql(
            "CREATE TABLE t (id INT PRIMARY KEY);"
            f"CREATE USER {name}@'%' IDENTIFIED BY 'x'; GRANT SHOW VIEW ON {database}.t TO {name}@'%'",
            database=database,
        )
    yield {"user": name, "password": "x"}
    for server in (east, west):
        server.sql(f"DROP USER {name}@'%'")


def on(server, problem):
    """Return whether the problem is of this site's account."""
    return problem.path == f"sites.{server}" or f"the account of {server}" in problem.text


def granted(server, account):
    """Return what an account has been granted."""
    return {row[0].partition(" TO ")[0] for row in server.sql(f"SHOW GRANTS FOR {account['user']}@'%'")}


@pytest.mark.parametrize("ddl", [False, True])
async def test_the_printed_grants_are_enough_and_no_more(east, west, database, account, ddl):
    """An account without any grant becomes fit by running what is printed, once."""
    config = configure(east, west, database, account=account, ddl=ddl)
    problems = await precheck(config)
    for problem in problems:
        assert problem.is_error or "BINLOG" in problem.text
        (east if on("east", problem) else west).sql(problem.fix)
    pattern = database.replace("_", r"\_")
    schema = ", CREATE, DROP, REFERENCES, INDEX, ALTER" if ddl else ""

    assert [] == await precheck(config)
    assert {f"GRANT SELECT ON `{pattern}`.*", f"GRANT SHOW VIEW ON `{database}`.`t`"} < granted(east, account)
    assert 1 == sum("REPLICATION SLAVE, BINLOG MONITOR ON *.*" in line for line in granted(east, account))
    assert {
        f"GRANT SELECT, INSERT, UPDATE, DELETE{schema}, TRIGGER ON `{pattern}`.*",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `cdcd`.*",
        f"GRANT SHOW VIEW ON `{database}`.`t`",
    } < granted(west, account)


async def test_each_missing_privilege_is_named(east, west, database, account):
    """The operator reads which right is missing where, not that something is denied."""
    texts = [problem.text for problem in await precheck(configure(east, west, database, account=account))]

    assert [
        "the account lacks REPLICATION SLAVE and BINLOG MONITOR, which reading the log needs",
        "the account lacks SELECT, INSERT, UPDATE, DELETE, CREATE on database cdcd, where checkpoints are kept",
        "the account lacks BINLOG REPLAY: rows go as SQL, which is about twice the work for the target",
        "binlog_annotate_row_events is ON, and the account lacks BINLOG ADMIN: the target's log holds what cdcd sends"
        " as text too, beside its rows, and grows to twice the size",
        f"the account of east lacks SELECT on table t in database {database}",
        f"the account of west lacks SELECT, INSERT, UPDATE, DELETE, TRIGGER on table t in database {database}",
    ] == texts


async def test_privileges_of_a_default_role_count(east, west, database, account):
    """Accounts are often given a role and nothing else."""
    user, role = f"{account['user']}@'%'", f"{account['user']}_role"
    for server in (east, west):
        server.sql(
            f"CREATE ROLE {role}; GRANT ALL PRIVILEGES ON *.* TO {role};"
            f"GRANT {role} TO {user}; SET DEFAULT ROLE {role} FOR {user}"
        )
    try:
        assert [] == await precheck(configure(east, west, database, account=account))
    finally:
        for server in (east, west):
            server.sql(f"DROP ROLE {role}")


async def test_an_account_that_may_only_read_sees_foreign_keys(east, west, database, account):
    """Its rules are hidden from such an account, which must not look like a missing foreign key."""
    child = "CREATE TABLE c (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)"
    for server in (east, west):
        server.sql(child, database=database)
        server.sql(f"GRANT ALL PRIVILEGES ON *.* TO {account['user']}@'%'")
    east.sql(
        f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account['user']}@'%';"
        f"GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO {account['user']}@'%'"
    )
    config = configure(east, west, database, account=account)

    assert [] == await precheck(config)

    west.sql("ALTER TABLE c DROP FOREIGN KEY c_ibfk_1", database=database)
    [problem] = await precheck(config)

    assert "warning" == problem.level
    assert "if it cascades, which the account may not see" in problem.text
