"""``cdcd skip``: leave out the one transaction that a link stopped at, after it has been seen."""

from __future__ import annotations

from cdcd.checkpoint import layout, offline
from cdcd.cli.asking import Answer, gtid_of, link_of, operator, session_at
from cdcd.config import Config, Link
from cdcd.errors import CdcdError, SourceLost, TargetLost
from cdcd.model.position import Gtid, Position
from cdcd.mysql.session import Session
from cdcd.runtime.content import Content
from cdcd.source import passage
from cdcd.source.start import current_position

DONE, NOT_DONE = 0, 1
SHOWN_LINES_MAX = 50


async def run(config: Config, link_name: str, gtid_text: str, answer: Answer) -> int:
    """Show the transaction, ask, and count it as applied; return the exit status.

    Raises ConfigError for wrong usage; CdcdError where it is not the transaction that the link stopped at, and where
    the link runs.
    """
    link, gtid = link_of(config, link_name), gtid_of(gtid_text)
    async with session_at(config.sites[link.target], TargetLost) as target:
        await layout.prepare(target)
        reached, reason = await _check(target, await offline.settled(target, link.name), link, gtid)
        content = await _content(config, link, reached, gtid)
        answer.show(f"{link.name} stopped at {gtid}: {reason}\n\nIt holds:\n{_shortened(content)}\n")
        if not answer.agreed(f"Leave {gtid} out? It will never be applied by {link.name}."):
            return NOT_DONE
        async with offline.hold(target, link.name) as held:
            await _check(target, held.state, link, gtid)
            await held.skip(gtid, content, operator())
    answer.give(
        f"{gtid} is left out, and kept in cdcd.skipped on {link.target}; start the link to go on after it",
        link=link.name,
        gtid=str(gtid),
        content=content,
    )
    return DONE


async def _check(target: Session, state: offline.State, link: Link, gtid: Gtid) -> tuple[Position, str]:
    """Return what is applied before the transaction, and why the link stopped at it; raise where it did not."""
    offline.refuse_running(state, link.name, link.target)
    state.check()
    if state.progress is None:
        raise CdcdError(
            f"{link.name} has no checkpoint on {link.target}, so nothing says what is applied before {gtid}",
            hint="`cdcd check` says whether it has run before, and what to do",
        )
    if state.progress.position.includes(gtid) or gtid in state.progress.applied:
        raise CdcdError(f"{gtid} counts as applied already", hint=f"`cdcd position show --link {link.name}`")
    failed = await offline.failure(target, link.name, link.source, link.target)
    if failed is None:
        raise CdcdError(
            f"{link.name} has not noted a transaction that it stopped at", hint="start it, and see where it stops"
        )
    if failed.gtid != gtid:
        raise CdcdError(f"{link.name} stopped at {failed.gtid}, not at {gtid}", hint=failed.reason)
    return state.progress.position, failed.reason


async def _content(config: Config, link: Link, start: Position, gtid: Gtid) -> str:
    async with session_at(config.sites[link.source], SourceLost) as source:
        end = await current_position(source)
        found = await passage.read(config.sites[link.source], link, start, gtid, end)
        if found is None:
            raise CdcdError(f"{gtid} is not in the log of {link.source} after {start}, which ends at {end}")
        return await Content(source).text(found)


def _shortened(content: str) -> str:
    lines = content.splitlines()
    more = len(lines) - SHOWN_LINES_MAX
    shown = lines[:SHOWN_LINES_MAX] + ([f"… {more} more lines; cdcd.skipped will keep them"] if more > 0 else [])
    return "\n".join(f"  {line}" for line in shown)
