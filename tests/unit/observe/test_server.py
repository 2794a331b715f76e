"""The listener serves three read-only pages and survives bad clients."""

import asyncio
import contextlib
import os
import resource
import socket
import struct
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from cdcd.errors import ConfigError
from cdcd.observe import connection, server
from cdcd.observe.server import StatusServer, parse_listen
from cdcd.observe.token import Token


async def answer(port, request, *, half_closed=False):
    """Send raw bytes, and return all that comes, after which the connection must end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    if half_closed:
        writer.write_eof()
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def ask(port, request, **how):
    """Send raw bytes, and return the status code and the body."""
    head, _, body = (await answer(port, request, **how)).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


async def get(port, path, *headers):
    """Ask for a path; return the status and the body."""
    lines = (f"GET {path} HTTP/1.1", "Host: x", *headers)
    return await ask(port, "".join(f"{line}\r\n" for line in (*lines, "")).encode())


def listening(*links, **keys):
    """Return a server of some links on a free port."""
    return StatusServer("127.0.0.1:0", lambda: links, **keys)


async def until(condition):
    """Return once it holds; fail the test when it does not in time."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_status_is_the_document(link):
    """GET /status is what `cdcd status --json` prints."""
    async with listening(link()) as status:
        code, body = await get(status.port, "/status")

    assert 200 == code
    assert "streaming" == orjson.loads(body)["links"]["forward"]["state"]


async def test_metrics_are_prometheus_text(link):
    """GET /metrics can be scraped."""
    async with listening(link()) as status:
        code, body = await get(status.port, "/metrics")

    assert 200 == code
    assert b'cdcd_up{link="forward"} 1.0' in body


async def test_health_is_ok_only_while_every_link_streams(link):
    """A load balancer or a probe reads the status code alone, a person the reason."""
    async with listening(link()) as status:
        assert (200, b"ok\n") == await get(status.port, "/healthz")
    async with listening(link(), link(name="reverse", state="failed", error="purged")) as status:
        assert (503, b"reverse: failed: purged\n") == await get(status.port, "/healthz")


