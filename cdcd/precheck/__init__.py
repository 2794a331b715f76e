"""What must be right before any data moves, asked of the real servers, all at once.

``server`` reads what a server says of itself, once. ``site`` judges one server in the roles that the links
give it, ``pair`` two servers against each other, ``grants`` the accounts, ``tables`` the tables of a link,
``filters`` what the file says of them. A table that a pair carries both ways is judged once, by ``both_ways``: what
one direction advised, the other would take back otherwise; ``merged`` says what two columns become, ``definition``
how a column is written in a statement.
The judges hold no I/O: facts in, problems out. A problem that can be fixed carries the statement (or the
line of a file) that fixes it.

An *error* would stop a link or lose something; a *warning* is slow, or safe only under a condition that
cdcd can't see. The resume position is not judged here: it may be purged a second later, so the link does, and
`cdcd check` by the same code (``runtime.resume``).
"""

from cdcd.precheck.check import precheck
from cdcd.precheck.problem import Problem

__all__ = ["Problem", "precheck"]
