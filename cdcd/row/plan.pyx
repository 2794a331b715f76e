# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What one link does with one table, in three parts, and the registry of a link's plans.

Whoever reads rows needs the ``Layout`` alone; what it is called on the target, which rows and which operations pass,
is its ``Route``; which of the target's columns and keys that means is its ``TargetPlan``. ``cdcd.route`` decides them.
"""

cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memset

from cdcd.row.layout cimport Layout
from cdcd.row.transaction cimport TableMap, Transaction

PLANS_MAX = 10_000


@cython.final
cdef class Route:
    """What a link carries of one table, and under which name; ``target`` is None for a table that it leaves out.

    ``operations`` are numbers: 0 insert, 1 update, 2 delete. ``row_filter`` is a function of a row's values.
    """

    def __cinit__(self, tuple source, tuple target, *, operations=(), row_filter=None):
        self.source = source
        self.target = target
        self.row_filter = row_filter
        self.operations = sum(1 << operation for operation in operations)


@cython.final
cdef class TargetPlan:
    """The target's table as rows of one layout meet it: its columns, its unique keys, how changes may go there.

    ``columns`` holds for each column of the layout the target's, or None where it is not written. ``keys`` holds the
    target's unique keys as :class:`UniqueKey`, the row key first when there is a ``row_index``. It names no dialect:
    what a writer makes of it, it keeps in ``writing``.
    """

    def __cinit__(self, table, *, columns, list keys, row_index, bint ordered, uint64_t group, bint identical=False,
                  bint takes_images=False, bint splits_updates=True, defaults=(), bytes definition=None):
        self.table = table
        self.name = table.name
        self.columns = tuple(columns)
        self.keys = keys
        self.row_index = row_index
        self.row_key = keys[0] if row_index is not None else None
        self.has_alternatives = len(keys) > (1 if row_index is not None else 0)
        self.is_ordered = ordered
        self.is_identical = identical
        self.takes_images = takes_images
        self.splits_updates = splits_updates
        self.defaults = tuple(defaults)
        self.definition = definition
        self.group = group
        self.writing = None

    @property
    def is_keyed(self):
        """Whether a key finds its rows."""
        return self.row_key is not None


@cython.final
cdef class Plan:
    """The three parts together; of a table that the link leaves out there is the route alone."""

    def __cinit__(self, Route route not None, Layout layout=None, TargetPlan target=None):
        if not (route.target is None) == (layout is None) == (target is None):
            raise ValueError("a plan has all its parts, or the route of a table that is not carried")
        self.route = route
        self.layout = layout
        self.target = target
        self.is_carried = route.target is not None
        self.is_unaltered = False


@cython.final
cdef class Plans:
    """A link's plans, by table as an event describes it.

    A reader makes a TableMap anew after each schema change, so what is known of one is of one version of the schema;
    ``advance`` begins the next, and forgets what was known.
    """

    def __cinit__(self):
        self._plans = {}
        self.version = 0

    def __len__(self):
        return len(self._plans)

    cpdef Plan find(self, TableMap table):
        """Return the plan of a table, or None where none was made yet."""
        # Objects lie apart by more than their header.
        cdef size_t at = (<size_t><void*>table >> 6) & (RECENT - 1)
        if self._tables[at] == <void*>table:
            return <Plan>self._recent[at]
        found = self._plans.get(table)
        if found is None:
            return None
        self._tables[at] = <void*>table
        self._recent[at] = <void*>found
        return found

    def keep(self, TableMap table not None, Plan plan not None):
        """Note the plan of a table, until the schema changes."""
        self._plans[table] = plan
        memset(self._tables, 0, sizeof(self._tables))

    def make_room(self, Transaction transaction not None):
        """Forget the plans of all tables but a transaction's, where there are many; it may have more than fit."""
        if len(self._plans) >= PLANS_MAX:
            self._plans = {table: plan for table in transaction.tables if (plan := self._plans.get(table)) is not None}
            memset(self._tables, 0, sizeof(self._tables))

    def advance(self):
        """Forget every plan: the schema has changed."""
        self.version += 1
        self._plans.clear()
        memset(self._tables, 0, sizeof(self._tables))

    cpdef bint carries(self, Transaction transaction) except -1:
        """Whether the link carries any of a transaction's tables, or may: one without a plan counts."""
        cdef Plan plan
        for table in transaction.tables:
            plan = self.find(table)
            if plan is None or plan.is_carried:
                return True
        return False
