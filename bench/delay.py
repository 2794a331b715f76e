"""A TCP proxy that makes a server seem far away: it delays, and does not limit what passes in a time.

It runs in a process of its own. Each direction is held back for half the round trip; what is on its way is bounded, as
a TCP window is. Opening a connection itself costs no delay, so a far server is one round trip nearer there.
"""

from __future__ import annotations

import multiprocessing
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from tests.fixtures.mariadb import HOST

READ_BYTES = 256 * 1024
READS_MAX = 128  # on their way in one direction of a connection: at most 32 MiB


@dataclass(slots=True)
class FarAway:
    """Where the server behind the proxy is reached."""

    port: int
    host: str = HOST


@contextmanager
def far_away(server_port: int, round_trip_ms: float) -> Iterator[FarAway]:
    """Put a server on this machine this far away."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, server_port, round_trip_ms / 2000), daemon=True)
    process.start()
    try:
        yield FarAway(here.recv())
    finally:
        process.terminate()
        process.join()


def _serve(parent: Connection, server_port: int, delay_seconds: float) -> None:
    with socket.create_server((HOST, 0), backlog=100) as listener:
        parent.send(listener.getsockname()[1])
        while True:
            client, _ = listener.accept()
            try:
                server = socket.create_connection((HOST, server_port))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _forward(client, server, delay_seconds)
            _forward(server, client, delay_seconds)


def _forward(source: socket.socket, target: socket.socket, delay_seconds: float) -> None:
    """Start one direction; an empty read stands for its end."""
    held: queue.Queue[tuple[float, bytes]] = queue.Queue(READS_MAX)

    def read() -> None:
        data = b"?"
        while data:
            try:
                data = source.recv(READ_BYTES)
            except OSError:
                data = b""
            held.put((time.monotonic() + delay_seconds, data))

    def write() -> None:
        data = b"?"
        while data:
            due, data = held.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                target.sendall(data)
            except OSError:
                break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_WR if end is target else socket.SHUT_RD)
        while data:
            _, data = held.get()  # The reader must not wait for room for ever.

    for loop in (read, write):
        threading.Thread(target=loop, daemon=True).start()
