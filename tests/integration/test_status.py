"""`cdcd status` prints what the running daemon says, or that none runs."""

import asyncio

import orjson
import pytest

from cdcd.observe import logs
from cdcd.observe.server import StatusServer
from tests.fixtures.link_view import Link
from tests.fixtures.mariadb import free_port

HEALTHY = (Link(),)
FILE = """
[daemon]
listen = "{listen}"
[sites.east]
user = "cdcd"
[sites.west]
user = "cdcd"
host = "10.0.0.2"
[links.forward]
source = "east"
target = "west"
tables = ["shop.*"]
"""


@pytest.fixture
async def status(cdcd):
    """Return a function that runs the command against the given links and returns (exit status, out, err)."""

    async def ask(*arguments, links=HEALTHY):
        async with StatusServer("127.0.0.1:0", lambda: links) as server:
            cdcd.write_text(FILE.format(listen=f"127.0.0.1:{server.port}"))
            done = await asyncio.to_thread(cdcd, "status", *arguments)
            return done.returncode, done.stdout, done.stderr

    return ask


async def test_the_table_has_a_line_for_each_link_and_its_error(status):
    """A person sees at a glance which link is behind, and why one does not stream."""
    failed = Link("reverse", "failed", None, "", 0, 0, 0, 0, error="the source has purged the log")

    assert (
        0,
        "link     state      lag      transactions  rows  suppressed  conflicts  position\n"
        "forward  streaming  0.004 s  12            40    7           1          0-1-100\n"
        "reverse  failed     -        0             0     0           0\n"
        "reverse: the source has purged the log\n",
        "",
    ) == await status(links=(Link(), failed))


async def test_json_is_the_document_of_the_listener(status):
    """A script reads the same document in both places."""
    code, out, _ = await status("--json", links=(Link(stages={"apply": {"seconds_busy": 1.5}}),))

    assert 0 == code
    assert {
        "state": "streaming",
        "lag_seconds": 0.004,
        "position": "0-1-100",
        "transactions": 12,
        "rows": 40,
        "suppressed": 7,
        "conflicts": 1,
        "error": None,
        "blocked": None,
        "stages": {"apply": {"seconds_busy": 1.5}},
    } == orjson.loads(out)["links"]["forward"]


async def test_dropped_log_lines_are_shown(status, monkeypatch):
    """Whoever looks for a line that is not in the log must know that some are missing."""
    monkeypatch.setattr(logs, "lines_dropped", lambda: 3)
    _, out, _ = await status()

    assert "3 log lines were dropped" in out.splitlines()[-1]


def test_no_daemon_is_exit_status_1(cdcd):
    """One line names the address that nobody answers at."""
    listen = f"127.0.0.1:{free_port()}"
    cdcd.write_text(FILE.format(listen=listen))
    done = cdcd("status")

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"cdcd: no cdcd answers at {listen}: ")
    assert done.stderr.endswith("; is it running, with this file?\n")


def test_a_listener_that_is_off_is_told_apart_from_a_daemon_that_is_down(cdcd):
    """The key to change is named."""
    cdcd.write_text(FILE.format(listen=""))
    done = cdcd("status")

    assert (1, True) == (done.returncode, done.stderr.startswith("cdcd: the status listener is off"))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n[]", b"SSH-2.0\r\n"])
@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_another_program_at_the_address_is_not_taken_for_cdcd(cdcd, answer, form):
    """Whatever it answers, a script must not take it for the status."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as other:
        listen = f"127.0.0.1:{other.sockets[0].getsockname()[1]}"
        cdcd.write_text(FILE.format(listen=listen))
        done = await asyncio.to_thread(cdcd, "status", *form)

    assert (1, "") == (done.returncode, done.stdout)
    assert f"what answers at {listen} is not cdcd" in done.stderr
