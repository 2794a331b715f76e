"""Where a link goes on, judged by its checkpoint and by what remembers that it has run: the one place that decides.

| checkpoint | witness                                   | what follows                                          |
| ---------- | ----------------------------------------- | ----------------------------------------------------- |
| none       | none                                      | a new link: begins at ``start``                       |
| none       | of this link: sites or servers            | CheckpointLost: set a position, forget it, or copy    |
| none       | of a link gone from the file, same ends   | CheckpointLost: rename it, or forget it               |
| none       | of one that the file now turns elsewhere  | CheckpointForeign                                     |
| none       | of this name, the other way round         | CheckpointForeign                                     |
| none       | of this name, one end the same, not from  | CheckpointForeign                                     |
|            | the source, which others may use too      |                                                       |
| found      | on the target, of other sites only        | CheckpointForeign                                     |
| found      | none on the target, of another origin     | CheckpointForeign                                     |
| found      | of this link, on another target           | goes on, with a warning: a failover of the target     |
| found      | of this link, on the target, other tables | goes on, with a warning: what was not carried before  |
|            |                                           | is not there                                          |
| found      | of this link, further on, on the target   | CheckpointLost: rows are gone, a restore has both     |
| found      | of this link, further on, elsewhere       | goes on, with a warning: a restored target            |

That the source is still the one is asked of its log, whenever it is connected (``source.continuity``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cdcd.checkpoint.store import Held
from cdcd.checkpoint.witness import Witness
from cdcd.errors import CheckpointForeign, CheckpointLost
from cdcd.model.position import Position

Ends = tuple[str, str]  # the names of the sites that a link goes from and to


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What is remembered, by where: ``cdcd.link`` on the target, the same on the source, the daemon's files.

    Other daemons may use the same names for other targets: on the source, their links are told by the servers alone.
    """

    target: Sequence[Witness] = ()
    source: Sequence[Witness] = ()
    files: Sequence[Witness] = ()


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that an operator should know about a link that goes on."""

    event: str
    facts: dict[str, str]

    def __str__(self) -> str:
        """Return it as a line for a person."""
        return f"{self.event}: {', '.join(f'{name} {value}' for name, value in self.facts.items())}"


def decide(
    mine: Witness,
    held: Held | None,
    witnesses: Witnesses,
    *,
    relays: bool = False,
    names: Mapping[str, Ends] | None = None,
    overlaps: Callable[[str], bool] = lambda _: True,
) -> list[Warned]:
    """Return what to warn of before the link goes on from ``held``, or begins where that is None.

    ``mine`` is the link as it would be noted now. ``names`` are the links of the configuration file with their sites,
    None where they are not known, and ``overlaps`` says whether a link of other rules carries some of the same tables.
    Raises CheckpointLost and CheckpointForeign.
    """
    if held is None:
        _check_new(mine, witnesses, names, overlaps)
        return []
    on_source = [each for each in witnesses.source if _servers(each) == _servers(mine)]
    every = [*witnesses.target, *witnesses.files, *on_source]
    _check_own(mine, held, witnesses.target, relays)
    seen = {each.position for each in every if _sites(each) == _sites(mine)}
    own = [each for each in witnesses.target if _sites(each) == _sites(mine)]
    before = {each.target_server for each in own} - {mine.target_server}
    warned = [Warned("target_server_changed", {"before": each, "now": mine.target_server}) for each in before]
    carried = {each.rules for each in own} - {mine.rules}
    warned += [Warned("tables_changed", {"before": each, "now": mine.rules}) for each in sorted(carried)]
    position = held.progress.position
    _check_whole(mine, position, witnesses.target)
    warned += [
        Warned("checkpoint_older_than_seen", {"position": str(position), "seen": each})
        for each in sorted(seen)
        if _is_behind(position, each)
    ]
    return warned


def _check_new(
    mine: Witness, witnesses: Witnesses, names: Mapping[str, Ends] | None, overlaps: Callable[[str], bool]
) -> None:
    own = [*witnesses.target, *witnesses.files]
    every = [*own, *witnesses.source]
    for each in every:
        same_servers = _servers(each) == _servers(mine)
        if each.link == mine.link and (same_servers or (each in own and _sites(each) == _sites(mine))):
            raise CheckpointLost(
                f"the link has run before, {_reached(each)}, and its checkpoint is gone from the target",
                hint=f"see what the target holds, then say where to go on with `cdcd position set --link {mine.link}"
                f" POSITION`, or begin anew, best with a new copy, after `cdcd link forget --link {mine.link}`",
            ).at(source_server=each.source_server, target_server=each.target_server)
        if names is not None and each.link not in names and same_servers and overlaps(each.rules):
            raise CheckpointLost(
                f"the link {each.link}, which is no longer in the file, has carried some of the same tables between the"
                f" same servers, {_reached(each)}",
                hint=f"go on where it is with `cdcd link rename --link {each.link} {mine.link}`, or begin anew after"
                f" `cdcd link forget --link {each.link}`",
            )
    _check_turned(mine, every, names or {}, overlaps)
    for each in own:
        if each.link == mine.link and set(_servers(each)) & set(_servers(mine)):
            raise _foreign(mine, each)


def _check_turned(
    mine: Witness, every: Sequence[Witness], names: Mapping[str, Ends], overlaps: Callable[[str], bool]
) -> None:
    """See that the file has not exchanged the names of links, or the ends of one."""
    for each in every:
        turned = each.link == mine.link and _servers(each) == _servers(mine)[::-1]
        ends = names.get(each.link, (each.source, each.target))
        exchanged = _servers(each) == _servers(mine) and ends != (each.source, each.target) and overlaps(each.rules)
        if turned or exchanged:
            raise _foreign(mine, each)


def _foreign(mine: Witness, other: Witness) -> CheckpointForeign:
    return CheckpointForeign(
        f"the link {mine.link} has no checkpoint, and {other.link} has run from {other.source} to {other.target},"
        f" {_reached(other)}, which is not what the file now says of that name",
        hint="put the names and sites of the links back as they were, or give this link a name of its own; or, where"
        f" its data are known, `cdcd position set --link {mine.link} POSITION`",
    ).at(source_server=other.source_server, target_server=other.target_server)


def _check_own(mine: Witness, held: Held, on_target: Sequence[Witness], relays: bool) -> None:
    """See that the rows under the link's name are this link's."""
    named = [each for each in on_target if each.link == mine.link]
    other = ""
    if named and not any(_sites(each) == _sites(mine) for each in named):
        other = " and ".join(f"from {each.source} to {each.target}" for each in named)
    elif not named and not relays and held.origins != {mine.source}:
        other = f"from {', '.join(sorted(held.origins))}"
    if other:
        raise CheckpointForeign(
            f"the target's checkpoint of this name was written by a link {other}, not from {mine.source} to"
            f" {mine.target}",
            hint="give this link a name of its own; or, if it takes the other's place,"
            f" `cdcd position set --link {mine.link} POSITION` where its data are known, or `cdcd link forget --link"
            f" {mine.link}` and a new copy",
        ).at(position=held.progress.position)


def _check_whole(mine: Witness, position: Position, on_target: Sequence[Witness]) -> None:
    """See that the rows are not older than what was noted beside them: a restored target has both of one time."""
    for each in on_target:
        if (_sites(each), _servers(each)) == (_sites(mine), _servers(mine)) and _is_behind(position, each.position):
            raise CheckpointLost(
                f"the link's rows in cdcd.checkpoint say {position or 'the beginning of the log'}, and cdcd.link beside"
                f" them that it was at {each.position}: the latest of its rows are gone or were changed",
                hint=f"see what the target holds, then say where to go on with `cdcd position set --link {mine.link}"
                " POSITION`",
            ).at(source_server=each.source_server, target_server=each.target_server)


def _reached(witness: Witness) -> str:
    """Say how far a link has come: a witness is as old as the last moment at which it was noted."""
    return f"at least to {witness.position}" if witness.position else "from the beginning of the log on"


def _servers(witness: Witness) -> tuple[str, str]:
    return witness.source_server, witness.target_server


def _sites(witness: Witness) -> tuple[str, str, str]:
    return witness.link, witness.source, witness.target


def _is_behind(position: Position, seen: str) -> bool:
    try:
        return any(not position.includes(gtid) for gtid in Position.parse(seen))
    except ValueError as error:
        raise CheckpointLost(
            f"what is remembered of the link, in cdcd.link or the state folder, is damaged: {error}",
            hint="see what the target holds, and say where to go on with `cdcd position set --link NAME POSITION`,"
            " which writes it anew",
        ) from error