async def test_an_answer_says_all_that_a_client_needs_and_nothing_of_what_answers(link):
    """A cache must not keep it, a client must not wait for more, and a stranger learns no version to look up."""
    async with listening(link()) as status:
        said = await answer(status.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")

    assert (b"HTTP/1.1 200 OK", b"ok\n") == (first, body)
    assert [
        b"Cache-Control: no-store",
        b"Connection: close",
        b"Content-Length: 3",
        b"Content-Type: text/plain; charset=utf-8",
        b"Server: cdcd",
    ] == sorted(header for header in headers if not header.startswith(b"Date: "))


async def test_only_get_is_allowed_and_head_gets_no_body(link):
    """The answer names the method that there is; what follows a HEAD's head would be taken for the next answer."""
    async with listening(link()) as status:
        said = await answer(status.port, b"HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET\r\n" in said
    assert said.endswith(b"\r\n\r\n")


TOO_LONG = connection.REQUEST_BYTES_MAX


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /status/.. HTTP/1.1\r\n\r\n", 404),
        (b"GET /%73tatus HTTP/1.1\r\n\r\n", 404),
        (b"GET //[::1/%zz HTTP/1.1\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", 404),
        (b"CONNECT x:1 HTTP/1.1\r\n\r\n", 404),
        (b"POST /status HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"POST /status HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000, 405),
        (b"GET /status?pretty HTTP/1.0\r\n\r\n", 200),
        (b"\r\nGET /status HTTP/1.1\r\nHOST: x\r\n\r\n", 200),
        (b"GET /status HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 200),
        (b"GET /status HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 413),
        (b"\x16\x03\x01 TLS hello\r\n\r\n", 400),
        (b"GET /status\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\r\n\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nX: \0\r\n\r\n", 400),
        (b"POST /status HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nX: " + b"x" * (TOO_LONG - 100) + b"\r\n\r\n", 200),
        (b"GET /" + b"x" * (TOO_LONG - 100) + b" HTTP/1.1\r\n\r\n", 404),
        (b"GET /status HTTP/1.1\r\nX: " + b"x" * TOO_LONG, 431),
        (b"GET /status HTTP/1.1\r\nX: " + b"x" * TOO_LONG + b"\r\n\r\n", 431),
        (b"GET /status HTTP/1.1\r\n" + b"X: x\r\n" * TOO_LONG, 431),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else value,
)
async def test_requests_get_the_answer_that_http_names(link, request_bytes, expected, caplog):
    """Whatever arrives, the client learns what was wrong and the daemon goes on."""
    async with listening(link()) as status:
        code, _ = await ask(status.port, request_bytes)

        assert expected == code
        assert 200 == (await get(status.port, "/status"))[0]
    assert [] == caplog.records


async def test_only_the_first_of_many_requests_is_answered(link):
    """Whoever sends thousands at once must not have thousands of answers made."""
    async with listening(link()) as status:
        said = await answer(status.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)

    assert 1 == said.count(b"HTTP/1.1 ")
    assert said.endswith(b"\r\n\r\nok\n")


async def test_a_client_that_has_nothing_more_to_say_is_answered(link):
    """Shell scripts end what they send with the end of their half of the connection."""
    async with listening(link()) as status:
        assert (200, b"ok\n") == await ask(status.port, b"GET /healthz HTTP/1.0\r\n\r\n", half_closed=True)
        assert (
            405 == (await ask(status.port, b"PUT /status HTTP/1.0\r\nContent-Length: 9\r\n\r\n", half_closed=True))[0]
        )
        assert 400 == (await ask(status.port, b"GET /healthz HT", half_closed=True))[0]
        assert b"" == await answer(status.port, b"", half_closed=True)


async def test_a_page_that_fails_is_answered_and_logged(link):
    """A defect of ours costs one answer, not the listener."""
    with capture_logs() as logged:
        async with listening(link(stages=None)) as status:
            assert (500, b"Internal Server Error\n") == await get(status.port, "/status")
            assert (200, b"ok\n") == await get(status.port, "/healthz")

    [line] = logged
    assert ("request_failed", "/status") == (line["event"], line["path"])
    assert isinstance(line["exc_info"], AttributeError)


@pytest.mark.parametrize("path", ["/status", "/metrics", "/healthz", "/"])
async def test_without_the_token_nothing_is_told(link, path):
    """Not even whether there is such a page; the answer says what is missing."""
    async with listening(link(), token=Token("s3cret")) as status:
        said = await answer(status.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert said.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b'\r\nWWW-Authenticate: Bearer realm="cdcd"\r\n' in said
    assert said.endswith(b"\r\n\r\nUnauthorized\n")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("Authorization: Bearer s3cret",), 200),
        (("authorization: bearer  s3cret ",), 200),
        (("Authorization: Bearer s3cre",), 401),
        (("Authorization: Bearer s3crets",), 401),
        (("Authorization: Bearer",), 401),
        (("Authorization: s3cret",), 401),
        (("Authorization: Basic s3cret",), 401),
        (("Authorization: Bearer \xff",), 401),
        (("Authorization: Bearer s3cret", "Authorization: Bearer other"), 401),
        (("Proxy-Authorization: Bearer s3cret",), 401),
    ],
)
async def test_the_token_opens_every_page(link, headers, expected):
    """One that is nearly right is wrong, and of two nobody knows which is meant."""
    async with listening(link(), token=Token("s3cret")) as status:
        assert expected == (await get(status.port, "/status", *headers))[0]
        assert expected == (await get(status.port, "/healthz", *headers))[0]


async def test_a_token_counts_from_the_next_request_on(link):
    """A token that became known is changed, and whoever has the old one must be out."""
    token = Token("old")
    async with listening(link(), token=token) as status:
        assert 200 == (await get(status.port, "/status", "Authorization: Bearer old"))[0]
        token.text = "new"
        assert 401 == (await get(status.port, "/status", "Authorization: Bearer old"))[0]
        assert 200 == (await get(status.port, "/status", "Authorization: Bearer new"))[0]


async def test_a_client_that_sends_nothing_is_dropped(link, monkeypatch):
    """Idle connections must not pile up."""
    monkeypatch.setattr(server, "REQUEST_SECONDS_MAX", 0.05)
    async with listening(link()) as status:
        reader, writer = await asyncio.open_connection("127.0.0.1", status.port)
        async with asyncio.timeout(20):
            with suppress(ConnectionResetError):
                assert b"" == await reader.read()
        writer.close()


@contextlib.asynccontextmanager
async def clients(port, count, *sent):
    """Open many connections; each sends something, and stays."""
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    try:
        for _, writer in opened:
            writer.writelines(sent)
        yield opened
    finally:
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("sent", [(), (b"GET /healthz HT",)], ids=["nothing", "half a request"])
async def test_the_newest_client_is_served_however_many_stand_idle(link, sent, caplog):
    """A probe that gets no answer restarts a healthy daemon; connections that ask nothing must give way."""
    async with listening(link()) as status:
        async with clients(status.port, 200, *sent):
            for _ in range(5):
                assert (200, b"ok\n") == await get(status.port, "/healthz")
            assert len(asyncio.all_tasks()) <= server.CONNECTIONS_MAX + 2
    assert [] == caplog.records


async def test_a_client_that_sends_its_request_byte_by_byte_is_dropped(link, monkeypatch):
    """What counts is when the whole request is there: each byte buys no more time."""
    monkeypatch.setattr(server, "REQUEST_SECONDS_MAX", 0.2)
    async with listening(link()) as status:
        reader, writer = await asyncio.open_connection("127.0.0.1", status.port)
        ended = asyncio.create_task(reader.read())
        async with asyncio.timeout(20):
            while not ended.done():
                writer.write(b"G")
                await asyncio.sleep(0.01)
        with suppress(ConnectionResetError):
            assert b"" == ended.result()
        writer.close()


async def test_a_client_that_does_not_read_its_answer_is_dropped(link, monkeypatch):
    """An answer larger than the sockets' buffers would stay in memory for as long as such a client likes."""
    monkeypatch.setattr(server, "REQUEST_SECONDS_MAX", 0.5)
    async with listening(link(error="x" * 32_000_000)) as status:
        _, writer = await asyncio.open_connection("127.0.0.1", status.port, limit=1024)
        writer.write(b"GET /status HTTP/1.1\r\n\r\n")
        await until(lambda: status.connections == 1)
        await until(lambda: not status.connections)
        writer.close()


def answers_in_the_kernel(port):
    """Return how many connections of a listener the kernel has bytes for which nobody takes (proc_net_tcp(5))."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(f":{port:04X}") and not line[4].startswith("00000000:") for line in lines)


async def test_the_kernel_too_drops_an_answer_that_nobody_reads(link, monkeypatch):
    """What fits its buffers is out of our hands at once, and would stay there for minutes: many such clients add up."""
    monkeypatch.setattr(server, "REQUEST_SECONDS_MAX", 0.5)
    async with listening(link(error="x" * 600_000)) as status:
        with closing(socket.socket()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", status.port))
            client.send(b"GET /status HTTP/1.1\r\n\r\n")
            await until(lambda: answers_in_the_kernel(status.port))
            await until(lambda: not answers_in_the_kernel(status.port))


async def test_a_client_that_resets_its_connection_harms_nobody(link, caplog):
    """Scanners do, before they are accepted or after."""
    async with listening(link()) as status:
        for sent in (b"", b"GET /st", b"GET /status HTTP/1.1\r\n\r\n") * 20:
            with socket.create_connection(("127.0.0.1", status.port)) as client:
                client.sendall(sent)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert (200, b"ok\n") == await get(status.port, "/healthz")
        await until(lambda: not status.connections)
    assert [] == caplog.records


async def test_a_process_without_descriptors_serves_again_once_it_has_some(link):
    """Others of its files may take them all; the listener must neither spin nor end."""
    loop, limits = asyncio.get_running_loop(), resource.getrlimit(resource.RLIMIT_NOFILE)
    async with listening(link()) as status:
        await get(status.port, "/healthz")
        await until(lambda: not status.connections)
        with closing(socket.socket()) as client:
            os.close(none_left := os.dup(client.fileno()))
            resource.setrlimit(resource.RLIMIT_NOFILE, (none_left, limits[1]))
            try:
                client.connect(("127.0.0.1", status.port))  # The kernel takes it at once.
                client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                client.setblocking(False)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(3 * server.PAUSE_SECONDS):
                        await loop.sock_recv(client, 1)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            async with asyncio.timeout(20):
                assert b"HTTP/1.0 200" == await loop.sock_recv(client, 12)


async def test_a_library_that_is_not_there_is_told(link, monkeypatch):
    """An installation that was taken away from under the daemon must not look like a daemon that hangs."""
    monkeypatch.setitem(sys.modules, "cdcd.observe.connection", None)
    with capture_logs() as logged:
        async with listening(link()) as status:
            with suppress(ConnectionResetError):
                assert b"" == await answer(status.port, b"")

    assert ["listener_failed"] == [line["event"] for line in logged]


@pytest.mark.parametrize("sent", [b"", b"GET /status", b"GET /status HTTP/1.1\r\n\r\n"], ids=["-", "half", "unread"])
async def test_leaving_drops_open_requests(link, sent):
    """A slow client can't hold up the end of the daemon."""
    async with listening(link(error="x" * 32_000_000)) as status:
        _, writer = await asyncio.open_connection("127.0.0.1", status.port, limit=1024)
        writer.write(sent)
        await get(status.port, "/")
        await until(lambda: status.connections == 1)
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert not status.connections
    writer.close()


def test_a_daemon_starts_without_the_library():
    """Importing it takes longer than all else of a start, and a daemon that nobody asks does not need it."""
    done = subprocess.run(
        [sys.executable, "-c", "import cdcd.runtime.daemon, cdcd.cli.status, sys; print('aiohttp' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "False\n" == done.stdout


async def test_an_address_in_use_is_named(link):
    """The operator learns which key to change."""
    async with listening(link()) as status:
        with pytest.raises(ConfigError, match=r"daemon\.listen: 127\.0\.0\.1:\d+: address in use"):
            async with StatusServer(f"127.0.0.1:{status.port}", list):
                pass


async def test_an_empty_address_listens_nowhere():
    """`listen = ""` turns the listener off."""
    async with StatusServer("", list) as status:
        assert 0 == status.port


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("127.0.0.1:9180", ("127.0.0.1", 9180)), ("[::1]:80", ("::1", 80)), ("localhost:0", ("localhost", 0))],
)
def test_an_address_is_host_and_port(listen, expected):
    """IPv6 addresses stand in brackets, as in a URL."""
    assert expected == parse_listen(listen)


@pytest.mark.parametrize("listen", ["9180", ":9180", "host:", "host:http", "host:65536", "host:-1"])
def test_anything_else_is_a_mistake_in_the_file(listen):
    """A listener at an unintended address is worse than none."""
    with pytest.raises(ConfigError, match="is not host:port"):
        parse_listen(listen)
