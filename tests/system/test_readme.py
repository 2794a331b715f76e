"""What README.md says, done to the letter: in a clean clone, on servers and accounts as it describes them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from configparser import ConfigParser

import pytest

from tests.fixtures.daemon import until
from tests.fixtures.mariadb import HOST, free_port
from tests.fixtures.readme import ROOT, blocks

SECONDS_MAX = 900
PASSWORD = "of-the-readme"
SITES = ("east", "west")


@pytest.fixture
def pair(server_factory):
    """Two servers with the options, the accounts and the table that the README asks for."""
    [ini] = blocks("ini")
    parser = ConfigParser(inline_comment_prefixes=("#",))
    parser.read_string(ini)
    options = dict(parser["mariadb"])
    [grants] = blocks("sql")
    servers = {}
    for number, site in enumerate(SITES, 1):
        own = {"server_id": str(number), "auto_increment_offset": str(number)}
        server = servers[site] = server_factory({**options, **own})
        server.sql("DROP USER cdcd@'%'; CREATE DATABASE shop")
        server.sql("CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, total INT)")
        server.sql(grants.replace("…", PASSWORD))
    return servers


@pytest.fixture
def file(pair, tmp_path):
    """The README's file, with the servers' addresses and with passwords beside it."""
    [text] = blocks("toml")
    assert set(SITES) == tomllib.loads(text)["sites"].keys()
    for site, server in pair.items():
        (tmp_path / site).touch(mode=0o600)
        (tmp_path / site).write_text(PASSWORD)
        host = tomllib.loads(text)["sites"][site]["host"]
        text = text.replace(f'host = "{host}"', f'host = "{server.host}"\nport = {server.port}')
    path = tmp_path / "shop.toml"
    path.write_text(f'[daemon]\nlisten = "{HOST}:{free_port()}"\n{text}')
    return path


def follow(program: list[str], pair, file) -> None:
    """Check, run, ask, compare and stop, as the README goes on."""

    def cdcd(*arguments: str) -> str:
        done = subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    assert "2 links checked: 0 errors" in cdcd("check", "-c", str(file))
    assert cdcd("position", "-c", str(file), "--site", "east").strip()
    daemon = subprocess.Popen([*program, "run", "-c", str(file)], stdout=subprocess.PIPE)
    try:
        listening = [*program, "status", "-c", str(file)]
        until(lambda: subprocess.run(listening, capture_output=True, check=False).stdout.count(b"streaming") == 2)
        for server in pair.values():
            server.sql("INSERT INTO shop.orders (total) VALUES (10), (20)")
        until(lambda: [4, 4] == [server.sql("SELECT COUNT(*) FROM shop.orders")[0][0] for server in pair.values()])
        assert "forward" in cdcd("status", "-c", str(file), "--json")
        cdcd("verify", "-c", str(file), "--link", "forward")
    finally:
        daemon.terminate()
        daemon.communicate(timeout=SECONDS_MAX)
    assert 0 == daemon.returncode


def test_a_pair_that_is_made_as_the_readme_says_works(pair, file) -> None:
    """Its options, GRANTs and file are all that a reader has."""
    follow([sys.executable, "-m", "cdcd"], pair, file)


@pytest.mark.storm
def test_the_commands_of_the_readme_run_in_a_clean_clone(pair, file, tmp_path) -> None:
    """What this checkout has besides its files must not be needed: packages, compiled modules, results."""
    clone = tmp_path / "clone"
    git = ["git", "-c", "safe.directory=*", "clone", "--quiet", str(ROOT), str(clone)]
    subprocess.run(git, check=True, timeout=SECONDS_MAX)
    own = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=clone, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=SECONDS_MAX, check=False,
        )  # fmt: skip
        assert 0 == done.returncode, done.stdout

    run("bash", "conf/install", "bench")
    assert not list((clone / ".venv").glob("lib/python*/site-packages/pytest"))
    run(".venv/bin/python", "-m", "bench", "decode", "micro", "--quick")
    run("bash", "conf/demo/run", "--seconds", "3")
    follow([str(clone / ".venv/bin/cdcd")], pair, file)
    installed = tmp_path / "opt"
    run("python3", "-m", "venv", str(installed))
    run(str(installed / "bin/pip"), "install", "--quiet", ".")
    run(str(installed / "bin/cdcd"), "--version")
    run("bash", "tests/run", "-q", "-k", "test_positions")
