"""``cdcd status``: ask the running daemon, and print what it answers."""

from __future__ import annotations

import asyncio
from typing import Any, TextIO

import orjson

from cdcd.config import Config
from cdcd.errors import CdcdError
from cdcd.observe.server import parse_listen

ANSWER_SECONDS_MAX = 10

_COLUMNS = ("link", "state", "lag", "transactions", "rows", "suppressed", "conflicts", "position")
_COUNTS = ("transactions", "rows", "suppressed", "conflicts")


async def run(config: Config, *, as_json: bool, out: TextIO) -> None:
    """Print the status of every link. Raises CdcdError when no daemon answers."""
    listen = config.daemon.listen
    if not listen:
        raise CdcdError("the status listener is off", hint='set daemon.listen, as in "127.0.0.1:9180", and restart')
    answer = await _ask(listen, config.daemon.token)
    document = _document(listen, answer)
    print(answer.decode() if as_json else text(document), file=out)


def text(document: dict[str, Any]) -> str:
    """Return the table of the links, and what is wrong with the log."""
    dropped = document.get("log_lines_dropped", 0)
    lost = (
        f"\n{dropped} log lines were dropped: whoever reads the log is too slow, or its disk is full" if dropped else ""
    )
    return table(document["links"]) + lost


def table(links: dict[str, dict[str, Any]]) -> str:
    """Return a table of the links, and below it each link's error."""
    rows = [_COLUMNS, *(_row(name, link) for name, link in links.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    errors = [f"{name}: {why}" for name, link in links.items() if (why := link["error"] or link.get("blocked"))]
    return "\n".join([*lines, *errors])


def _row(name: str, link: dict[str, Any]) -> tuple[str, ...]:
    lag = "-" if link["lag_seconds"] is None else f"{link['lag_seconds']:.3f} s"
    return (name, link["state"], lag, *(str(link[count]) for count in _COUNTS), link["position"])


async def _ask(listen: str, token: str) -> bytes:
    host, port = parse_listen(listen)
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET /status HTTP/1.1\r\nHost: {listen}\r\n{authorization}Connection: close\r\n\r\n"
                writer.write(request.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.read() if head.startswith(b"HTTP/1.1 200 ") else b""
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise CdcdError(
            f"no cdcd answers at {listen}: {error or 'no answer in time'}",
            hint="is it running, with this file?",
        ) from error
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise _stranger(listen) from error
    if head.startswith(b"HTTP/1.1 401 "):
        raise CdcdError(
            f"the cdcd at {listen} wants {'another' if token else 'a'} token",
            hint="give the file that it runs with; where daemon.token_file was set since, restart it",
        )
    return body


def _document(listen: str, answer: bytes) -> dict[str, Any]:
    try:
        document: dict[str, Any] = orjson.loads(answer)
        dict(document["links"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise _stranger(listen) from error
    return document


def _stranger(listen: str) -> CdcdError:
    return CdcdError(f"what answers at {listen} is not cdcd", hint="see daemon.listen")
