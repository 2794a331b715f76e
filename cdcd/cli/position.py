"""``cdcd position``: where a site's log ends now, in the text that ``start`` accepts."""

from __future__ import annotations

from typing import TextIO

from cdcd.config import Config
from cdcd.errors import CdcdError, ConfigError, SourceLost
from cdcd.mysql.flavor import MARIADB
from cdcd.mysql.session import Session
from cdcd.source.start import current_position


async def run(config: Config, site_name: str, *, out: TextIO) -> None:
    """Print the position. Raises ConfigError for an unknown site, and what the connection raises."""
    if (site := config.sites.get(site_name)) is None:
        raise ConfigError([f"sites: no site named {site_name!r} (there are: {', '.join(sorted(config.sites))})"])
    session = await Session.open(site, SourceLost)
    try:
        if await session.fetch_one("SELECT @@log_bin") != (1,):
            raise CdcdError(f"site {site_name} has no binary log", hint="set log_bin on its server")
        position = str(await current_position(session, MARIADB))
    finally:
        await session.close()
    # A log without a transaction has no GTID to name; its end is its beginning.
    print(position or "earliest", file=out)
