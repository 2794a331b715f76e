"""The only folder that knows a client library.

``session`` is one SQL connection of our own (asyncmy) with a deadline on its making and every driver error
turned into ours. ``stream`` is the replication connection: asyncmy's handshake, then raw chunks from the
same socket. ``reader`` is the checker's connection (aiomysql), so that the judge does not share the
writer's client. ``password`` says which of a server's questions for it may be answered.
``flavor`` holds what differs between servers, as data, and the settings with which every session begins; ``codes``
names their errors by what they mean.

A session is never pooled: session variables decide how values are read, and a pool would hand one user's
settings to the next.
"""
