"""Decide what travels: which transactions, which tables and rows, under which names.

Everything here is a pure function of what the source logged and of the configuration. There is no I/O, no
clock and no chance, so what a link carries can be tested without a server and is the same at every run.

rules       which tables a link carries, and what each is called on the target
plan        what a link does with one table, as a ``cdcd.row.plan.Plan``: ``conversion`` judges its columns' types,
            ``keys`` its keys
announced   which statements of the log cdcd itself has run
where       row filters: ``binding`` ties one to the columns of a table, as ``logged`` says that they were, by way of
            ``operand``; ``collation`` and ``numbers`` hold what the server says about two values

Invariants:
- The answer is the server's answer, or a refusal. A filter or a statement that this code does not understand
  completely stops the link; it is never guessed.
- What depends only on the configuration or on a table is decided once, not once a row.
- The servers' own databases, and cdcd's, are never carried, whatever the rules say.
"""
