"""Which server answers, so that another one under the same address is noticed."""

from __future__ import annotations

import hashlib

from cdcd.mysql.session import Session

# Alone none of them tells servers apart: server_uid comes from a machine's address and the port.
_VARIABLES = ("server_uid", "hostname", "port", "datadir")
_HOST_CHARACTERS_MAX = 200


async def read_identity(session: Session) -> str:
    """Return the server's identity: its own name for itself, and a digest of what no two servers share.

    It stays over restarts, and is another on each server, also of one cluster. A server whose data were put back from
    a copy, or begun anew in the same place, keeps it: what its log holds must be asked for too.
    """
    names = ",".join(f"'{name}'" for name in _VARIABLES)
    found = dict(await session.fetch(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names})"))
    digest = hashlib.sha256("\0".join(found.get(name, "") for name in _VARIABLES).encode()).hexdigest()[:16]
    return f"{found.get('hostname', '')[:_HOST_CHARACTERS_MAX]}:{found.get('port', '')}/{digest}"
