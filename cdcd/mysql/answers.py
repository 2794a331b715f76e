"""A value of an answer as text or as bytes: a session without a charset answers bytes where another answers text."""

from __future__ import annotations


def text(value: bytes | str) -> str:
    """Return it as text; raise UnicodeDecodeError, a ValueError, for what is none."""
    return value.decode() if isinstance(value, bytes) else value


def raw(value: bytes | str) -> bytes:
    """Return it as bytes."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
