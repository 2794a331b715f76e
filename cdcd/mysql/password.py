"""Which of a server's questions for the password may be answered on a connection.

A challenge is answered with a proof that tells nothing of the password. The other plug-ins let the server read it:
as it is, or under a public key of the server's own making. So they are answered only where the server's
certificate was verified; whoever answers in its place on an unverified connection gets nothing.
MariaDB Knowledge Base, "Connection", "Authentication Plugins".
"""

from __future__ import annotations

from importlib.util import find_spec

from cdcd.errors import AccessDenied

CHALLENGE = "mysql_native_password"
_REVEALING = frozenset({"mysql_clear_password", "dialog", "sha256_password", "caching_sha2_password"})
_ED25519 = "client_ed25519"
_PLUGIN_AUTH = 1 << 19  # The capability bit of a server that names the plug-in of an account.


def greeted(plugin: str, capabilities: int, *, verified: bool) -> str:
    """Return the plug-in to begin with, given the server's default; raise AccessDenied for an ancient server.

    The account's own plug-in comes with a request to switch, so to begin with another is no loss.
    """
    if not capabilities & _PLUGIN_AUTH:
        raise AccessDenied("the server asks for the password in the way of before MySQL 5.5, which cdcd never answers")
    return CHALLENGE if plugin in _REVEALING and not verified else plugin


def check_switch(plugin: str, *, verified: bool) -> None:
    """Raise AccessDenied where answering the account's plug-in would tell the password to an unproven server."""
    if plugin in _REVEALING and not verified:
        raise AccessDenied(
            f"the server asked for the password in clear text ({plugin}), which cdcd never sends to a server whose"
            " certificate it has not verified",
            hint='set tls = "verify" and tls_ca for the site, or give the account mysql_native_password or ed25519',
        )
    if plugin == _ED25519 and find_spec("nacl") is None:
        raise AccessDenied(
            "the account authenticates with ed25519, for which the package PyNaCl is not installed",
            hint="pip install pynacl, or IDENTIFIED VIA mysql_native_password",
        )
    if plugin not in _REVEALING and plugin not in (CHALLENGE, _ED25519):
        raise AccessDenied(
            f"the account authenticates with plug-in {plugin}, which cdcd does not know",
            hint="IDENTIFIED VIA mysql_native_password or ed25519",
        )
