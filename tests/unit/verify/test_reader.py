"""A reader keeps its password from a server that asks for it in the clear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cdcd.config.schema import Site
from cdcd.errors import AccessDenied, TargetLost
from cdcd.mysql.reader import Reader

PASSWORD = "hunter2-é"
NATIVE, CLEAR = b"mysql_native_password", b"mysql_clear_password"
PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH = 1 << 9, 1 << 15, 1 << 19


def packet(sequence: int, payload: bytes) -> bytes:
    """Frame a payload."""
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


def greeting(plugin: bytes) -> bytes:
    """Greet as a server does (MySQL protocol, HandshakeV10), without TLS, and ask for ``plugin``."""
    capabilities = (PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH).to_bytes(4, "little")
    payload = b"\x0a10.11.0-rogue\0" + bytes(4) + b"saltsalt\0" + capabilities[:2] + b"\x2d\x02\x00"
    payload += capabilities[2:] + bytes([21]) + bytes(10) + b"saltsaltsalt\0" + plugin + b"\0"
    return packet(0, payload)


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Site]:
    """Serve one client, and at the end wait until its connection is closed."""
    served = asyncio.Event()

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()
        await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve_and_close, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Site(name="west", user="cdcd", host="127.0.0.1", port=port, password=PASSWORD)
        async with asyncio.timeout(60):
            await served.wait()


@pytest.mark.parametrize("first", [NATIVE, CLEAR], ids=["when asked to switch", "when greeted so"])
async def test_a_password_is_never_sent_in_the_clear(first: bytes) -> None:
    """Neither a greeting nor a switch request for the clear-text plug-in gets the password."""
    received = bytearray()

    async def rogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting(first))
        received.extend(await reader.read(4096))
        writer.write(packet(2, b"\xfe" + CLEAR + b"\0"))
        received.extend(await reader.read())

    async with listening(rogue) as site:
        with pytest.raises(AccessDenied, match="never sends"):
            await Reader.open(site, TargetLost)

    assert b"hunter2" not in received


async def test_a_server_that_hangs_up_is_lost() -> None:
    """The end of a connection during the handshake is the side's own Lost error."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(hang_up) as site:
        with pytest.raises(TargetLost, match=r"site west, address 127\.0\.0\.1"):
            await Reader.open(site, TargetLost)
