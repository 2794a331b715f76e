"""Identifiers and text literals, quoted for any sql_mode that this program sets."""

from __future__ import annotations


def identifier(name: str) -> str:
    """Quote one identifier with backticks."""
    return "`" + name.replace("`", "``") + "`"


def table(name: tuple[str, str]) -> str:
    """Quote a (database, table) pair."""
    return f"{identifier(name[0])}.{identifier(name[1])}"


def text(value: str) -> str:
    """Quote a text literal for a session whose sql_mode lacks NO_BACKSLASH_ESCAPES."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def binary(value: bytes) -> str:
    """Write bytes as a hexadecimal literal, which no charset or sql_mode can change."""
    return f"X'{value.hex()}'"


def any_text(value: str) -> str:
    """Quote a text literal for a session of any charset and sql_mode; what is not Unicode gets a backslash."""
    return f"_utf8mb4 {binary(value.encode('utf-8', 'backslashreplace'))}"
