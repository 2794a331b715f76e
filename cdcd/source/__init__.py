"""The log of one server: the stream of its transactions, and its tables as of a position.

``contract`` says what any source must offer, and what a catalog of its tables; a second kind of source is another
module beside ``stream``.

``stream`` keeps a replication connection: it resumes at the end of the last whole transaction after any
loss, finds a dead peer by missing heartbeats, and hands on one list of transactions for each chunk read.
``catalog`` says what tables are, now and as of a transaction: ``schema`` what a table's columns were when an event was
written, proven or refused, and ``log_ahead`` whether it was altered since. ``start`` finds where a new link begins, and
``probe`` tries whether the source leads on from a place before a link relies on it.
``continuity`` asks a server, before it is read from, whether its log still leads to the position; while nothing comes,
it is asked again, since a source that is reset under its readers does not tell them. ``second_reading`` reads a
stretch of a log once more, beside the link, and ``passage`` one transaction of it.

A transaction cut off by a lost connection is never handed on; if parts of it were, the chunk that follows
says ``abandoned`` and the target rolls them back.
"""
