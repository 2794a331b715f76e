"""Configurations over real servers, and the answer of the precheck."""

from __future__ import annotations

import pytest

from cdcd.config.schema import Config, Daemon, Link
from cdcd.precheck import precheck
from tests.fixtures.sites import site


def configure(east, west, database, *, paired=False, account=None, **link):
    """Return a file with one link from east to west, and the opposite one when ``paired``."""
    settings = {"tables": (f"{database}.*",), **link}
    links = {"forward": Link(name="forward", source="east", target="west", **settings)}
    if paired:
        links["reverse"] = Link(name="reverse", source="west", target="east", **settings)
    sites = {name: site(server, name, **(account or {})) for name, server in (("east", east), ("west", west))}
    return Config(daemon=Daemon(), sites=sites, links=links)


class Check:
    """The shared pair with the test's database, and what the precheck says of it."""

    def __init__(self, east, west, database):
        self.east, self.west, self.database = east, west, database

    def create(self, here, there=None):
        """Create tables on both sides, or different ones on each."""
        self.east.sql(here, database=self.database)
        self.west.sql(here if there is None else there, database=self.database)

    async def __call__(self, **settings):
        """Return the problems of the forward link and of the sites."""
        problems = await precheck(configure(self.east, self.west, self.database, **settings))
        return [problem for problem in problems if problem.path != "links.reverse"]


@pytest.fixture
def check(east, west, database):
    """Return the precheck of a link over the test's database."""
    return Check(east, west, database)
