"""A password reaches only a server whose certificate was verified, whatever it asks for and whenever."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cdcd.config.schema import Site
from cdcd.errors import AccessDenied, CdcdError, Lost
from cdcd.mysql.reader import Reader
from cdcd.mysql.session import Session
from tests.fixtures.mariadb import find_program

PASSWORD = "hunter2-é"
PROTOCOL_41, CLIENT_SSL, SECURE_CONNECTION, PLUGIN_AUTH = 1 << 9, 1 << 11, 1 << 15, 1 << 19
PLUGINS = ["mysql_clear_password", "dialog", "sha256_password", "caching_sha2_password"]
FULL_AUTHENTICATION = b"\x01\x04"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1, with its key in the same file."""
    if not (openssl := find_program("openssl")):
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    made = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {path}.key -out {path}"
    subprocess.run([openssl, *made.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


def packet(sequence: int, payload: bytes) -> bytes:
    """Frame a payload."""
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


def greeting(plugin: str, capabilities: int) -> bytes:
    """Greet as a server does (MySQL protocol, HandshakeV10), and ask for ``plugin``."""
    flags = capabilities.to_bytes(4, "little")
    payload = b"\x0a10.11.0-rogue\0" + bytes(4) + b"saltsalt\0" + flags[:2] + b"\x2d\x02\x00"
    payload += flags[2:] + bytes([21]) + bytes(10) + b"saltsaltsalt\0" + plugin.encode() + b"\0"
    return packet(0, payload)


class Rogue:
    """A server that asks for the password in every way, and keeps what it is told."""

    def __init__(self, greeted: str, plugin: str, certificate: Path | None, capabilities: int) -> None:
        self.greeted, self.plugin, self.certificate = greeted, plugin, certificate
        self.capabilities = capabilities | (CLIENT_SSL if certificate else 0)
        self.told = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(60)

    def serve(self) -> None:
        """Serve one client."""
        client, _ = self.listener.accept()
        client.settimeout(60)
        with suppress(OSError), closing(client):
            self._ask(client)

    def _ask(self, client: socket.socket) -> None:
        client.sendall(greeting(self.greeted, self.capabilities))
        number = 1
        if self.certificate:
            self._read(client)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            with context.wrap_socket(client, server_side=True) as encrypted:
                self._question(encrypted, number + 1)
        else:
            self._question(client, number)

    def _question(self, client: socket.socket, number: int) -> None:
        self._read(client)
        client.sendall(packet(number + 1, b"\xfe" + self.plugin.encode() + b"\0" + self._challenge()))
        self._read(client)
        client.sendall(packet(number + 3, FULL_AUTHENTICATION))
        self._read(client)

    def _challenge(self) -> bytes:
        return b"\x03Password: " if self.plugin == "dialog" else b"saltsaltsaltsaltsalt\0"

    def _read(self, client: socket.socket) -> None:
        header = client.recv(4, socket.MSG_WAITALL) if not isinstance(client, ssl.SSLSocket) else client.recv(4)
        missing = int.from_bytes(header[:3], "little")
        if not header:
            raise ConnectionResetError
        while missing:
            read = client.recv(missing)
            if not read:
                raise ConnectionResetError
            self.told += read
            missing -= len(read)


@asynccontextmanager
async def listening(rogue: Rogue, **site: Any) -> AsyncIterator[Site]:
    """Give the site that a rogue stands in for, and wait until it has served its client."""
    served = asyncio.create_task(asyncio.to_thread(rogue.serve))
    with rogue.listener:
        yield Site(name="west", user="cdcd", port=rogue.listener.getsockname()[1], password=PASSWORD, **site)
        await served


ALL = PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH


@pytest.mark.parametrize("client", [Session, Reader])
@pytest.mark.parametrize("tls", ["off", "required"])
@pytest.mark.parametrize("plugin", PLUGINS)
async def test_a_server_that_is_not_proven_gets_no_password(client, tls, plugin, certificate):
    """Encryption alone does not say who reads: neither a greeting nor a request to switch gets the password."""
    for greeted in ("mysql_native_password", plugin):
        rogue = Rogue(greeted, plugin, certificate if tls == "required" else None, ALL)
        async with listening(rogue, tls=tls) as site:
            with pytest.raises(AccessDenied, match="never sends") as refused:
                await client.open(site, Lost)
        assert "tls_ca" in refused.value.hint
        assert b"hunter2" not in rogue.told


@pytest.mark.parametrize("client", [Session, Reader])
@pytest.mark.parametrize("capabilities", [ALL, PROTOCOL_41 | SECURE_CONNECTION])
async def test_a_weak_or_unknown_question_is_not_answered(client, capabilities, certificate):
    """The scramble of before MySQL 4.1 can be turned back; of what is unknown nothing can be said."""
    for plugin in ("mysql_old_password", "something_new"):
        rogue = Rogue("mysql_native_password", plugin, certificate, capabilities)
        async with listening(rogue, tls="required") as site:
            with pytest.raises(AccessDenied):
                await client.open(site, Lost)
        assert b"hunter2" not in rogue.told


@pytest.mark.parametrize(("client", "plugin"), [(Session, PLUGINS[0]), (Session, PLUGINS[1]), (Reader, PLUGINS[0])])
async def test_a_verified_server_gets_it(client, plugin, certificate):
    """Directory services need the password itself, and a certificate says who asks."""
    rogue = Rogue("mysql_native_password", plugin, certificate, ALL)
    async with listening(rogue, tls="verify", tls_ca=str(certificate)) as site:
        with pytest.raises(CdcdError):
            await client.open(site, Lost)
    assert PASSWORD.encode() + b"\0" in rogue.told
