"""What rows are made of: bytes as the log has them, and how to walk them. Compiled; no I/O, no engine's client.

cell         how each cell of an image is stored; ``column_type`` says which values that means; ``compression`` undoes
             what a server packs
layout       walks the row images of one table and finds a column's bytes; ``reading`` makes one of what events say and,
             where that is short, of the table as it is
plan         what a link does with one table: its layout, its route, its target's part; the registry of a link's plans
row_set      changes of one kind to one table, as references into their transactions' bytes
key          hashes keys as the target compares them
transaction  one source commit with its rows, and the tables that they are of
writer       the other way: whoever has values and no log makes rows of them, through ``encoding``
values       writes values as SQL; ``charset`` reads those of text

A plan is three things, so that each reader needs no more than is his. The layout follows from the description of the
table alone: a broker, a filter or a message reads rows with it. The route says what of the table travels, the
target's part which columns and keys that meets; ``cdcd.route`` decides both, and a writer keeps what it makes of a
plan (names and values as SQL) on the latter. A link's registry holds its plans by TableMap. That is the table as an
event describes it, in one version of the schema, since the decoder makes it anew after each change of that; so an
event holds nothing of any link, and two consumers may share its transactions. A batch keeps the plans that it has
used: the schema changes for what comes after it.

A writer's rows are byte for byte what a server logs of the same values, so nothing after it can tell them apart; only
a column whose type no log has is a text cell. Two forms of one table's rows are never in one batch: equal keys would
not meet.

Invariants: a row is no Python object until something needs its values; every length was checked before it is
trusted; a charset that is not known is refused, never guessed.
"""
