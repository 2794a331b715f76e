"""The shape of the configuration file, frozen, with defaults and units."""

from __future__ import annotations

from typing import Literal

import msgspec

from cdcd.model.change import OPERATIONS, Operation

MIB = 1024 * 1024

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]
Tls = Literal["auto", "off", "required", "verify"]
Stage = Literal["stream"]
Policy = Literal["overwrite"]
"""What a link does where the target's row is not what a change expects."""


class Daemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What concerns the process: its listener and its logs.

    ``token`` is the secret in ``token_file``, "" where clients need none.
    """

    listen: str = "127.0.0.1:9180"
    log_level: LogLevel = "info"
    log_format: LogFormat = "json"
    token_file: str = ""
    token: str = ""

    def __repr__(self) -> str:
        """Return a text without the token: it may end in a log or a traceback."""
        return f"Daemon({self.listen!r})"


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A database cluster. ``name`` is the origin of what is first executed there.

    ``password`` is the resolved secret, whichever of ``password``, ``password_file`` and ``password_env``
    the file used.
    """

    name: str
    user: str
    host: str = "127.0.0.1"
    port: int = 3306
    socket: str = ""
    password: str = ""
    tls: Tls = "auto"
    tls_ca: str = ""

    def __repr__(self) -> str:
        """Return a text without the password: it may end in a log or a traceback."""
        return f"Site({self.name!r}, {self.address})"

    @property
    def address(self) -> str:
        """Where the server listens, for messages."""
        return self.socket or f"{self.host}:{self.port}"


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way from a source to a target, and what travels on it."""

    name: str
    source: str
    target: str
    tables: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    where: dict[str, str] = {}
    allow_loss: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = OPERATIONS
    ddl: bool = False
    relay: bool = False
    stages: tuple[Stage, ...] = ("stream",)
    start: str = "now"
    conflict: Policy = "overwrite"
    writers: int = 4
    batch_transactions_max: int = 5000
    batch_bytes_max: int = 16 * MIB
    transaction_bytes_max: int = 64 * MIB
    queue_bytes_max: int = 64 * MIB
    heartbeat_seconds: float = 10
    own_heartbeat_seconds: float = 60


RELOADABLE = frozenset(
    {
        "writers",
        "batch_transactions_max",
        "batch_bytes_max",
        "transaction_bytes_max",
        "queue_bytes_max",
        "heartbeat_seconds",
        "own_heartbeat_seconds",
    }
)
"""Keys of a link that a reload applies to a running link."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    daemon: Daemon
    sites: dict[str, Site]
    links: dict[str, Link]

    @property
    def ends(self) -> dict[str, tuple[str, str]]:
        """The source and the target of each link."""
        return {link.name: (link.source, link.target) for link in self.links.values()}

    def is_active_active(self, link: Link) -> bool:
        """Return whether another link carries changes the opposite way between the same two sites."""
        return any(other.source == link.target and other.target == link.source for other in self.links.values())
