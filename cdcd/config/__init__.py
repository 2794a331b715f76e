"""Configuration: what the TOML file may say (``schema``) and how it is read (``load``).

Structures are frozen, every name carries its unit, and loading reports every mistake at once, each with
its path. A stage receives its own link's section, never the whole file.
"""

from cdcd.config.load import load
from cdcd.config.schema import RELOADABLE, Config, Daemon, Link, Site

__all__ = ["RELOADABLE", "Config", "Daemon", "Link", "Site", "load"]
