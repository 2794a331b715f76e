"""What the commands that change something share: name a link, show, ask, and print an answer."""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

import orjson

from cdcd.config import Config, Link
from cdcd.config.schema import Site
from cdcd.errors import ConfigError, Lost
from cdcd.model.position import Gtid
from cdcd.mysql.session import Session


def link_of(config: Config, name: str) -> Link:
    """Return a link of the file; raise ConfigError for an unknown name."""
    if (link := config.links.get(name)) is None:
        raise ConfigError([f"links: no link named {name!r} (there are: {', '.join(sorted(config.links))})"])
    return link


def gtid_of(text: str) -> Gtid:
    """Read a GTID from the command line; raise ConfigError."""
    try:
        return Gtid.parse(text)
    except ValueError as error:
        raise ConfigError([f"--gtid: {error}"]) from None


@asynccontextmanager
async def session_at(site: Site, lost: type[Lost]) -> AsyncIterator[Session]:
    """Give a session that says goodbye at the end."""
    session = await Session.open(site, lost, "SET time_zone = '+00:00'")
    try:
        yield session
    finally:
        await session.close()


class Answer:
    """Where a command shows what it is about to do, asks, and says what it did.

    stdout is for the answer: with ``--json`` one document, and what is shown before goes to stderr.
    """

    def __init__(self, out: TextIO, *, as_json: bool, yes: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._yes = yes

    def show(self, text: str) -> None:
        """Print what is about to be done."""
        print(text, file=sys.stderr if self._as_json else self._out, flush=True)

    def agreed(self, question: str) -> bool:
        """Return whether to go on; raise ConfigError where nobody can be asked."""
        if self._yes:
            return True
        if not sys.stdin.isatty():
            raise ConfigError(["nothing was changed: there is no terminal to ask on; give --yes"])
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
        if not agreed:
            print("nothing was changed", file=sys.stderr)
        return agreed

    def give(self, text: str, **facts: object) -> None:
        """Print what was done."""
        print(orjson.dumps(facts).decode() if self._as_json else text, file=self._out)


def operator() -> str:
    """Return who gives the command, for the record."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # An account without an entry, as containers have.
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
