"""``cdcd``: read the arguments, run the subcommand, turn its end into an exit status.

0 done or stopped cleanly; 1 a link stopped with an error, or the command could not be done; 2 usage or
configuration; 3 precheck failed; 4 verify found differences; 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from cdcd import __version__
from cdcd.config import Config, load
from cdcd.errors import CdcdError, ConfigError, PrecheckFailed
from cdcd.observe import logs

if TYPE_CHECKING:
    from cdcd.cli.asking import Answer

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FAILED = 1
WRONG_USAGE = 2
PRECHECK_FAILED = 3
INTERRUPTED = 130

CONFIG = "/etc/cdcd/cdcd.toml"

Command = Callable[[argparse.Namespace, Config], Awaitable[int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own unless given) and return the exit status."""
    _open_closed_streams()
    arguments = _parser().parse_args(argv)
    # `run` sets up its own log; of other commands, stdout is the answer.
    logs.configure("warning", "console", sys.stderr)
    try:
        config = load(arguments.config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            exit_status: int = runner.run(arguments.command(arguments, config))
        sys.stdout.flush()
    except ConfigError as error:
        return _complain(WRONG_USAGE, error.problems)
    except PrecheckFailed as error:
        return _complain(PRECHECK_FAILED, [str(error)])
    except CdcdError as error:
        return _complain(FAILED, [f"cdcd: {error}"])
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        # Whoever reads our stdout has gone, or its disk is full. The interpreter would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED if isinstance(error, BrokenPipeError) else _complain(FAILED, [f"cdcd: can't print: {error}"])
    finally:
        logs.close()
    return exit_status


def _open_closed_streams() -> None:
    """Give a process that was started without stdout or stderr one that leads nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - until the end.


def _complain(exit_status: int, problems: list[str]) -> int:
    """Print what went wrong; whoever does not read stderr can't hold up the end, nor hide the exit status."""
    logs.complain(problems)
    return exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cdcd", description="Keep MySQL-protocol databases in step, both ways.")
    _takes_a_file(parser, Path(os.environ.get("CDCD_CONFIG") or CONFIG))
    parser.add_argument("--version", action="version", version=f"cdcd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "run", _run, "run every link in the foreground")
    _add(commands, "check", _check, "print what to fix before a run, with the statement that fixes it")
    shows_status = _add(commands, "status", _status, "print what the running links do")
    shows_status.add_argument("--json", action="store_true", help="print the document that GET /status serves")
    compares = _add(commands, "verify", _verify, "compare the two sides of a link")
    compares.add_argument("--link", required=True, metavar="NAME", help="the link, as the file names it")
    compares.add_argument("--json", action="store_true", help="print the report as JSON")
    _add_position(commands)
    skips = _add(commands, "skip", _skip, "leave out the one transaction that a link stopped at, once it has been seen")
    skips.add_argument("--gtid", required=True, help="the transaction, as the link's error names it")
    _of_a_link(skips, "skip --link forward --gtid 0-1-4711")
    _add_link(commands)
    return parser


def _add_position(commands: Commands) -> None:
    locates = _add(commands, "position", _position, "print where a site's log ends, or where a link is; move a link")
    locates.add_argument("--site", metavar="NAME", help="the site whose log's end is printed, as `start` accepts it")
    actions = locates.add_subparsers(metavar="show|set")
    shows = _add(actions, "show", _position_show, "print a link's checkpoint")
    _of_a_link(shows, "position show --link forward")
    sets = _add(actions, "set", _position_set, "put a link that does not run at another position of its source's log")
    sets.add_argument("position", metavar="POSITION", help="GTIDs, now, earliest or FILE:OFFSET, as `start` takes it")
    sets.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    _of_a_link(sets, "position set --link forward 0-1-4711")


def _add_link(commands: Commands) -> None:
    text = "rename or forget what cdcd keeps of a link that does not run"
    actions = _add(commands, "link", None, text).add_subparsers(required=True, metavar="rename|forget")
    renames = _add(actions, "rename", _link_rename, "keep a link's place under another name")
    renames.add_argument("new", metavar="NEW", help="its name from now on")
    _of_a_link(renames, "link rename --link forward eastwards")
    forgets = _add(actions, "forget", _link_forget, "remove all that is kept of a link, so that it begins at `start`")
    _of_a_link(forgets, "link forget --link forward")


def _add(commands: Commands, name: str, command: Command | None, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    _takes_a_file(parser, argparse.SUPPRESS)  # What was given before the command stays.
    if command is not None:
        parser.set_defaults(command=command)
    return parser


def _takes_a_file(parser: argparse.ArgumentParser, default: object) -> None:
    text = f"the configuration file (default: $CDCD_CONFIG, then {CONFIG})"
    parser.add_argument("-c", "--config", default=default, type=Path, metavar="FILE", help=text)


def _of_a_link(parser: argparse.ArgumentParser, example: str) -> None:
    """Add what commands about a link that change something have in common."""
    parser.add_argument("--link", required=True, metavar="NAME", help="the link")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.epilog = f"example: cdcd {example}"


# Each command imports what it needs when it is run: a daemon is up sooner without the others' modules.


async def _run(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.runtime import daemon

    try:
        exit_status = await daemon.run(config, arguments.config)
        # All is closed by now. A question for a name's address can't be called off, and the loop would wait for it.
        logs.close()
        os._exit(exit_status)
    finally:
        # A second SIGTERM must not kill what has stopped.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


async def _check(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import check

    return PRECHECK_FAILED if await check.run(config, arguments.config, out=sys.stdout) else 0


async def _status(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import status

    await status.run(config, as_json=arguments.json, out=sys.stdout)
    return 0


async def _verify(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import verify

    return await verify.run(config, arguments.link, as_json=arguments.json, out=sys.stdout)


async def _position(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import position

    if arguments.site is None:
        raise ConfigError(["cdcd position: give --site NAME, or show or set"])
    await position.run(config, arguments.site, out=sys.stdout)
    return 0


async def _position_show(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import position

    return await position.show(config, arguments.link, _answer(arguments))


async def _position_set(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import position

    return await position.set_(
        config,
        arguments.config,
        arguments.link,
        arguments.position,
        _answer(arguments),
        dry_run=arguments.dry_run,
    )


async def _skip(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import skip

    return await skip.run(config, arguments.link, arguments.gtid, _answer(arguments))


async def _link_rename(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import link

    return await link.rename(config, arguments.config, arguments.link, arguments.new, _answer(arguments))


async def _link_forget(arguments: argparse.Namespace, config: Config) -> int:
    from cdcd.cli import link

    return await link.forget(config, arguments.config, arguments.link, _answer(arguments))


def _answer(arguments: argparse.Namespace) -> Answer:
    from cdcd.cli.asking import Answer

    return Answer(sys.stdout, as_json=arguments.json, yes=arguments.yes)
