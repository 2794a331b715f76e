"""Where everything meets: the pipeline of a link, its life, and the daemon around all links.

``pipeline`` is one run of a link. There is no queue of its own between reading and applying: the batch that grows is
the queue (``backlog``), bounded in transactions and bytes, so that nothing is held twice and a transaction that comes
when all is quiet makes one hop from the socket to the writer. ``link`` connects it, claims the checkpoint, and is the
one place that decides between retry and stop, by the error's own policy. Recovery is a restart: whatever was lost,
the next run takes the link over from its checkpoint, the same way after a crash and after a hiccup. ``resume`` says
where that is, and keeps what remembers it. ``schema_changes`` decides about statements, ``foreign`` about those that a
link does not carry, and ``crossing`` finds rows that crossed one on their way.
``watch`` finds out about answers that never come. ``daemon`` has the signals, the listener and systemd's protocol.
"""
