"""The listener serves three read-only pages and survives bad clients."""

import asyncio
import contextlib
from contextlib import suppress

import orjson
import pytest

from cdcd.errors import ConfigError
from cdcd.observe import server
from cdcd.observe.server import StatusServer, parse_listen


async def ask(port, request):
    """Send raw bytes, and return the status code and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), await reader.read()
    finally:
        writer.close()


async def get(port, path):
    """Ask for a path; return the status and the body."""
    return await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def listening(*links):
    """Return a server of some links on a free port."""
    return StatusServer("127.0.0.1:0", lambda: links)


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


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /status/.. HTTP/1.1\r\n\r\n", 404),
        (b"POST /status HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /status?pretty HTTP/1.0\r\n\r\n", 200),
        (b"\x16\x03\x01 TLS hello\r\n\r\n", 400),
        (b"GET /status\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nX: " + b"x" * server.REQUEST_BYTES_MAX, 431),
    ],
)
async def test_requests_get_the_answer_that_http_names(link, request_bytes, expected):
    """Whatever arrives, the client learns what was wrong and the daemon goes on."""
    async with listening(link()) as status:
        code, _ = await ask(status.port, request_bytes)

        assert expected == code
        assert 200 == (await get(status.port, "/status"))[0]


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
    monkeypatch.setattr(server, "REQUEST_SECONDS_MAX", 0.2)
    async with listening(link(error="x" * 32_000_000)) as status:
        _, writer = await asyncio.open_connection("127.0.0.1", status.port, limit=1024)
        writer.write(b"GET /status HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(20):
            while len(asyncio.all_tasks()) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not status.connections
        writer.close()


async def test_leaving_drops_open_requests(link):
    """A slow client can't hold up the end of the daemon."""
    async with listening(link()) as status:
        _, writer = await asyncio.open_connection("127.0.0.1", status.port)
        writer.write(b"GET /status")
        await get(status.port, "/status")
    assert 1 == len(asyncio.all_tasks())
    writer.close()


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
