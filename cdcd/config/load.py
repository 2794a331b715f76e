"""Read the configuration file. Every mistake is found in one pass and reported with its path."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

from cdcd.config import schema, values
from cdcd.config.grammar import Place, each, named, pairs, section, suggestion
from cdcd.config.password import Surroundings, take_password
from cdcd.config.schema import Config, Daemon, Link, Site
from cdcd.config.token import take_token
from cdcd.config.ways import Carrier, two_ways
from cdcd.errors import ConfigError
from cdcd.model.change import OPERATIONS

DAEMON = {
    "listen": values.listen,
    "log_level": values.one_of(*get_args(schema.LogLevel)),
    "log_format": values.one_of(*get_args(schema.LogFormat)),
    "token_file": values.secret,
}

SITE = {
    "host": values.text,
    "port": values.whole(1, 65535),
    "socket": values.text,
    "user": values.filled,
    "password": values.secret,
    "password_file": values.secret,
    "password_env": values.secret,
    "tls": values.one_of(*get_args(schema.Tls)),
    "tls_ca": values.text,
}

LINK = {
    "source": values.text,
    "target": values.text,
    "tables": each(values.rule, at_least=1),
    "exclude": each(values.rule),
    "rename": pairs(values.rename),
    "where": pairs(values.where),
    "allow_loss": each(values.column),
    "operations": each(values.one_of(*OPERATIONS), at_least=1),
    "ddl": values.flag,
    "relay": values.flag,
    "stages": each(values.one_of(*get_args(schema.Stage)), at_least=1),
    "start": values.start,
    "conflict": values.one_of(*get_args(schema.Policy)),
    "conflict_column": values.only_empty("since no policy of conflict needs a column"),
    "writers": values.whole(1, 64),
    "batch_transactions_max": values.whole(1),
    "batch_bytes_max": values.byte_size,
    "transaction_bytes_max": values.byte_size,
    "queue_bytes_max": values.byte_size,
    "heartbeat_seconds": values.seconds(1, 3600),
    "own_heartbeat_seconds": values.seconds(1, 86400),
}

FILE = section(
    {
        "daemon": section(DAEMON),
        "sites": named(values.is_name, values.NAME_RULE, section(SITE, "user")),
        "links": named(values.is_name, values.NAME_RULE, section(LINK, "source", "target", "tables")),
    },
    "sites",
    "links",
)

_Sections = dict[str, dict[str, Any] | None]
"""Sections by name; one that is no table at all is None, and was reported."""


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read a configuration file, and the secrets that it refers to.

    ``environment`` is the process's own unless given. Raises ConfigError with every mistake.
    """
    content, mode = _read_bytes(path)
    surroundings = Surroundings(path, mode, os.environ if environment is None else environment)
    root = Place()
    file = root.read(FILE, _parse(path, content))
    daemon: dict[str, Any] = file.get("daemon") or {}
    sites: _Sections = file.get("sites") or {}
    links: _Sections = file.get("links") or {}
    take_token(daemon, root.key("daemon"), surroundings)
    _check_sites(sites, root.key("sites"), surroundings)
    _check_links(links, sites, root.key("links"))
    if root.problems:
        raise ConfigError(root.problems)
    return Config(
        daemon=Daemon(**daemon),
        sites={name: Site(name=name, **site) for name, site in _tables(sites)},
        links={name: Link(name=name, **link) for name, link in _tables(links)},
    )


def _read_bytes(path: Path) -> tuple[bytes, int]:
    """Return the content and the permission bits of one and the same file."""
    try:
        with path.open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}: not UTF-8 text (at line {line})"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def _check_sites(sites: _Sections, place: Place, surroundings: Surroundings) -> None:
    """Check each site with its surroundings, put the password in place, and find a server given twice."""
    for name, site in _tables(sites):
        here = place.key(name)
        site["password"] = take_password(site, here, surroundings)
        if site.get("host") == "" and not site.get("socket"):
            here.key("host").report("must not be empty without a socket")
        if site.get("tls_ca"):
            site["tls_ca"] = str(surroundings.resolve(site["tls_ca"]))
            if not Path(site["tls_ca"]).is_file():
                here.key("tls_ca").report(f"there is no file {site['tls_ca']}")
    addresses = [(name, _address(site)) for name, site in _tables(sites)]
    for (first, one), (second, other) in combinations(addresses, 2):
        if one and one == other:
            place.key(second).report(f"is the same server as {place.key(first).path} ({one})")
    _refuse_names_equal_but_for_case(sites, place)


def _check_links(links: _Sections, sites: _Sections, place: Place) -> None:
    """Check each link's ends, and what must not be together."""
    carried_by: dict[tuple[str, str], str] = {}
    for name, link in _tables(links):
        here = place.key(name)
        source, target = ends = link.get("source"), link.get("target")
        for key, site in zip(("source", "target"), ends, strict=True):
            if sites and site is not None and site not in sites:
                here.key(key).report(f'no site named "{site}"{suggestion(site, sites)}')
        if link.get("ddl") and link.get("rename"):
            here.key("ddl").report("cannot be combined with rename")
        if link.get("ddl") and link.get("relay"):
            here.key("ddl").report("cannot be combined with relay: a relaying link carries rows only")
        link.pop("conflict_column", None)
        if source is None or target is None:
            continue
        if source == target:
            here.key("target").report("is the source too: a link needs two sites")
        if (other := carried_by.setdefault((source, target), here.path)) != here.path:
            here.report(f"two links carry the same direction, {source} to {target} ({other} is the other)")
    _refuse_names_equal_but_for_case(links, place)
    _refuse_two_ways(links, place)


def _refuse_two_ways(links: _Sections, place: Place) -> None:
    """See that relaying links bring no row to a site twice."""
    known = [
        Carrier(
            name,
            link["source"],
            link["target"],
            bool(link.get("relay")),
            tuple(filter(None, link["tables"])),
            bool(link.get("rename")),
        )
        for name, link in _tables(links)
        if link.get("source") and link.get("target") and link.get("tables")
    ]
    reported = set()
    for one, other in two_ways(known):
        ends = frozenset((one.last.name, other.last.name))
        if ends not in reported:
            reported.add(ends)
            place.key(other.last.name).report(
                f"rows born at {one.sites[0]} would reach {one.sites[-1]} by two ways, {one} and {other}:"
                " leave one of the links out, set relay = false, or give them different tables"
            )


def _tables(sections: _Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, entry) for name, entry in sections.items() if entry is not None)


def _refuse_names_equal_but_for_case(sections: _Sections, place: Place) -> None:
    """Names become keys of the checkpoint table, whose collation may not tell case apart."""
    for first, second in combinations(sections, 2):
        if first.lower() == second.lower():
            place.key(second).report(f"differs from {place.key(first).path} only in case")


def _address(site: dict[str, Any]) -> str:
    """Return where a site is, the same for two spellings of one address, or "" when that is wrong."""
    where = [site.get("socket", ""), site.get("host", "127.0.0.1"), site.get("port", 3306)]
    if None in where:
        return ""
    socket, host, port = where
    if socket:
        return str(socket)
    with suppress(ValueError):
        address = ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
        host = "127.0.0.1" if address.is_loopback else str(address)
    return f"{host.lower()}:{port}"
