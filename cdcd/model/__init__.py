"""The nouns that stages speak: where to resume, what a table is. Imports nothing, does no I/O.

A row is not among them on purpose: rows stay bytes (``cdcd.row``) from the socket to the SQL text.
"""
