"""What rows are made of: bytes as the log has them, and how to walk them. Compiled; no I/O, no engine's client.

cell         how each cell of an image is stored; ``column_type`` says which values that means; ``compression`` undoes
             what a server packs
rows         walks row images and finds a column's bytes; a set of changes to one table
key          hashes keys as the target compares them
transaction  one source commit with its rows, and the tables that they are of
values       writes values as SQL; ``charset`` reads those of text

Invariants: a row is no Python object until something needs its values; every length was checked before it is
trusted; a charset that is not known is refused, never guessed.
"""
