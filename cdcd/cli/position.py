"""``cdcd position``: where a site's log ends, where a link is in it, and to put a link elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TextIO

from cdcd.checkpoint import layout, offline, witness
from cdcd.checkpoint.trace import Trace, own_transaction
from cdcd.checkpoint.witness import StateFiles, state_folder
from cdcd.cli.asking import Answer, link_of, session_at
from cdcd.config import Config, Link
from cdcd.config.grammar import Place
from cdcd.config.values import start as checked_start
from cdcd.errors import BinlogError, CdcdError, ConfigError, SourceLost, SourceRewound, TargetLost
from cdcd.model.position import Position, Progress
from cdcd.mysql.identity import read_identity
from cdcd.mysql.session import Session
from cdcd.runtime.resume import describe
from cdcd.source.probe import begin, check_lead
from cdcd.source.start import current_position

DONE, NOT_DONE = 0, 1
# Where nothing tells what the target holds of the source's log.
_ANEW = (
    "What the source's log holds up to there will never be applied: the target must have it. What it holds after that"
    " will be applied, also what the target has already."
)


async def run(config: Config, site_name: str, *, out: TextIO) -> None:
    """Print where a site's log ends. Raises ConfigError for an unknown site, and what the connection raises."""
    if (site := config.sites.get(site_name)) is None:
        raise ConfigError([f"sites: no site named {site_name!r} (there are: {', '.join(sorted(config.sites))})"])
    async with session_at(site, SourceLost) as session:
        if await session.fetch_one("SELECT @@log_bin") != (1,):
            raise CdcdError(f"site {site_name} has no binary log", hint="set log_bin on its server")
        position = str(await current_position(session))
    # A log without a transaction has no GTID to name; its end is its beginning.
    print(position or "earliest", file=out)


async def show(config: Config, link_name: str, answer: Answer) -> int:
    """Print a link's checkpoint, whether or not a daemon runs the link."""
    link = link_of(config, link_name)
    async with session_at(config.sites[link.target], TargetLost) as target:
        if not await offline.present(target):
            raise _no_checkpoint(link)
        await layout.check(target)
        state = await offline.look(target, link.name)
        failed = await offline.failure(target, link.name, link.source, link.target)
    state.check()
    if state.progress is None:
        raise _no_checkpoint(link)
    at = state.progress.at
    facts = {
        "link": link.name,
        "position": str(state.progress.position),
        "applied_after": sorted(map(str, state.progress.applied)),
        "source_server": at.server,
        "log_file": at.file,
        "log_offset": at.offset,
        "event_time": at.time,
        "epoch": state.epoch,
        "updated_at": f"{state.updated_at} UTC",
        "sessions": state.sessions,
        "stopped_at": str(failed.gtid) if failed else None,
        "failure": failed.reason if failed else None,
    }
    answer.give("\n".join(f"{name:13} {_shown(value)}" for name, value in facts.items()), **facts)
    return DONE


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "-"
    return "-" if value in ("", 0, None) else str(value)


def _no_checkpoint(link: Link) -> CdcdError:
    return CdcdError(
        f"{link.name} has no checkpoint on {link.target}",
        hint="`cdcd check` says whether it has run before; only a link that has not begins at `start`;"
        f" `cdcd position set --link {link.name} POSITION` gives it one",
    )


async def set_(config: Config, path: Path, link_name: str, text: str, answer: Answer, *, dry_run: bool) -> int:
    """Put a link that does not run at another position of its source's log; return the exit status.

    Raises ConfigError for wrong usage, CdcdError where the source cannot send its log from there, LinkRuns.
    """
    link = link_of(config, link_name)
    try:
        checked_start(text, Place())
    except ValueError as error:
        raise ConfigError([f"POSITION: {error}"]) from None
    async with (
        session_at(config.sites[link.source], SourceLost) as source,
        session_at(config.sites[link.target], TargetLost) as target,
    ):
        progress = await begin(source, config.sites[link.source], link, text, await read_identity(source))
        state = offline.State(None)
        if await offline.present(target):
            await (layout.check if dry_run else layout.prepare)(target)
            state = await offline.settled(target, link.name)
            offline.refuse_running(state, link.name, link.target)
        answer.show(await _difference(config, link, state, source, progress))
        if dry_run:
            answer.give("nothing was changed", link=link.name, position=str(progress.position), changed=False)
            return DONE
        if not answer.agreed(f"Put {link.name} there?"):
            return NOT_DONE
        await _move(link, source, target, progress, StateFiles(state_folder(path)))
    position = str(progress.position)
    answer.give(f"{link.name} is at {position or 'the beginning'}", link=link.name, position=position, changed=True)
    return DONE


async def _move(link: Link, source: Session, target: Session, progress: Progress, files: StateFiles) -> None:
    """Write the position, and tell the witnesses, so that the next run does not wonder."""
    servers = await read_identity(source), await read_identity(target)
    noted = replace(describe(link), source_server=servers[0], target_server=servers[1], position=str(progress.position))
    async with offline.hold(target, link.name) as held:
        await held.move(progress, link.source)
        await target.execute(witness.statement(noted))
        await target.execute(f"UPDATE cdcd.link SET failed_gtid = '', failure = '' WHERE {Trace.of(noted).where}")
        if any(map(Trace.of(noted).is_of, await witness.read(source))):
            async with own_transaction(source):
                await source.execute(witness.statement(noted))
        files.write(noted)


async def _difference(config: Config, link: Link, state: offline.State, source: Session, to: Progress) -> str:
    """Say from where to where a link goes, and what that means for the transactions before and after it."""
    text = f"{link.name} goes to {to.position or 'the beginning of the log'}"
    if state.damage is not None:
        return f"{text}; its checkpoint is damaged, so nothing tells what is applied.\n{_ANEW}"
    if state.progress is None:
        return f"{text}; it has no checkpoint.\n{_ANEW}"
    here = state.progress.position
    text += f", from {here or 'the beginning of the log'}."
    try:
        await check_lead(source, config.sites[link.source], link, to.at.server, state.progress)
    except SourceRewound as error:
        return f"{text}\nThe two are not of one log: {error.message}.\n{_ANEW}"
    except BinlogError:  # The same log, though it cannot be read from there any more.
        pass
    return "\n".join([text, *_between(state.progress, to.position)])


def _between(here: Progress, position: Position) -> list[str]:
    """Say what becomes of the transactions between two places of one log."""
    lines = []
    if any(not here.position.includes(gtid) for gtid in position):
        lines.append("Transactions between the two that are not applied will never be: the target must have them.")
    if any(not position.includes(gtid) for gtid in here.position) or here.applied:
        lines.append("Transactions that are applied already will be applied again.")
    return lines or ["No transaction lies between the two."]
