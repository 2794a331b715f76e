"""``cdcd verify``: compare the two sides of a link, while it may be running."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TextIO

import orjson

from cdcd.config.schema import Config
from cdcd.errors import ConfigError, SourceLost, TargetLost
from cdcd.mysql.reader import Reader
from cdcd.verify import Limits, Report, verify

EQUAL = 0
DIFFERENT = 4


async def run(config: Config, link_name: str, *, as_json: bool, out: TextIO, limits: Limits | None = None) -> int:
    """Print what differs between the link's two sides and return the exit status: 0 equal, 4 different.

    Raises ConfigError for a link that is not there or can't be verified, and what the connections raise.
    """
    if (link := config.links.get(link_name)) is None:
        raise ConfigError([f"links: no link named {link_name!r} (there are: {', '.join(sorted(config.links))})"])
    async with AsyncExitStack() as connections:
        source = await Reader.open(config.sites[link.source], SourceLost)
        connections.push_async_callback(source.close)
        target = await Reader.open(config.sites[link.target], TargetLost)
        connections.push_async_callback(target.close)
        report = await verify(link, source, target, limits)
    print(_json(report) if as_json else report, file=out)
    return EQUAL if report.equal else DIFFERENT


def _json(report: Report) -> str:
    tables = [{"equal": table.equal, **_facts(table)} for table in report.tables]
    return orjson.dumps({"link": report.link, "equal": report.equal, "tables": tables}).decode()


def _facts(table: object) -> dict[str, object]:
    return dict(orjson.loads(orjson.dumps(table)))
