"""The servers that tests start are real, separate, and gone afterwards."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.fixtures.mariadb import MariaDB, ServerFailed
from tests.fixtures.servers import ServerFactory, sweep

CHILD = """
import sys
from tests.fixtures.mariadb import MariaDB
server = MariaDB().start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def test_committed_rows_survive_a_kill_on_the_same_port(server_factory: ServerFactory) -> None:
    """Crash tests stand on this: SIGKILL loses nothing committed, and clients find the server again."""
    server = server_factory()
    port = server.port
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (7)")

    server.kill()
    assert not server.is_running
    server.start()

    assert [(7,)] == server.sql("SELECT id FROM shop.t")
    assert port == server.port


def test_options_override_the_defaults_and_the_rest_stays(server_factory: ServerFactory) -> None:
    """A test names only the setting that it is about."""
    server = server_factory({"binlog_row_metadata": "MINIMAL", "sync-binlog": "0"})

    rows = server.sql("SELECT @@binlog_row_metadata, @@sync_binlog, @@binlog_format, @@log_bin, @@max_allowed_packet")

    assert [("MINIMAL", 0, "ROW", 1, 64 << 20)] == rows


def test_log_position_moves_with_a_commit_and_a_restart_keeps_it(server_factory: ServerFactory) -> None:
    """Tests compare positions to see that a log is quiet."""
    server = server_factory()
    _, _, before = server.binlog_position()
    server.sql("CREATE DATABASE shop")
    _, _, after = server.binlog_position()

    server.restart()

    assert before != after
    assert after == server.binlog_position()[2]


def test_shared_servers_are_two_and_both_have_the_database(east: MariaDB, west: MariaDB, database: str) -> None:
    """A link between them is a link between two origins."""
    ids = {server.sql("SELECT @@server_id")[0] for server in (east, west)}

    assert 2 == len(ids)
    assert [[(database,)]] * 2 == [server.sql(f"SHOW DATABASES LIKE '{database}'") for server in (east, west)]


def test_account_of_the_daemon_may_do_everything(east: MariaDB, database: str) -> None:
    """The daemon under test connects as cdcd, over TCP, with a password."""
    with (
        closing(east.connect(user=east.user, password=east.password)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE TABLE {database}.t (id INT)")
        cursor.execute("SHOW MASTER STATUS")

        assert cursor.fetchone() is not None


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Servers keep their data in memory, of which no reboot and no cleaner of /tmp frees any in time."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE, check=True)
    left, own = tmp_path / f"cdcd-{int(gone.stdout)}-x", tmp_path / f"cdcd-{os.getpid()}-x"
    for folder in (left, own):
        (folder / "data").mkdir(parents=True)

    sweep(tmp_path)

    assert [own] == list(tmp_path.iterdir())


def test_server_that_cannot_start_shows_its_log(server_factory: ServerFactory) -> None:
    """A wrong option is read in the failure, not searched for in a folder that is gone."""
    with pytest.raises(ServerFailed, match="no-such-option"):
        server_factory({"no-such-option": "1"})


def test_server_ends_with_the_process_that_started_it(mariadb_programs: None) -> None:
    """A test run that is killed leaves no server behind."""
    with tempfile.TemporaryDirectory(prefix="cdcd-") as folder, ExitStack() as opened:
        child = opened.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "TMPDIR": folder},
            )
        )
        opened.callback(child.kill)
        assert child.stdout is not None
        server = os.pidfd_open(int(child.stdout.readline()))
        opened.callback(os.close, server)

        child.send_signal(signal.SIGKILL)

        # A process's descriptor becomes readable when the process ends.
        assert [server] == select.select([server], [], [], 30)[0]
