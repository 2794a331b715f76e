"""Reads and writes SQL text, and knows no server.

tokens      the lexer that everything that reads SQL text shares, for each sql_mode that changes it
quote       identifiers and values as text
ddl         what a statement of the log changes, and its text with other names: ``statement`` is its grammar,
            ``cursor`` its place in the text, and ``effect`` what it does to rows that are there
source_text a statement of the log, in the charset and sql_mode of its session
expression  the grammar of a row filter

Invariant: a text that is not understood completely is refused or said to be unknown, never guessed.
"""
