"""Which server answers, so that another one under the same address is noticed."""

from __future__ import annotations

import hashlib

from cdcd.mysql.session import Session

_HOST_CHARACTERS_MAX = 200


async def read_identity(session: Session) -> str:
    """Return the server's identity: its own name for itself, and a digest of what no two servers share.

    It stays over restarts, and is another on each server, also of one cluster. A server whose data were put back from
    a copy, or begun anew in the same place, keeps it: what its log holds must be asked for too.
    """
    variables = session.flavor.catalog.identity
    names = ",".join(f"'{name}'" for name in variables)
    found = dict(await session.fetch(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names})"))
    digest = hashlib.sha256("\0".join(found.get(name, "") for name in variables).encode()).hexdigest()[:16]
    return f"{found.get('hostname', '')[:_HOST_CHARACTERS_MAX]}:{found.get('port', '')}/{digest}"
