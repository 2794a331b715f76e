"""The marker row: at once the loop guard of the reverse link and the durable position of this one.

Each writer owns one row of ``cdcd.checkpoint``, so writers never wait for each other, and updates it first in
every target transaction. Batches are numbered and applied one after the other. A batch that one writer
applies whole moves ``position`` past it; a batch that several share leaves ``position`` before it and lists
what each slot applied. So after any crash the rows with the highest batch number say exactly what is
applied: everything up to their position, and the union of their lists.

A run begins by claiming the link: it locks all its rows, which waits for any transaction that an earlier
run left open, and takes the next epoch, after which an earlier run's markers are refused. A commit
whose answer was lost is thereby decided before anything is read: what the rows say then is what happened. That
includes the claim's own commit: the epoch that it took is known by the writers' connections that stand beside it.

Each row says not only which position, but where in which server's log that is (``model.position.Coordinates``), so
that a source which was reset, restored or replaced is noticed (``source.continuity``). And a checkpoint that is gone
is no new beginning: three places remember that a link has run (``witness``), and ``decision`` is the table of what
follows.
"""
