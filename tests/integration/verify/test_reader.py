"""The connection of `verify`: encrypted, read-only, and clear about what went wrong."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from cdcd.errors import AccessDenied, SourceLost, TargetLost
from cdcd.mysql.reader import Reader
from tests.fixtures.mariadb import MariaDB, find_program
from tests.fixtures.pair import Pair
from tests.fixtures.servers import ServerFactory
from tests.fixtures.sites import site


async def test_a_reader_that_must_encrypt_refuses_a_server_without_tls(east: MariaDB) -> None:
    """There is no fallback to plain text; the driver alone would fall back."""
    with pytest.raises(AccessDenied, match="offers no TLS"):
        await Reader.open(site(east, "east", tls="required"), SourceLost)


@pytest.fixture
def encrypted(server_factory: ServerFactory, tmp_path: Path) -> MariaDB:
    """Start a server with a certificate that it signed itself."""
    if not (openssl := find_program("openssl")):
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {key} -out {certificate}"
    subprocess.run([openssl, *made.split()], check=True, capture_output=True)
    return server_factory({"ssl-key": str(key), "ssl-cert": str(certificate)})


async def test_a_reader_encrypts_what_it_must(encrypted: MariaDB) -> None:
    """TLS is really on, and `verify` refuses a certificate that nobody vouches for."""
    reader = await Reader.open(site(encrypted, "east", tls="required"), SourceLost)
    [(_, cipher)] = await reader.fetch("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    await reader.close()
    assert cipher

    with pytest.raises(SourceLost, match="certificate verify failed"):
        await Reader.open(site(encrypted, "east", tls="verify"), SourceLost)


async def test_a_reader_says_what_kept_it_from_connecting(east: MariaDB) -> None:
    """A wrong password is told apart from a server that is not there."""
    with pytest.raises(AccessDenied, match="Access denied for user"):
        await Reader.open(site(east, "east", password="wrong"), SourceLost)
    with pytest.raises(SourceLost, match=r"127\.0\.0\.1"):
        await Reader.open(site(east, "east", port=1), SourceLost)


async def test_a_reader_writes_nothing(pair: Pair) -> None:
    """The server itself refuses a write on the judge's connection."""
    pair.both("CREATE TABLE t (id INT PRIMARY KEY)")
    reader = await Reader.open(site(pair.source, "east"), SourceLost)
    try:
        with pytest.raises(Exception, match="READ ONLY"):
            await reader.fetch(f"INSERT INTO {pair.database}.t VALUES (1)")
    finally:
        await reader.close()


async def test_a_killed_connection_is_lost(pair: Pair) -> None:
    """The end of a connection is the side's own Lost error, which says that a retry may help."""
    reader = await Reader.open(site(pair.target, "west"), TargetLost)
    [(thread_id,)] = await reader.fetch("SELECT CONNECTION_ID()")
    await asyncio.to_thread(pair.target.sql, f"KILL {thread_id}")
    try:
        with pytest.raises(TargetLost):
            await reader.fetch("SELECT 1")
    finally:
        await reader.close()
