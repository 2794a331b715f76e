"""Compare the two sides of a link while replication goes on.

expression  SQL text: a row's hash, a key's literals, a key range
side        one side of a table: checksum of a range, rows of a range, rows by key
keyed       a table with a row key, walked in chunks; what differs becomes a suspect
multiset    a table without a row key, compared as a whole
report      what was found, as text
link        all tables of a link, and the rounds in which suspects are looked at again

How it stays truthful under lag: nothing is locked and no position is waited for, so a first look may see a
row that is still on its way. Whatever differs is looked at again, after growing waits, until both sides agree
or ``settle_seconds`` have passed since the last table was walked. A row that both sides keep changing, the
one following the other, is in flight; everything else that still differs is a difference.

Invariants:
- The servers compute the hashes. Values are hashed as what they mean: text as UTF-8 whatever its charset,
  reals with all their digits, times in UTC. NULL, '' and a column boundary can't be taken for each other.
- The source's keys divide the key space into adjoining ranges without end, so a row that only the target has
  falls into one of them too.
- Where the two sides order keys differently, no range is compared: each side's rows are looked up by key on
  the other.
- A table that can't be compared is a difference, never silence.
- Memory is bounded: rows of one chunk from each side, and at most ``suspects_max`` suspects a table.
"""

from cdcd.verify.link import Limits as Limits
from cdcd.verify.link import verify as verify
from cdcd.verify.report import Report as Report
