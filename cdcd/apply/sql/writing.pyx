# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How one table is written in SQL: its names, quoted, and each value with what makes it compare as the column does.

Made of a plan when the first row of it is written, and kept on its target's part.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free

from cdcd.row.layout cimport (
    ABSENT, AS_BINARY, AS_COMPRESSED, AS_ENUM, AS_INT, AS_TEXT, AS_TEXT_CELL, AS_UUID, F_PADDED, F_UNSIGNED, NULL_VALUE,
    Layout,
)
from cdcd.row.plan cimport Plan
from cdcd.row.values cimport Out, little_endian, render_binary, render_int, render_text

from cdcd.errors import SchemaMismatch
from cdcd.row import cell, compression
from cdcd.sql import quote

cdef enum:
    WRITTEN = 1
    ROW_KEY = 2
    SINGLE = 4      # a FLOAT on both sides
    CAST = 8        # bytes that the target writes as text, as it prints their type
    RENEWED = 16    # the target fills it at each update that does not assign it


@cython.final
cdef class Writing:
    """A target's table as SQL names and writes it, for rows of one layout."""

    def __cinit__(self, Plan plan not None):
        self.layout = plan.layout
        self.target = plan.target
        self.opens = -1
        self.table_sql = b".".join([_quoted(part) for part in plan.target.name])
        self.row_key_sql = _quoted(plan.target.row_index.name) if plan.target.row_index is not None else b""
        self.row_event_map = _row_event_map(plan) if plan.target.takes_images else None
        self.flags = <uint8_t*>calloc(max(1, self.layout.count), 1)
        if self.flags == NULL:
            raise MemoryError("no memory for a table")
        self.name_sql = []
        self.introducers = []
        for i, column in enumerate(plan.target.columns):
            self.name_sql.append(None if column is None else _quoted(column.name))
            self.introducers.append(b"" if column is None else self._column(i, column))
        if plan.target.row_key is not None:
            for i in plan.target.row_key.columns:
                self.flags[i] |= ROW_KEY

    def __dealloc__(self):
        free(self.flags)

    def _column(self, int i, there):
        """Note how a column is written; return what goes before its values."""
        self.flags[i] = WRITTEN
        if "on update" in there.extra.lower():
            self.flags[i] |= RENEWED
        kind = self.layout.description.columns[i].type
        if kind == cell.FLOAT and there.data_type == "float":
            self.flags[i] |= SINGLE
        if kind not in cell.CHARACTER and kind != cell.TEXT_CELL:
            return b""
        declared = self.layout.declared[i]
        if declared in cell.PRINTED and there.charset:
            self.flags[i] |= CAST
            return declared.encode()
        if self.layout.storages[i] in (AS_BINARY, AS_UUID) or self.layout.charsets[i] == "binary":
            return b""
        return b"_" + self.layout.charsets[i].encode()

    cdef bint writes(self, int column) noexcept:
        return self.flags[column] & WRITTEN

    cdef bint is_row_key(self, int column) noexcept:
        return self.flags[column] & ROW_KEY

    cdef bint is_renewed(self, int column) noexcept:
        return self.flags[column] & RENEWED

    cdef int render(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1:
        """Write one value as SQL, text with its charset, so that it compares in the column's own collation."""
        cdef Layout layout = self.layout
        if offset == NULL_VALUE:
            return out.put(b"NULL", 4)
        if offset == ABSENT:
            raise SchemaMismatch(
                f"the row image lacks column {layout.names[column]}",
                hint="set binlog_row_image=FULL on the source").at(table=".".join(layout.source))
        cdef const uint8_t* p
        cdef size_t length = layout.value_at(column, start, offset, &p)
        cdef uint8_t kind = layout.storages[column]
        if kind == AS_INT:
            return render_int(out, p, length, layout.flags[column] & F_UNSIGNED)
        if kind == AS_TEXT or kind == AS_TEXT_CELL:
            out.put_bytes(<bytes>self.introducers[column])
            return render_text(out, p, length)
        if kind == AS_BINARY or kind == AS_UUID:
            return self._render_bytes(out, column, p, length)
        if kind == AS_COMPRESSED:
            plain = compression.value(p[:length])
            out.put_bytes(<bytes>self.introducers[column])
            return render_text(out, <const uint8_t*><const char*>plain, len(plain))
        if kind == AS_ENUM:
            # A value that was no member: number 0, which a strict server accepts from nobody.
            out.needs_lenience |= little_endian(p, length) == 0
        return layout.put_plain(out, column, p, length)

    cdef int _render_bytes(self, Out out, int column, const uint8_t* p, size_t length) except -1:
        cdef size_t padded = self.layout.details[column] if self.layout.flags[column] & F_PADDED else 0
        if not self.flags[column] & CAST:
            return render_binary(out, <bytes>self.introducers[column], p, length, padded)
        out.put(b"CAST(", 5)
        render_binary(out, b"", p, length, padded)
        out.put(b" AS ", 4)
        out.put_bytes(<bytes>self.introducers[column])
        return out.put_char(41)

    cdef int render_stored(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1:
        """Write one value as SQL to be stored: servers store a zero's sign only of what rounds to it."""
        if (self.flags[column] & SINGLE and offset != NULL_VALUE and offset != ABSENT
                and little_endian(start + offset, 4) == 0x80000000):
            return out.put(b"-1e-46", 6)
        return self.render(out, column, start, offset)


cpdef Writing writing_of(Plan plan):
    """Return how a plan's table is written."""
    if plan.target.writing is None:
        plan.target.writing = Writing(plan)
    return plan.target.writing


def _quoted(str name):
    return quote.identifier(name).encode()


def _row_event_map(Plan plan):
    """Return the TABLE_MAP body under which the target takes the source's own row images."""
    database, table = (name.encode() for name in plan.target.name)
    names = bytes([len(database)]) + database + b"\0" + bytes([len(table)]) + table + b"\0"
    return bytes(8) + names + plan.layout.description.layout
