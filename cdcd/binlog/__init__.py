"""Bytes in, transactions out. Compiled, no sockets, no clock, no await.

``framing`` cuts chunks into packets, ``decoder`` reads their events, and ``assembler`` puts transactions together from
what these say; rows stay the bytes that the server sent, copied once. Another server's events are another decoder
between the same two. ``table_map`` reads the event that names a table's columns, ``query`` the one
that carries a statement: both are rare, so both are plain Python. What rows are made of is ``cdcd.row``'s.

Invariants: a transaction is handed on only when its end has been read; every length is checked before it is
trusted; an event that is not known stops the decoder (:class:`~cdcd.errors.UnsupportedEvent`), it is never
passed over; what one chunk unpacks to is handed on in pieces of bounded size. Layouts follow MariaDB's
``sql/log_event.h`` and the Knowledge Base's "Replication Protocol".
"""
