"""Where a site's password comes from. No message shows a password, nor what may be one in the wrong key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdcd.config.grammar import Place

KEYS = ("password", "password_file", "password_env")


@dataclass(frozen=True)
class Surroundings:
    """What a configuration file may refer to, and who may read it."""

    file: Path
    mode: int  # permission bits of the file
    environment: Mapping[str, str]

    def resolve(self, name: str) -> Path:
        """Return the path of a file that the configuration names, relative to its own folder."""
        return self.file.parent / name

    def credential(self, name: str) -> Path:
        """Return the path of a secret: where systemd's LoadCredential put it, else beside the file."""
        folder = self.environment.get("CREDENTIALS_DIRECTORY")
        return Path(folder) / name if folder else self.resolve(name)


def take_password(site: dict[str, Any], place: Place, surroundings: Surroundings) -> str:
    """Remove the keys of the password from ``site`` and return the secret, "" when there is none."""
    given = {key: value for key in KEYS if (value := site.pop(key, ""))}
    if len(given) > 1:
        place.report(f"give only one of {', '.join(given)}")
        return ""
    for key, value in given.items():
        try:
            return _SOURCES[key](value, surroundings)
        except ValueError as error:
            place.key(key).report(str(error))
    return ""


def _inline(value: str, surroundings: Surroundings) -> str:
    if surroundings.mode & 0o077:
        raise ValueError(
            "others may read this file, which holds a password; "
            f"run chmod 600 {surroundings.file}, or use password_file or password_env"
        )
    return value


def _from_file(value: str, surroundings: Surroundings) -> str:
    path = surroundings.credential(value)
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise ValueError(f"cannot read it in {path.parent}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def _from_environment(value: str, surroundings: Surroundings) -> str:
    if value not in surroundings.environment:
        raise ValueError("the environment variable that it names is not set")
    return surroundings.environment[value]


_SOURCES = {"password": _inline, "password_file": _from_file, "password_env": _from_environment}
