"""Partitions of a batch to the target: statements, writers, conflicts, and the dispatcher that feeds them.

``contract`` says what any target must offer: a claim, writers, a catalog; and that a mark is data, which each kind of
target keeps in its own way. ``dispatcher`` knows no more than that. ``sql`` is the kind that speaks SQL; a broker is
another folder beside it, whose writers take a partition's transactions unmerged. What follows is told of ``sql``.

A writer applies one partition as one target transaction: the marker row first, then the rows, then COMMIT. The marker
of a first try is a row event where the target takes these (``marker_event``), and a statement otherwise (``marker``).
Three modes, the fastest first, where one that fails is rolled back before the next:

1. ``row_events``: net changes as row events, applied by the target's own applier. Only where its flavor takes them
   as statements, between tables with the same columns, by an account that may, and where that applier does as they say
   (``applier``); any mismatch (a row that is there
   already, one that is missing) is an error.
2. ``statement``: net changes as SQL of many rows, which overwrites and counts what contradicts it.
3. ``row_by_row``: one change at a time in source order, where each mismatch is seen and decided by the
   conflict policy; what no policy may decide stops the link.

Before COMMIT the tables must still be what the plans know, triggers included (``altered``). A target nearby is asked
for the sign of it after the rows. To one far away what is small goes in one round trip, marker, guard and COMMIT
included: a marker or a guard that is refused is an error, so what follows it in the packet is not run. A marker that is
refused as an event is sent as a statement, which tells why. What is large goes in several packets, each sent while the
server works on the one before (``exchange``); COMMIT follows once all of them are answered.

Nothing here guesses whether a COMMIT happened. A lost connection ends the run; the next run takes the
link's checkpoint over, which waits for or ends the old sessions, and reads what is so (``checkpoint``).
"""
