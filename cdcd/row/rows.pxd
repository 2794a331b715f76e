from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cdcd.row.key cimport UniqueKey
from cdcd.row.values cimport Out


cdef enum:              # as in model.change
    INSERT = 0
    UPDATE = 1
    DELETE = 2

cdef enum:
    ABSENT = 0xFFFFFFFF     # an offset: the image does not carry the column
    NULL_VALUE = 0          # an offset: the column is NULL


cdef struct Image:
    const uint8_t* start    # the null bitmap; values follow. NULL when the change has no such image
    const uint8_t* present  # the event's bitmap of the columns that its images carry


cdef inline const uint8_t* end_of(Image image) noexcept:
    """Return a bound for an image that was walked before."""
    return image.start + (<size_t>1 << 31)


cdef struct Change:
    Image before
    Image after


cdef class Plan:
    cdef readonly object source             # (database, table)
    cdef readonly object target             # (database, table)
    cdef readonly object description        # cell.Description
    cdef readonly object target_table       # model.table.Table
    cdef readonly tuple names               # column names on the source
    cdef readonly bint is_ordered           # applied in source order, not as net changes
    cdef readonly bint is_keyed
    cdef readonly bint has_alternatives     # unique keys besides the row key
    cdef readonly bint stays_together       # its transactions are never split over writers
    cdef readonly bint is_identical         # both sides define the carried columns alike
    cdef readonly bint splits_updates       # an update of a key may go as a delete and an insert
    cdef readonly tuple defaults            # of each column, alike on both sides: "stated", "implicit"; else None
    cdef public bint is_unaltered           # proven: since rows that leave columns out, the source's table is the same
    cdef readonly bytes row_event_map       # a TABLE_MAP body for row events of the target, or None
    cdef readonly bytes definition          # the target table's, as its server wrote it when the plan was made
    cdef public long long opens             # tables that the target had opened when that was last seen to be so; or -1
    cdef readonly bytes table_sql
    cdef readonly bytes row_key_sql         # the quoted name of the row key's index
    cdef readonly list name_sql             # quoted target column names
    cdef readonly list introducers          # b"_latin1" and the like, b"" for binary
    cdef readonly list charsets             # of each column's text, "" of what is none
    cdef readonly list keys                 # every UniqueKey, the row key first
    cdef readonly object row_filter
    cdef uint64_t group                     # tables with the same group number are kept together; 0: none
    cdef int operations                     # bits 1 << INSERT, UPDATE, DELETE
    cdef int count
    cdef int present_bytes
    cdef uint8_t* every_column              # the bitmap of an image that carries them all
    cdef uint32_t* sizes
    cdef uint8_t* prefixes
    cdef uint8_t* renderings
    cdef uint8_t* flags
    cdef uint16_t* details
    cdef uint32_t* offsets_before
    cdef uint32_t* offsets_after
    cdef UniqueKey row_key
    cdef const uint8_t* locate(self, Image image, const uint8_t* end, uint32_t* offsets) except NULL
    cdef bint is_full(self, const uint8_t* present) noexcept
    cdef bint writes(self, int column) noexcept
    cdef bint is_row_key(self, int column) noexcept
    cdef uint64_t hash_key(self, UniqueKey key, const uint8_t* start, uint32_t* offsets, bint* unproven) except? 0
    cdef bint same_key(self, UniqueKey key, const uint8_t* a, uint32_t* a_offsets, const uint8_t* b,
                       uint32_t* b_offsets) except -1
    cdef int render_stored(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1
    cdef int render(self, Out out, int column, const uint8_t* start, uint32_t offset) except -1
    cdef object value(self, int column, const uint8_t* start, uint32_t offset)
    cdef tuple values(self, Image image, const uint8_t* end)
    cdef size_t value_at(self, int column, const uint8_t* start, uint32_t offset, const uint8_t** data) noexcept


cdef class RowSet:
    cdef readonly Plan plan
    cdef readonly uint8_t kind
    cdef readonly bint is_net
    cdef readonly bint foreign_keys_off     # the source's session had foreign_key_checks = 0
    cdef readonly size_t count
    cdef size_t capacity
    cdef const uint8_t** starts             # of each change's image before, and after
    cdef const uint8_t** bitmaps            # of the columns that these carry; NULL while that is all of them
    cdef int add(self, Image before, Image after) except -1
    cdef Change change(self, size_t at) noexcept
    cdef int _grow(self) except -1
    cdef int _keep_bitmaps(self) except -1
