"""Which changes go to the target together: net changes, write sets, and how a batch splits.

``admission`` answers whether a transaction may join a batch, or why not; ``net`` is the batch, with a ``net_table`` for
each table; ``walk`` goes through rows as the link carries them.

While the writers are busy with one batch, transactions are added to the next as they arrive; when the
writers are idle, what there is goes at once. A batch is split by the connected components of its write
sets: transactions that share any key, as the target compares keys, stay together and in order; unrelated
ones may go to different writers. So every source transaction lies wholly inside one target transaction.

What a batch weighs is bounded (``row.transaction`` says how rows are weighed), and what merging adds to the rows takes
about as much memory again: for each image a reference of 16 bytes, a net row of 24 with 8 to 16 for finding it, and for
each unique key besides the row key 24 to 96 in the write set, against 128 that it counts for at least.

Within a partition, changes to the same row merge to their net effect. That is only done where it is proven to
end in the same state: tables with a row key, outside foreign keys, with full row images. All other tables are
``ordered``: their changes go out one by one in source order. Deletes come first; an update that changes any
unique key's value becomes a delete and an insert, so no value is ever taken before it is free.
"""
