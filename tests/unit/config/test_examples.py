"""The files in conf/ are what users start from: they load, name every key, and tell the true defaults."""

import tomllib
from pathlib import Path
from shutil import copy

import msgspec
import pytest

from cdcd.config import Daemon, Link, Site, load
from cdcd.config.load import DAEMON, LINK, SITE

CONF = Path(__file__).parents[3] / "conf"
# What names something of the user's own, so the example differs from a default that there may be.
OWN = {"name", "host", "user", "password", "source", "target", "tables"}


@pytest.fixture
def example(tmp_path):
    """Return the loaded example, with the password files that it refers to beside it."""

    def load_example(name):
        for site in ("east", "west"):
            (tmp_path / site).write_text(f"of {site}\n")
        return load(Path(copy(CONF / name, tmp_path)), {})

    return load_example


def test_one_way_names_every_key():
    """Whoever reads it knows all that can be set."""
    file = tomllib.loads((CONF / "one-way.toml").read_text())

    assert (DAEMON.keys(), SITE.keys(), LINK.keys()) == (
        file["daemon"].keys(),
        file["sites"]["east"].keys(),
        file["links"]["forward"].keys(),
    )


def test_one_way_shows_the_defaults(example):
    """A user may delete any line that shows a default without a change of behaviour."""
    config = example("one-way.toml")

    for struct, given in ((Daemon, config.daemon), (Site, config.sites["east"]), (Link, config.links["forward"])):
        for field in msgspec.structs.fields(struct):
            if field.name not in OWN:
                assert (field.name, default(field)) == (field.name, getattr(given, field.name))


def test_pair_is_active_active(example):
    """Each link knows that the other one carries the opposite way."""
    config = example("pair.toml")

    assert ["forward", "reverse"] == list(config.links)
    assert all(config.is_active_active(link) for link in config.links.values())


@pytest.mark.parametrize("name", ["one-way.toml", "pair.toml"])
def test_passwords_come_from_files(example, name):
    """An example that everyone may read must not teach to write a password into it."""
    assert ["of east", "of west"] == [site.password for site in example(name).sites.values()]


def default(field):
    """Return a field's default."""
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
