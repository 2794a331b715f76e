"""Shares of a batch to the target: statements, writers, conflicts, and the dispatcher that feeds them.

A writer applies one share as one target transaction: the marker row first, then the rows, then COMMIT.
Three ways, tried in this order: net changes in large statements; if the target contradicts them (a
duplicate key, a missing row), everything is rolled back and the same share is run carefully, one change at
a time in source order, where each contradiction is seen and decided by the conflict policy; what no policy
may decide stops the link.

Nothing here guesses whether a COMMIT happened. A lost connection ends the run; the next run takes the
link's checkpoint over, which waits for or ends the old sessions, and reads what is so (``checkpoint``).
"""
