"""A connection to the listener, as aiohttp speaks HTTP: one request, one answer.

aiohttp is given a request's head once it is there as a whole and never more, so how long a head may be, that no body
is taken, and that a connection has no second request, is decided here and does not depend on its parser. Importing it
takes longer than all that a link needs to start, so whoever imports this module does so when someone asks.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Protocol, cast

import structlog
from aiohttp import web

from cdcd.observe.pages import Page, Pages, problem

log = structlog.get_logger()

REQUEST_BYTES_MAX = 16 * 1024
END_OF_HEAD = b"\r\n\r\n"
# The parser refuses it in any state in which a request may begin.
NO_REQUEST = b"\0"
_REQUEST = re.compile(rb"[^ \r\n]+ [^ \r\n]+ HTTP/1\.")


class Clients(Protocol):
    """Who bounds the connections, in number and in time."""

    def admit(self, transport: asyncio.Transport) -> None:
        """Take note of a connection that is open."""

    def leave(self, transport: asyncio.Transport) -> None:
        """Take note that it is not any more."""


class Server(web.Server):
    """Makes connections: what ``connect_accepted_socket`` asks for."""

    def __init__(self, pages: Pages, clients: Clients) -> None:
        super().__init__(self._answer)
        self._pages, self._clients = pages, clients

    def __call__(self) -> Connection:
        """Return the protocol of one more connection."""
        return Connection(self, self._clients)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        authorization = request.headers.getall("Authorization", [])
        has_body = request.body_exists
        return _response(self._pages.answer(request.method, request.raw_path, authorization, has_body=has_body))


class Connection(web.RequestHandler):
    """One connection, from accept to end."""

    def __init__(self, server: Server, clients: Clients) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=0,  # Nothing is kept alive, and Clients ends what is silent.
            tcp_keepalive=False,
            access_log=None,  # type: ignore[arg-type]
            max_line_size=REQUEST_BYTES_MAX,
            max_field_size=REQUEST_BYTES_MAX,
            lingering_time=0,
        )
        self._clients = clients
        self._socket: asyncio.Transport | None = None
        self._head = bytearray()
        self._asked = False
        self._refusal = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the connection's time begin."""
        self._socket = cast(asyncio.Transport, transport)
        self._clients.admit(self._socket)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place to others."""
        if self._socket is not None:
            self._clients.leave(self._socket)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Collect the head of a request; whatever comes after it is nothing to us."""
        if self._asked:
            return
        seen = len(self._head)
        self._head += data
        end = self._head.find(END_OF_HEAD, max(0, seen - len(END_OF_HEAD) + 1))
        size = len(self._head) if end < 0 else end
        if size > REQUEST_BYTES_MAX:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif end >= 0:
            self._ask(_request(bytes(self._head[:end])))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection for as long as a client that has nothing more to say waits for its answer."""
        if self._head and not self._asked:
            self._refuse(HTTPStatus.BAD_REQUEST)
        return self._asked

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - It quotes the request, which is nothing to send back.
    ) -> web.StreamResponse:
        """Return the answer to what is no request, or to one that we fail at."""
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            return _response(problem(self._refusal))
        log.error("request_failed", path=request.path, exc_info=exc)
        return _response(problem(HTTPStatus.INTERNAL_SERVER_ERROR))

    def _refuse(self, code: HTTPStatus) -> None:
        self._refusal = code
        self._ask(NO_REQUEST)

    def _ask(self, head: bytes) -> None:
        self._asked = True
        self._head.clear()
        super().data_received(head)


def _request(head: bytes) -> bytes:
    """Return what aiohttp is given for a head, which it would also take as HTTP/0.9, or wait for after empty lines."""
    head = head.strip(b"\r\n")
    if not _REQUEST.match(head):
        return NO_REQUEST
    # aiohttp insists on a Host, which says nothing here and which many a health check leaves out.
    return head + (b"" if b"\r\nhost:" in head.lower() else b"\r\nHost:") + END_OF_HEAD


def _response(page: Page) -> web.Response:
    response = web.Response(
        status=page.code,
        reason=page.code.phrase,
        body=page.body,
        headers={
            "Content-Type": page.content_type,
            **page.headers,
            "Cache-Control": "no-store",
            "Connection": "close",
            "Server": "cdcd",
        },
    )
    response.force_close()
    return response
