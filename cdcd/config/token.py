"""The token that clients of the listener show: what its file must hold, and who may read it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdcd.config.grammar import Place
from cdcd.config.password import Surroundings

TOKEN_BYTES_MAX = 1024
MAKE_ONE = "`openssl rand -hex 32` makes one"

# What RFC 6750 allows after "Bearer ".
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


def take_token(daemon: dict[str, Any], place: Place, surroundings: Surroundings) -> None:
    """Put the token, and where its file is, in place; see that there is one where strangers can ask."""
    here, name, listen = place.key("token_file"), daemon.get("token_file", ""), daemon.get("listen")
    if name:
        path = surroundings.credential(name)
        daemon["token_file"] = str(path)
        try:
            daemon["token"] = read_token(path, surroundings.environment)
        except ValueError as error:
            here.report(str(error))
    elif name == "" and listen and not _is_loopback(listen):
        here.report(
            f'is missing: at daemon.listen = "{listen}" others than this machine may ask, so it must name a file'
            f" with a token ({MAKE_ONE}); or listen at a loopback address, as 127.0.0.1"
        )


def read_token(path: Path, environment: Mapping[str, str]) -> str:
    """Return the token in a file, without the line's end.

    Raises ValueError, with what is wrong and never with the content: the file can't be read, others may read it
    too, or it holds no token.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(TOKEN_BYTES_MAX + 2)
    except OSError as error:
        raise ValueError(f"cannot read it in {path.parent}: {error.strerror}") from None
    # systemd lets the service alone into its folder; what it grants there by an ACL looks like a right of the group.
    if mode & 0o077 and str(path.parent) != environment.get("CREDENTIALS_DIRECTORY"):
        raise ValueError(f"others may read or change {path}; run chmod 600 {path}")
    token = content.strip()
    if not token:
        raise ValueError(f"{path} is empty; write a token into it ({MAKE_ONE})")
    if len(content) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(token):
        raise ValueError(
            f"{path} holds no token: it must be one line of at most {TOKEN_BYTES_MAX} of A-Z a-z 0-9 - . _ ~ + /"
            f" ({MAKE_ONE})"
        )
    return token.decode()


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
