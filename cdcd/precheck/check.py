"""Connect to every site that a link names, ask, and let the judges speak."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from cdcd.config.schema import Config, Link
from cdcd.errors import AccessDenied, CdcdError, Lost, UnsupportedServer
from cdcd.mysql.session import Session
from cdcd.precheck.link import Connected, check_link
from cdcd.precheck.problem import Problem
from cdcd.precheck.server import probe
from cdcd.precheck.site import Roles, check_site


async def precheck(config: Config) -> list[Problem]:
    """Return everything that is wrong with the servers for these links, sites first; empty when nothing is.

    Never raises for what a server says or fails to say: that is a problem like any other.
    """
    problems: list[Problem] = []
    async with AsyncExitStack() as sessions:
        names = dict.fromkeys(name for link in config.links.values() for name in (link.source, link.target))
        answers = await asyncio.gather(*(_connect(config, name, sessions) for name in names))
        servers: dict[str, Connected] = {}
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Problem):
                problems.append(answer)
            else:
                servers[name] = answer
                problems.extend(check_site(answer[1], _roles(config, name)))
        links = list(config.links.values())
        for at, link in enumerate(links):
            if link.source in servers and link.target in servers:
                ends = servers[link.source], servers[link.target]
                earlier, later = _opposite(link, links[:at]), _opposite(link, links[at:])
                problems.extend(await check_link(link, *ends, earlier=earlier, later=later))
    return problems


def _opposite(link: Link, links: list[Link]) -> list[Link]:
    return [other for other in links if (other.source, other.target) == (link.target, link.source)]


async def _connect(config: Config, name: str, sessions: AsyncExitStack) -> Connected | Problem:
    site = config.sites[name]
    try:
        session = await Session.open(site, Lost)
        sessions.push_async_callback(session.close)
        return session, await probe(session)
    except AccessDenied as error:
        fix = f"sites.{name}: user and the password it stands with, or on the server: CREATE USER / ALTER USER"
        return Problem.error(f"sites.{name}", f"the server refuses the account: {error.message}", fix)
    except UnsupportedServer as error:
        return Problem.error(f"sites.{name}", error.message)
    except CdcdError as error:
        return Problem.error(
            f"sites.{name}",
            f"{site.address}: {error.message}",
            _connection_fix(name, error.message),
            transient=isinstance(error, Lost),
        )


def _connection_fix(name: str, message: str) -> str:
    if "offers no TLS" in message:
        return (
            "[server]\nssl_cert = ...\nssl_key = ...    # in the server's option file; then restart it\n"
            f'sites.{name}: tls = "off" -- only where nobody else is on the way between: all goes in the clear'
        )
    if any(word in message.lower() for word in ("ssl", "certificate", "tls")):
        return (
            f'sites.{name}: tls_ca = "file with the certificate authority of the server", and host as its'
            " certificate names it"
        )
    return f"sites.{name}: host, port or socket; then see that the server runs and no firewall is between"


def _roles(config: Config, site: str) -> Roles:
    links = config.links.values()
    return Roles(
        is_source=any(link.source == site for link in links),
        is_target=any(link.target == site for link in links),
        is_paired=any(site in (link.source, link.target) and config.is_active_active(link) for link in links),
    )
