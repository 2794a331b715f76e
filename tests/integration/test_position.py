"""`cdcd position` prints where a log ends, as `start` accepts it."""

from cdcd.config import load


def test_the_position_is_where_the_log_ends_and_start_accepts_it(cdcd, east, west, database):
    """What is printed can be pasted into the file."""
    east.sql("CREATE TABLE t (id INT PRIMARY KEY)", database=database)
    cdcd.write(east, west, f"{database}.*")
    done = cdcd("position", "--site", "east")
    printed = done.stdout.removesuffix("\n")

    assert (0, east.binlog_position()[2], "") == (done.returncode, printed, done.stderr)

    cdcd.write(east, west, f"{database}.*", link=f'start = "{printed}"')

    assert printed == load(cdcd.path).links["forward"].start


def test_an_empty_log_ends_where_it_begins(cdcd, server_factory, west):
    """No GTID can name the end of a log without transactions, and `start` accepts no empty text."""
    east = server_factory()
    east.sql("RESET MASTER")
    cdcd.write(east, west, "shop.*")

    assert "earliest\n" == cdcd("position", "--site", "east").stdout


def test_a_server_without_a_log_has_no_position(cdcd, server_factory, west):
    """An empty answer would be taken for the beginning of the log."""
    cdcd.write(server_factory({"log-bin": None}), west, "shop.*")
    done = cdcd("position", "--site", "east")

    assert (1, "", "cdcd: site east has no binary log; set log_bin on its server\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_a_server_that_is_down_is_named_on_one_line(cdcd, server_factory, west):
    """An operator reads an address and a reason, no traceback."""
    east = server_factory()
    cdcd.write(east, west, "shop.*")
    east.stop()
    done = cdcd("position", "--site", "east")
    [line] = done.stderr.splitlines()

    assert (1, "") == (done.returncode, done.stdout)
    assert line.startswith("cdcd: ")
    assert f"{east.host}:{east.port}" in line


def test_an_unknown_site_is_a_wrong_usage(cdcd, east, west):
    """The message lists the names that the file has."""
    cdcd.write(east, west, "shop.*")
    done = cdcd("position", "--site", "esat")

    assert (2, "sites: no site named 'esat' (there are: east, west)\n") == (done.returncode, done.stderr)
