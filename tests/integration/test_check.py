"""`cdcd check` prints what to fix, and its exit status says whether a run would start."""

from __future__ import annotations

import pytest

from tests.fixtures.links import forget


@pytest.fixture(autouse=True)
def _new_links(east, west):
    """Nothing remembers links of these names, whatever tests on the same servers have run."""
    for name in ("forward", "reverse"):
        forget(name, east, west)
    for server in (east, west):
        if server.sql(
            "SELECT 1 FROM information_schema.tables WHERE (table_schema, table_name) = ('cdcd', 'checkpoint')"
        ):
            server.sql("DELETE FROM cdcd.checkpoint WHERE link IN ('forward', 'reverse')")


def test_nothing_to_fix_is_exit_status_0(cdcd, east, west, database):
    """A script can rely on the exit status alone."""
    for server in (east, west):
        server.sql("CREATE TABLE t (id INT PRIMARY KEY)", database=database)
    cdcd.write(east, west, f"{database}.*", paired=True)
    done = cdcd("check")

    assert (0, "2 links checked: 0 errors, 0 warnings\n", "") == (done.returncode, done.stdout, done.stderr)


def test_an_error_is_printed_with_its_fix_and_is_exit_status_3(cdcd, east, west, database):
    """The statement stands on a line of its own, ready to be copied; errors come before warnings."""
    east.sql("CREATE TABLE a (n INT); CREATE TABLE t (id INT PRIMARY KEY)", database=database)
    west.sql("CREATE TABLE a (n INT); CREATE TABLE t (id INT PRIMARY KEY) ENGINE = MyISAM", database=database)
    cdcd.write(east, west, f"{database}.*")
    done = cdcd("check")

    assert 3 == done.returncode
    assert [
        f"error: links.forward: table {database}.t on the target is MyISAM, which can't roll back:"
        " exactly once can't be kept",
        f"    ALTER TABLE `{database}`.`t` ENGINE = InnoDB;  -- on west",
        f"warning: links.forward: table {database}.a has neither a primary key nor a unique key without NULLs:"
        " it is carried by comparing whole rows, which is slow",
        f"    -- ALTER TABLE `{database}`.`a` ADD PRIMARY KEY (…);  on both sides",
        "1 links checked: 1 errors, 1 warnings",
    ] == done.stdout.splitlines()


def test_a_warning_alone_is_exit_status_0(cdcd, east, west, database):
    """The operator may accept a warning."""
    for server in (east, west):
        server.sql("CREATE TABLE a (n INT)", database=database)
    cdcd.write(east, west, f"{database}.*")
    done = cdcd("check")

    assert (0, True) == (done.returncode, done.stdout.endswith("1 links checked: 0 errors, 1 warnings\n"))


def test_run_refuses_to_start_on_what_check_calls_an_error(cdcd, east, west, database):
    """Nothing is carried by halves: the same finding is exit status 3 of both."""
    east.sql("CREATE TABLE t (id INT PRIMARY KEY)", database=database)
    cdcd.write(east, west, f"{database}.*")
    done = cdcd("run")

    assert 3 == done.returncode
    assert f"links.forward: table {database}.t is missing on the target" in done.stderr


def test_every_mistake_of_the_file_is_a_line_and_exit_status_2(cdcd):
    """The whole file can be put right in one go."""
    cdcd.write_text(
        '[sites.east]\nuser = "u"\nport = 0\n[links.forward]\nsource = "est"\ntarget = "east"\ntables = ["shop"]\n'
    )
    done = cdcd("check")

    assert (2, "") == (done.returncode, done.stdout)
    assert {"sites.east.port", "links.forward.source", "links.forward.tables[0]"} == {
        line.partition(":")[0] for line in done.stderr.splitlines()
    }


def test_wrong_arguments_are_exit_status_2(cdcd):
    """argparse explains them."""
    done = cdcd("check", "--nonsense")

    assert (2, True) == (done.returncode, "unrecognized arguments: --nonsense" in done.stderr)


def test_a_password_is_in_no_output(cdcd, east, west, database):
    """Not when it is wrong, not in an error about the account."""
    cdcd.write(east, west, f"{database}.*", account={"user": "cdcd", "password": "hunter2"})
    done = cdcd("check")

    assert 3 == done.returncode
    assert "hunter2" not in done.stdout + done.stderr
