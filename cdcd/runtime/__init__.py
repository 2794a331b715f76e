"""Where everything meets: the pipeline of a link, its life, and the daemon around all links.

pipeline     one run of a link, between a source and a target that are known by their contracts alone
collector    reads, and brings each transaction to where it belongs: the batch, the target alone, or nowhere
backlog      the batch that grows, and what is committed; ``parts`` is what is too large for it
heartbeat    what a link does while nothing comes; ``position_writes`` says when that writes
tables       makes the plan of each table that the log names
schema_changes  decides about statements, ``foreign`` about those that a link does not carry, ``temporary`` about
             tables of one session; ``crossing`` finds rows that crossed a statement on their way
link         connects and claims a run, and decides between retry and stop, by the error's own policy; ``lifecycle``
             is its states as a table, ``resume`` where a run goes on and what remembers that, ``content`` a
             transaction in words
figures      what the stages have done, for whoever looks
daemon       signals, the listener, all links of a file; ``notify`` is systemd's protocol

There is no queue of its own between reading and applying: the batch that grows is the queue, bounded in transactions
and bytes, so that nothing is held twice and a transaction that comes when all is quiet makes one hop from the socket to
the writer. Whether a transaction may join it is asked once (``batch.admission``), and the answer says what to do else.
Recovery is a restart: whatever was lost, the next run takes the link over from its checkpoint, the same way after a
crash and after a hiccup.

Which engine is at either end is chosen in ``link`` alone: another source or target is another class there. ``crossing``
and ``foreign`` still ask servers questions of their own in SQL: they are about statements, which only such servers log.
"""
