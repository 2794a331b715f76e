"""A small HTTP/1.1 listener for status, metrics and health: three GET pages, one request a connection."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Self

import orjson

from cdcd.errors import ConfigError
from cdcd.observe import metrics, status
from cdcd.observe.status import LinkView

# From the connection to the end of the answer, however busily a client trickles.
REQUEST_SECONDS_MAX = 5
REQUEST_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 32
# Connections that the kernel holds until the loop comes round to them.
BACKLOG = 512

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

Page = tuple[HTTPStatus, str, bytes]


class StatusServer:
    """Listens while entered: ``async with StatusServer("127.0.0.1:9180", links): …``.

    ``listen`` is ``host:port`` (``[::1]:9180`` for IPv6, port 0 for any free one); empty listens nowhere.
    ``links`` is asked anew for every request.
    """

    def __init__(self, listen: str, links: Callable[[], Iterable[LinkView]]) -> None:
        self._listen = listen
        self._links = links
        self._metrics = metrics.Metrics(links)
        self._server: asyncio.Server | None = None
        self._requests: dict[asyncio.Task[None], None] = {}  # the oldest first

    @property
    def port(self) -> int:
        """The port that is listened on, 0 when none is."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._requests)

    async def __aenter__(self) -> Self:
        """Start to listen; raise ConfigError when the address can't be had."""
        if self._listen:
            host, port = parse_listen(self._listen)
            try:
                self._server = await asyncio.start_server(
                    self._serve, host, port, limit=REQUEST_BYTES_MAX, backlog=BACKLOG
                )
            except OSError as error:
                raise ConfigError([f"daemon.listen: {self._listen}: {_reason(error)}"]) from error
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop to listen, and drop requests that are under way."""
        if self._server:
            self._server.close()
            self._server = None
        requests = list(self._requests)
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = asyncio.current_task()
        assert request
        self._make_room()
        self._requests[request] = None
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                writer.write(_response(*await self._answer(reader)))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass  # Only this class cancels a request, and asyncio would log one that ends so.
        finally:
            self._requests.pop(request, None)
            writer.transport.abort()

    def _make_room(self) -> None:
        """End the oldest connections for a new one: who asks is answered at once, so these have nothing to ask."""
        while len(self._requests) >= CONNECTIONS_MAX:
            oldest = next(iter(self._requests))
            del self._requests[oldest]
            oldest.cancel()

    async def _answer(self, reader: asyncio.StreamReader) -> Page:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except asyncio.IncompleteReadError:
            return _problem(HTTPStatus.BAD_REQUEST)
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _problem(HTTPStatus.BAD_REQUEST)
        return self._page(words[0], words[1].partition(b"?")[0])

    def _page(self, method: bytes, path: bytes) -> Page:
        pages = {b"/status": self._status, b"/metrics": self._metrics_text, b"/healthz": self._health}
        if not (page := pages.get(path)):
            return _problem(HTTPStatus.NOT_FOUND)
        return page() if method == b"GET" else _problem(HTTPStatus.METHOD_NOT_ALLOWED)

    def _status(self) -> Page:
        return HTTPStatus.OK, JSON, orjson.dumps(status.document(self._links()))

    def _metrics_text(self) -> Page:
        return HTTPStatus.OK, metrics.CONTENT_TYPE, self._metrics.text()

    def _health(self) -> Page:
        reasons = status.unhealthy(self._links())
        if reasons:
            return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, "".join(f"{line}\n" for line in reasons).encode()
        return HTTPStatus.OK, TEXT, b"ok\n"


def parse_listen(listen: str) -> tuple[str, int]:
    """Split ``host:port``; raise ConfigError for anything else."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError([f'daemon.listen: "{listen}" is not host:port, as in "127.0.0.1:9180"'])
    return host.removeprefix("[").removesuffix("]"), int(port)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "address in use: another cdcd or another program listens there; choose another port"
    if error.errno == errno.EACCES:
        return "permission denied: choose a port above 1023"
    return f"can't listen: {error.strerror or error}"


def _problem(code: HTTPStatus) -> Page:
    return code, TEXT, f"{code.phrase}\n".encode()


def _response(code: HTTPStatus, content_type: str, body: bytes) -> bytes:
    allow = "Allow: GET\r\n" if code == HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {code} {code.phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
