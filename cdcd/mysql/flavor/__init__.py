"""What differs between the servers that speak MySQL's protocol, as data.

A *flavor* is one kind of server: its statements, the settings of sessions, the numbers of its errors by what they mean,
how its log is asked for, and what it can do. ``contract`` says which data there are, and a module each gives them
(``mariadb``). What the whole family shares is no flavor's: the wire protocol, SQL that all understand, the numbers of
errors in ``mysql.codes``, the types of columns.

Whoever has a session asks ``session.flavor``: a session learns it when it connects, from what the server itself says
when asked for its version. The greeting of a handshake does not count: a proxy may greet with a version of its own.

Invariants:
- No module outside of this folder and ``binlog`` names a server's kind or compares versions. There are no subclasses
  and no ``if``: a difference is a field, or a small function in a field.
- What one kind of server can do and another cannot is a field that may be None, under the capability's name
  (``row_events_as_statements``); whoever wants to use it asks for it by that name, and has another way without it.
- A server that no flavor answers to is refused with its version, never treated as the nearest one.
- Exactly one flavor answers to a version.

To add one: give its data in a module of its own, add it to ``KNOWN``, and let the tests of sessions, precheck and apply
run on such a server. A second one must answer to fewer texts than "anything else": OceanBase's ``5.7.25-OceanBase-v4``
begins like MySQL's own. What a field's comment says of other servers is where to begin.
How events are laid out is the decoder's to know (``binlog``), and a server whose log is no binlog, OceanBase without
its Binlog Service, takes another ``source`` besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from cdcd.errors import UnsupportedServer
from cdcd.mysql.flavor.contract import NO_ERRORS, Errors, Flavor
from cdcd.mysql.flavor.mariadb import MARIADB

__all__ = ["ANY_ERRORS", "KNOWN", "NO_ERRORS", "VERSION", "Errors", "Flavor", "of", "told"]

KNOWN: tuple[Flavor, ...] = (MARIADB,)
# What a server answers before it is known which it is: a number counts where it means so on any of them.
ANY_ERRORS = reduce(Errors.joined, (flavor.errors for flavor in KNOWN))
# No sql_select_limit applies to a query with a LIMIT of its own, and no charset of the session to bytes.
VERSION = "SELECT CAST(VERSION() AS BINARY) LIMIT 1"


def of(version: str) -> Flavor:
    """Return the flavor that answers to a server's version text; raise UnsupportedServer where none does."""
    for flavor in KNOWN:
        if flavor.answers_to.search(version):
            return flavor
    followed = " and ".join(f"{flavor.name}'s" for flavor in KNOWN)
    raise UnsupportedServer(
        f"the server is {version or 'an unknown version'}; only {followed} log can be followed so far"
    )


def told(rows: Sequence[tuple[bytes, ...]]) -> Flavor:
    """Return the flavor by the answer to ``VERSION``; raise UnsupportedServer."""
    return of(rows[0][0].decode("utf-8", "replace") if rows else "")
