"""Whether a source leads on from a position, tried before a link relies on it, and where in its log that is.

No more is read for it than the head of a stream, under a server_id of its own: a link that runs is not disturbed.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from cdcd.binlog.decoder import Decoder
from cdcd.binlog.opening import Opening
from cdcd.config.schema import Link, Site
from cdcd.errors import CdcdError, MalformedEvent, UnsupportedEvent
from cdcd.model.position import Coordinates, Progress
from cdcd.mysql.session import ANSWER_SECONDS, Session
from cdcd.source.continuity import check_continuity
from cdcd.source.passage import open_beside
from cdcd.source.start import resolve_start

# A chunk may hold thousands of transactions, of which the first is asked for.
HEAD_BYTES = 16 * 1024


async def begin(session: Session, site: Site, link: Link, start: str, server: str) -> Progress:
    """Return where a link begins that is told to at ``start``, once its source has shown that it leads on from there.

    GTIDs are looked up in the log: from then on, their place tells whether it is still the same log. ``session`` asks
    the source, whose identity is ``server``. Raises CdcdError where the log does not hold ``start``, BinlogPurged,
    SourceRewound or BinlogError where it is not sent from there, SourceLost, AccessDenied.
    """
    progress = await resolve_start(session, start, server)
    end = await resolve_start(session, "now", server)
    if missing := [gtid for gtid in progress.position if not end.position.includes(gtid)]:
        raise CdcdError(
            f"the log of {link.source} has no {missing[0]}: it ends at {end.position or 'its beginning'}",
            hint=f"`cdcd position --site {link.source}` prints where it ends",
        ).at(site=site.name)
    found = await _try(site, link, progress, end)
    if not progress.at.file and progress.position:
        return replace(progress, at=await _place(site, link, progress, end, found))
    if found.file == progress.at.file:
        return replace(progress, at=progress.at._replace(began=found.began))
    return progress


async def check_lead(session: Session, site: Site, link: Link, server: str, progress: Progress) -> None:
    """See that a source still leads on from where a link is, as its next run will.

    Raises SourceRewound where its log is another, BinlogPurged or BinlogError where it is not sent from there any more,
    SourceLost, AccessDenied.
    """
    await check_continuity(session, server, progress.position, progress.at, progress.applied)
    await _try(site, link, progress, await resolve_start(session, "now", server))


async def _place(site: Site, link: Link, progress: Progress, end: Progress, found: Coordinates) -> Coordinates:
    """Return a place in the log at which the last transactions of a position have passed, and none after them.

    Domains that the position does not name may begin long before it: what they hold does not count. ``found`` is where
    the first transaction of any begins.
    """
    named = {gtid.domain for gtid in progress.position}
    others = [gtid for gtid in end.position if gtid.domain not in named]
    if not others:
        return found
    return await _try(site, link, replace(progress, position=progress.position.after(others)), end)


async def _try(site: Site, link: Link, progress: Progress, end: Progress) -> Coordinates:
    """Return where the first transaction after a position begins, which is where the log ends if there is none.

    What a link could not carry is no reason to refuse.
    """
    position, at = progress.position, progress.at
    decoder, opening = Decoder(position, server=end.at.server, at=at), Opening(Coordinates(end.at.server))
    is_end = all(position.includes(gtid) for gtid in end.position)
    with closing(await open_beside(site, link, position)) as stream:
        # The source says nothing while it looks for the position.
        while not (opening.is_met or opening.is_over):
            await stream.wait(ANSWER_SECONDS)
            with stream.taken() as taken:
                head = bytes(taken)
            for offset in range(0, len(head), HEAD_BYTES):
                decoder.feed(head[offset : offset + HEAD_BYTES])
                opening.feed(head[offset : offset + HEAD_BYTES])
                if opening.is_met or decoder.failure is not None:
                    break
            failure = decoder.failure
            if isinstance(failure, (UnsupportedEvent, MalformedEvent)):
                break
            if failure is not None:
                raise failure.at(site=site.name)
            # Where the log has nothing after it, the source is silent but for its format.
            if is_end and opening.at.began:
                break
    if opening.is_met or not is_end:
        return opening.at
    return end.at._replace(began=opening.at.began if opening.at.file == end.at.file else 0)
