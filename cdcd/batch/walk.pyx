# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Walk the rows of transactions, as the link carries them: one event's, or a partition's in source order."""

from cdcd.row.layout cimport DELETE, INSERT, UPDATE, Image, Layout
from cdcd.row.plan cimport Plan
from cdcd.row.row_set cimport RowSet
from cdcd.row.transaction cimport RowsRef, Transaction

from cdcd.errors import MalformedEvent, SchemaMismatch, UnsupportedEvent


cdef enum:
    FOREIGN_KEYS_OFF = 2    # NO_FOREIGN_KEY_CHECKS_F of a rows event (sql/log_event.h)


cdef bint any_column(const uint8_t* present, int length) noexcept:
    cdef int i
    for i in range(length):
        if present[i]:
            return True
    return False


cdef class Rows:
    """Walks the rows of one event, with the link's operations and row filter applied."""

    cdef int open(self, Plan plan, Transaction transaction, RowsRef* ref) except -1:
        cdef Layout layout = plan.layout
        self.layout = layout
        self.route = plan.route
        self.transaction = transaction
        self.at = transaction.data + ref.offset
        self.end = self.at + ref.length
        self.event_kind = ref.kind
        cdef int count = self._column_count()
        cdef int bitmaps = 2 if ref.kind == UPDATE else 1
        if count != layout.count or self.end - self.at < bitmaps * layout.present_bytes:
            raise MalformedEvent(f"a rows event of {count} columns for a table of {layout.count}").at(
                table=".".join(layout.source), transaction=transaction.gtid)
        self.present_before = self.present_after = self.at
        self.at += layout.present_bytes
        if ref.kind == UPDATE:
            self.present_after = self.at
            self.at += layout.present_bytes
        if not any_column(self.present_before, layout.present_bytes) or not any_column(
                self.present_after, layout.present_bytes):
            raise UnsupportedEvent(
                "a row without any column", hint="set binlog_row_image=FULL for every session of the source",
            ).at(table=".".join(layout.source), transaction=transaction.gtid)
        self.is_full = layout.is_full(self.present_before) and layout.is_full(self.present_after)
        if self.is_full:
            self.present_before = self.present_after = layout.every_column
        return 0

    cdef int _column_count(self) except -1:
        """Read the packed column count: MariaDB allows 4,096 columns, so at most three bytes."""
        if self.end - self.at < 1 or (self.at[0] == 252 and self.end - self.at < 3):
            raise MalformedEvent("a rows event that is too short")
        cdef int count = self.at[0]
        self.at += 1
        if count == 252:
            count = self.at[0] | self.at[1] << 8
            self.at += 2
        elif count > 250:
            raise MalformedEvent("a rows event with an impossible number of columns")
        return count

    cdef bint next(self) except -1:
        """Step to the next change that the link carries; return False at the event's end."""
        while self.at < self.end:
            self.before = self.after = Image(NULL, NULL)
            self.kind = self.event_kind
            if self.event_kind != INSERT:
                self.before = Image(self.at, self.present_before)
                self.at = self.layout.locate(self.before, self.end, self.layout.offsets_before)
            if self.event_kind != DELETE:
                self.after = Image(self.at, self.present_after)
                self.at = self.layout.locate(self.after, self.end, self.layout.offsets_after)
            if self.route.row_filter is not None and not self._filter():
                continue
            if self.route.operations >> self.kind & 1:
                return True
        return False

    cdef bint _filter(self) except -1:
        """Apply the row filter: a change that crosses it becomes an insert or a delete."""
        cdef bint was = self.before.start != NULL and self._passes(self.before)
        cdef bint becomes = self.after.start != NULL and self._passes(self.after)
        if was and self.kind == UPDATE and not becomes:
            self.kind = DELETE
        elif becomes and self.kind == UPDATE and not was:
            self.kind = INSERT
        return was or becomes

    cdef bint _passes(self, Image image) except -1:
        try:
            if not self.layout.is_full(image.present):
                raise SchemaMismatch("a row filter needs whole rows", hint="set binlog_row_image=FULL on the source")
            return self.route.row_filter(self.layout.values(image, self.end))
        except SchemaMismatch as error:
            raise error.at(table=".".join(self.layout.source), transaction=self.transaction.gtid)


cdef class OrderedRows:
    """Collects changes in source order; neighbours of one table and kind form one RowSet."""

    def __cinit__(self, dict plans not None):
        self.steps = []
        self.plans = plans
        self.rows = Rows()
        self.last = None

    cdef int add(self, Transaction transaction) except -1:
        cdef int i
        cdef Plan plan
        cdef bint off
        for i in range(transaction.ref_count):
            plan = self.plans.get(transaction.tables[transaction.refs[i].table])
            off = transaction.refs[i].flags & FOREIGN_KEYS_OFF != 0
            if plan is None:
                continue
            self.rows.open(plan, transaction, &transaction.refs[i])
            while self.rows.next():
                if (self.last is None or self.last.plan is not plan or self.last.kind != self.rows.kind
                        or self.last.foreign_keys_off != off):
                    self.last = RowSet(plan, self.rows.kind, False, off)
                    self.steps.append(self.last)
                self.last.add(self.rows.before, self.rows.after)
        return 0
