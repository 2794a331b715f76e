"""The clients of one site, in a process of their own so that their work is not the screen's or the daemon's."""

from __future__ import annotations

import multiprocessing
import signal
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from random import Random
from threading import Event
from typing import Any

from conf.demo.shop import DATABASE, Client
from tests.fixtures.mariadb import MariaDB

REPORT_SECONDS = 0.05
STOP_SECONDS_MAX = 60
BEHIND_SECONDS_MAX = 0.5

_FORK = multiprocessing.get_context("fork")


class WritersFailed(RuntimeError):
    """A client got an error that is not a lost lock; its traceback is on stderr."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the clients of a site have done so far; at the end, with the GTID of their last transaction."""

    transactions: int = 0
    retries: int = 0
    last_gtid: str = ""
    is_final: bool = False


class Writers:
    """Starts when made; ends with :meth:`stop`, or with the process that made it."""

    def __init__(self, server: MariaDB, site_number: int, *, clients: int, rate: float) -> None:
        self.written = Written()
        self._pipe, theirs = _FORK.Pipe()
        arguments = (server, site_number, clients, rate, theirs)
        self._process = _FORK.Process(target=_write, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def look(self) -> Written:
        """Return the latest figures; raise WritersFailed when the process has ended by itself."""
        try:
            while not self.written.is_final and self._pipe.poll():
                self.written = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise WritersFailed("the writers have ended") from None
        return self.written

    def stop(self) -> Written:
        """Let every client finish its transaction, and return the final figures."""
        self._pipe.send("stop")
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while not self.look().is_final:
            if not self._pipe.poll(max(0, deadline - time.monotonic())):
                raise WritersFailed(f"the writers did not stop within {STOP_SECONDS_MAX} s")
        self._process.join()
        return self.written

    def close(self) -> None:
        """End the process if it still runs."""
        self._process.kill()
        self._process.join()


def _write(server: MariaDB, site_number: int, clients: int, rate: float, pipe: Connection[Any, Any]) -> None:
    # Ctrl-C reaches every process of the terminal; the demo decides when the clients end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    stop = Event()
    figures = [Figures() for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        tasks = [
            pool.submit(_serve, server, site_number, Random(f"{site_number}/{n}"), rate / clients, mine, stop)
            for n, mine in enumerate(figures)
        ]
        try:
            _report(pipe, figures, tasks)
        finally:
            stop.set()
        last = [task.result() for task in tasks]
    pipe.send(replace(_sum(figures), last_gtid=max(last, key=sequence), is_final=True))


def sequence(gtid: str) -> int:
    """Return a GTID's place in its server's log, 0 when there is none."""
    return int(gtid.rpartition("-")[2] or 0)


@dataclass(slots=True)
class Figures:
    """What one client has done."""

    transactions: int = 0
    retries: int = 0


def _serve(server: MariaDB, site_number: int, random: Random, rate: float, figures: Figures, stop: Event) -> str:
    """Act ``rate`` times a second until told to stop; return the GTID of the last transaction."""
    session = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    with closing(server.connect(database=DATABASE, init_command=session)) as connection:
        client = Client(connection, site_number, random)
        due = time.monotonic() + random.random() / rate
        while not stop.wait(max(0, due - time.monotonic())):
            client.act()
            figures.transactions += 1
            figures.retries = client.retries
            due = max(due + 1 / rate, time.monotonic() - BEHIND_SECONDS_MAX)
        return client.last_gtid()


def _report(pipe: Connection[Any, Any], figures: list[Figures], tasks: list[Future[str]]) -> None:
    """Send figures until told to stop, or until a client fails."""
    while not pipe.poll():
        pipe.send(_sum(figures))
        failed, _ = wait(tasks, timeout=REPORT_SECONDS, return_when=FIRST_EXCEPTION)
        if failed:
            return
    pipe.recv()


def _sum(figures: list[Figures]) -> Written:
    return Written(sum(mine.transactions for mine in figures), sum(mine.retries for mine in figures))
