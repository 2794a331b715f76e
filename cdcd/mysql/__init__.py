"""The only folder that knows a client library.

``session`` is one SQL connection of our own (asyncmy) with a deadline on its making and every driver error
turned into ours. ``stream`` is the replication connection: asyncmy's handshake, then raw chunks from the
same socket. ``reader`` is the checker's connection (aiomysql), so that the judge does not share the
writer's client. ``password`` says which of a server's questions for it may be answered.
``flavor`` holds what differs between kinds of servers, as data, and a session learns at connect which one is its own;
``codes`` names the errors that all of them share by what they mean.

A session is never pooled: session variables decide how values are read, and a pool would hand one user's
settings to the next.
"""
