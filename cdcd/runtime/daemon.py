"""The process: every link of the file, signals, the status listener, systemd's protocol."""

from __future__ import annotations

import asyncio
import gc
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec.structs import replace

from cdcd.checkpoint.witness import StateFiles, state_folder
from cdcd.config import RELOADABLE, Config, Link, load
from cdcd.errors import CdcdError, ConfigError, PrecheckFailed
from cdcd.observe import logs
from cdcd.observe.own_thread import in_own_thread
from cdcd.observe.server import StatusServer
from cdcd.observe.token import Token
from cdcd.precheck import precheck
from cdcd.precheck.problem import Problem
from cdcd.runtime import notify
from cdcd.runtime.link import LinkRunner

log = structlog.get_logger()

GC_THRESHOLDS = (20_000, 20, 20)
# A file that takes longer is on a disk that hangs; nobody waits for it with links to look after.
FILE_SECONDS = 5


class Daemon:
    """All links of one configuration file in one process."""

    def __init__(self, config: Config, path: Path) -> None:
        self.config = config
        self._path = path
        state = StateFiles(state_folder(path))
        self.links = {
            name: LinkRunner(
                link,
                config.sites[link.source],
                config.sites[link.target],
                names=config.ends,
                state=state,
                is_paired=config.is_active_active(link),
            )
            for name, link in config.links.items()
        }
        self._token = Token(config.daemon.token)
        self._failed = False
        self._stopping = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False  # asked for while another goes on, which may have read the file before

    async def problems(self) -> list[Problem] | None:
        """Return what the precheck finds, or None when told to stop meanwhile."""
        checking = asyncio.create_task(precheck(self.config), name="precheck")
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({checking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return checking.result() if checking.done() else None
        finally:
            checking.cancel()
            stopping.cancel()
            await asyncio.wait({checking, stopping})

    async def run(self) -> int:
        """Run until every link has ended; return the exit status: 0 after a clean stop, 1 when a link failed."""
        # What is loaded by now stays, and what a transaction leaves has no cycles: collecting often finds nothing.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        async with StatusServer(self.config.daemon.listen, self.links.values, self._token):
            # Held back until now (cli.start): a reload needs links.
            on_signal(signal.SIGHUP, self.reload)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
            beat = asyncio.create_task(self._watchdog(), name="watchdog")
            following = asyncio.create_task(self._follow_token(), name="token")
            notify.ready(f"{len(self.links)} links")
            log.info("daemon_started", links=sorted(self.links))
            async with asyncio.TaskGroup() as group:
                for name, link in self.links.items():
                    group.create_task(self._supervise(link), name=f"supervise-{name}")
            beat.cancel()
            following.cancel()
            if self._reloading is not None:
                self._reloading.cancel()
        log.info("daemon_stopped", failed=self._failed)
        return int(self._failed)

    async def _supervise(self, link: LinkRunner) -> None:
        """Run a link; its failure is its own, the other links go on."""
        try:
            await link.run()
        except CdcdError:
            self._failed = True
        except Exception as error:  # A defect of ours must not end the other links.
            self._failed = True
            link.fail(f"internal error: {error!r}")
            log.exception("link_crashed", link=link.name)

    def drain(self) -> None:
        """Let every link finish what it has accepted, and end."""
        log.info("daemon_stopping")
        self._stopping.set()
        notify.stopping()
        for link in self.links.values():
            link.drain()

    def reload(self) -> None:
        """Read the file again and apply its reloadable keys and the token; a bad one changes nothing. One at a time."""
        if self._reloading is None:
            self._reloading = asyncio.create_task(self._reload(), name="reload")
            self._reloading.add_done_callback(self._reloaded)
        else:
            self._reload_again = True

    def _reloaded(self, _task: asyncio.Task[None]) -> None:
        self._reloading, again, self._reload_again = None, self._reload_again, False
        if again and not self._stopping.is_set():
            self.reload()

    async def _reload(self) -> None:
        notify.reloading()
        try:
            config = await _read(self._path)
            self._check_reloadable(config)
        except ConfigError as error:
            log.error("reload_refused", problems=error.problems)
        else:
            self.config = config
            self._token.text = config.daemon.token
            for name, link in config.links.items():
                self.links[name].reload(link)
            log.info("configuration_reloaded")
        finally:
            notify.ready()

    def _check_reloadable(self, config: Config) -> None:
        # The token may be another one, in the same file.
        running = replace(self.config, daemon=replace(self.config.daemon, token=config.daemon.token))
        problems = [
            f"{section}: differs from the running one; restart to apply it"
            for section in ("daemon", "sites")
            if getattr(config, section) != getattr(running, section)
        ]
        problems += [
            f"links.{name}: links are added and removed by a restart"
            for name in sorted(config.links.keys() ^ self.config.links.keys())
        ]
        for name in sorted(config.links.keys() & self.config.links.keys()):
            problems += _fixed_keys(name, self.config.links[name], config.links[name])
        if problems:
            raise ConfigError(problems)

    async def _watchdog(self) -> None:
        """Tell systemd that the loop turns."""
        seconds = notify.watchdog_seconds()
        while seconds:
            notify.watchdog()
            await asyncio.sleep(seconds / 2)

    async def _follow_token(self) -> None:
        if file := self.config.daemon.token_file:
            await self._token.follow(Path(file))


def on_signal(number: signal.Signals, act: Callable[[], None]) -> None:
    """Have something done on the loop at each signal.

    The loop's own handlers end with the loop, and leave a moment in which a signal would kill.
    """
    loop = asyncio.get_running_loop()
    signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))


async def _read(path: Path) -> Config:
    """Load the file without waiting for a disk that hangs; raise ConfigError."""
    try:
        async with asyncio.timeout(FILE_SECONDS):
            return await in_own_thread(_load_file, path)
    except TimeoutError:
        raise ConfigError([f"{path}: cannot be read within {FILE_SECONDS} s: see its disk"]) from None


def _load_file(path: Path) -> Config:
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    if not is_file:
        raise ConfigError([f"{path}: is no regular file"])
    return load(path)


def _fixed_keys(name: str, old: Link, new: Link) -> list[str]:
    return [
        f"links.{name}.{key}: cannot change while running; restart to apply it"
        for key in old.__struct_fields__
        if key not in RELOADABLE and getattr(old, key) != getattr(new, key)
    ]


async def run(config: Config, path: Path) -> int:
    """Run every link of a configuration in the foreground; return the exit status of ``cdcd run``.

    Raises PrecheckFailed when something that `cdcd check` reports as an error must be fixed first. A server
    that cannot be reached is no such thing: the links wait for it.
    """
    logs.configure(config.daemon.log_level, config.daemon.log_format)
    daemon = Daemon(config, path)
    for number in (signal.SIGTERM, signal.SIGINT):
        on_signal(number, daemon.drain)
    if (found := await daemon.problems()) is None:
        log.info("daemon_stopped", failed=False)
        return 0
    problems = [problem for problem in found if problem.level == "error" and not problem.transient]
    if problems:
        for problem in problems:
            log.error("precheck_failed", path=problem.path, problem=problem.text, fix=problem.fix)
        raise PrecheckFailed(
            "\n".join(f"{problem.path}: {problem.text}" for problem in problems),
            hint="`cdcd check` prints what fixes each",
        )
    return await daemon.run()
