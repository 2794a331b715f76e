"""The listener's three read-only pages, and what is answered to anything else; knows no socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

import orjson

from cdcd.observe import metrics, status
from cdcd.observe.status import LinkView
from cdcd.observe.token import Token

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class Page(NamedTuple):
    """An answer."""

    code: HTTPStatus
    content_type: str
    body: bytes
    headers: Mapping[str, str] = {}


class Pages:
    """Answers requests; ``links`` is asked anew for each."""

    def __init__(self, links: Callable[[], Iterable[LinkView]], token: Token) -> None:
        self._links = links
        self._token = token
        self._metrics = metrics.Metrics(links)
        self._pages = {"/status": self._status, "/metrics": self._metrics_text, "/healthz": self._health}

    def answer(self, method: str, target: str, authorization: Sequence[str], *, has_body: bool) -> Page:
        """Return the answer to a request; ``authorization`` holds the values of all its headers of that name."""
        if not self._token.admits(authorization):
            return problem(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Bearer realm="cdcd"'})
        if not (page := self._pages.get(target.partition("?")[0])):
            return problem(HTTPStatus.NOT_FOUND)
        if method != "GET":
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET"})
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) if has_body else page()

    def _status(self) -> Page:
        return Page(HTTPStatus.OK, JSON, orjson.dumps(status.document(self._links())))

    def _metrics_text(self) -> Page:
        return Page(HTTPStatus.OK, metrics.CONTENT_TYPE, self._metrics.text())

    def _health(self) -> Page:
        reasons = status.unhealthy(self._links())
        if reasons:
            return Page(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, "".join(f"{line}\n" for line in reasons).encode())
        return Page(HTTPStatus.OK, TEXT, b"ok\n")


def problem(code: HTTPStatus, headers: Mapping[str, str] = {}) -> Page:
    """Return the answer that says no more than what a status code means."""
    return Page(code, TEXT, f"{code.phrase}\n".encode(), headers)
