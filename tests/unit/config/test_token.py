"""Where others can ask the listener, the file names a token, which nobody else may read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdcd.config import Daemon, load
from cdcd.errors import ConfigError

FILE = """
[daemon]
listen = "{listen}"
token_file = "{token_file}"
[sites]
east = {{ user = "cdcd", host = "10.0.1.5" }}
west = {{ user = "cdcd", host = "10.0.1.6" }}
[links]
forward = {{ source = "east", target = "west", tables = ["shop.*"] }}
"""
EVERYWHERE, HERE = "0.0.0.0:9180", "127.0.0.1:9180"


class Files:
    """A configuration file and what lies beside it."""

    def __init__(self, folder: Path) -> None:
        self.token = folder / "token"
        self._path = folder / "cdcd.toml"

    def keep(self, token: bytes, mode: int = 0o600) -> None:
        """Write the token's file."""
        self.token.write_bytes(token)
        self.token.chmod(mode)

    def load(self, listen: str, token_file: str, environment: Mapping[str, str] = {}) -> Daemon:
        """Load a configuration file with these keys."""
        self._path.write_text(FILE.format(listen=listen, token_file=token_file))
        return load(self._path, environment).daemon

    def problem(self, listen: str, token_file: str) -> str:
        """Return the one thing that is wrong with such a file."""
        with pytest.raises(ConfigError) as refused:
            self.load(listen, token_file)
        [problem] = refused.value.problems
        return problem


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Give a folder for both files."""
    return Files(tmp_path)


@pytest.mark.parametrize("listen", [EVERYWHERE, "[::]:1", "10.0.1.7:9180", "db.example:9180", "*:80", "[fe80::1]:1"])
def test_a_listener_that_others_can_reach_needs_a_token(files: Files, listen: str) -> None:
    """What the links do is nobody else's business; the message says which key to set, and what else would do."""
    problem = files.problem(listen, "")

    assert problem.startswith(f'daemon.token_file: is missing: at daemon.listen = "{listen}" others than this machine')
    assert problem.endswith("or listen at a loopback address, as 127.0.0.1")


@pytest.mark.parametrize(
    "listen", [HERE, "127.8.8.8:1", "localhost:1", "LOCALHOST:1", "[::1]:1", "[::ffff:127.0.0.1]:1", ""]
)
def test_a_listener_of_this_machine_alone_needs_none(files: Files, listen: str) -> None:
    """Whoever is on the machine could ask the daemon in other ways."""
    assert "" == files.load(listen, "").token


@pytest.mark.parametrize("listen", [EVERYWHERE, HERE])
@pytest.mark.parametrize("content", [b"abc-._~+/9==", b"abc-._~+/9==\n", b"abc-._~+/9==\r\n"])
def test_the_token_is_read_from_its_file(files: Files, listen: str, content: bytes) -> None:
    """Editors end a file with a line's end, which is not part of the token."""
    files.keep(content)

    daemon = files.load(listen, "token")
    assert ("abc-._~+/9==", str(files.token)) == (daemon.token, daemon.token_file)
    assert "abc" not in repr(daemon)


def test_a_token_may_be_a_systemd_credential(files: Files, tmp_path: Path) -> None:
    """systemd's own folder is the service's alone, but a file's mode there shows its ACL as a right of the group."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "token").write_bytes(b"s3cret")
    (credentials / "token").chmod(0o440)

    assert "s3cret" == files.load(EVERYWHERE, "token", {"CREDENTIALS_DIRECTORY": str(credentials)}).token


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o602])
def test_a_token_that_others_can_read_is_refused(files: Files, mode: int) -> None:
    """It would let in everyone on the machine."""
    files.keep(b"s3cret", mode)
    expected = f"daemon.token_file: others may read or change {files.token}; run chmod 600 {files.token}"

    assert expected == files.problem(HERE, "token")


@pytest.mark.parametrize("content", [b"", b"\n", b"  \r\n"])
def test_an_empty_file_is_refused(files: Files, content: bytes) -> None:
    """A token of nothing would let everyone in."""
    files.keep(content)

    assert files.problem(HERE, "token").startswith(f"daemon.token_file: {files.token} is empty; write a token into it")


@pytest.mark.parametrize("content", [b"two s3crets", b"s3cret\nmore", b"\xffs3cret", b"s3cr:et", b"=", b"s3cret" * 999])
def test_what_no_client_could_send_is_refused(files: Files, content: bytes) -> None:
    """The message must not tell it, since it may be another secret."""
    files.keep(content)

    problem = files.problem(HERE, "token")
    assert problem.startswith(f"daemon.token_file: {files.token} holds no token")
    assert "s3cret" not in problem


def test_a_file_that_is_not_there_is_named_by_its_folder(files: Files, tmp_path: Path) -> None:
    """The token itself may stand in the key of the file."""
    expected = f"daemon.token_file: cannot read it in {tmp_path}: No such file or directory"

    assert expected == files.problem(EVERYWHERE, "s3cret")


def test_a_folder_is_no_token(files: Files, tmp_path: Path) -> None:
    """Whatever the name leads to, the operator learns why it can't be read."""
    files.token.mkdir()

    assert f"daemon.token_file: cannot read it in {tmp_path}: {os.strerror(21)}" == files.problem(HERE, "token")
