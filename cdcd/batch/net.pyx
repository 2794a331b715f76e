# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Merge transactions to net changes, and split them into partitions that can be applied in parallel."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp

from cdcd.batch.admission cimport FULL, JOINS, admit
from cdcd.batch.net_table cimport NetRow, NetTable, existed, transaction_of
from cdcd.batch.walk cimport Rows, OrderedRows
from cdcd.row.key cimport UniqueKey
from cdcd.row.layout cimport DELETE, INSERT, UPDATE, Image, Layout, end_of
from cdcd.row.plan cimport Plan, Plans, TargetPlan
from cdcd.row.row_set cimport RowSet
from cdcd.row.transaction cimport RowsRef, TableMap, Transaction, weight_of

from cdcd.batch.admission import Admission


cdef class Partition:
    """What one writer applies as one target transaction: whole source transactions, in source order.

    ``steps`` are RowSets in the order in which they must be applied.
    """

    cdef readonly list transactions
    cdef readonly list steps
    cdef readonly long long row_count
    cdef readonly size_t size
    cdef dict plans

    def __cinit__(self, dict plans):
        self.plans = plans
        self.transactions = []
        self.steps = []
        self.row_count = 0
        self.size = 0

    @property
    def gtids(self):
        """The transactions in it, by id."""
        return [transaction.gtid for transaction in self.transactions]

    def gtid_of(self, RowSet step, size_t at):
        """Return the transaction that a change came with; of merged changes of a row, the last one."""
        cdef Transaction transaction
        cdef const uint8_t* start = step.change(at).after.start
        if start == NULL:
            start = step.change(at).before.start
        for transaction in self.transactions:
            if transaction.data <= start < transaction.data + transaction.size:
                return transaction.gtid
        return None

    def ordered_steps(self):
        """Every change in source order, none merged: how the partition is applied when net changes will not do."""
        cdef OrderedRows ordered_rows = OrderedRows(self.plans)
        for transaction in self.transactions:
            ordered_rows.add(transaction)
        return ordered_rows.steps


cdef class Batch:
    """Transactions that will be applied together; grows while the writers are busy.

    ``registry`` has the link's plans. What the batch takes of it, it keeps: a schema that changes later is another's.
    ``size`` is what its transactions weigh (``row.transaction``), in bytes; what it makes of them takes as much again.
    """

    cdef readonly list transactions
    cdef readonly long long row_count
    cdef readonly size_t size
    cdef readonly bint is_split     # it takes no more
    cdef list split
    cdef int32_t* parents
    cdef size_t parent_capacity
    cdef uint64_t* hashes
    cdef int32_t* owners
    cdef size_t hash_count, hash_slots
    cdef Plans registry
    cdef dict plans             # TableMap -> Plan, of the tables in it that the link carries
    cdef dict tables            # TableMap -> NetTable, of the same
    cdef TableMap last_table    # neighbours are mostly of one table
    cdef NetTable last_net
    cdef Rows rows

    def __cinit__(self, Plans registry not None):
        self.registry = registry
        self.plans = {}
        self.transactions = []
        self.row_count = 0
        self.size = 0
        self.parent_capacity = 1024
        self.parents = <int32_t*>malloc(self.parent_capacity * sizeof(int32_t))
        self.hash_slots = 1024
        self.hash_count = 0
        self.hashes = <uint64_t*>calloc(self.hash_slots, sizeof(uint64_t))
        self.owners = <int32_t*>malloc(self.hash_slots * sizeof(int32_t))
        self.tables = {}
        self.rows = Rows()
        if self.parents == NULL or self.hashes == NULL or self.owners == NULL:
            raise MemoryError("no memory for a batch")

    def __dealloc__(self):
        free(self.parents)
        free(self.hashes)
        free(self.owners)

    def __len__(self):
        return len(self.transactions)

    def extend(self, list transactions, Py_ssize_t at, *, origin, applied, Py_ssize_t transactions_max,
               size_t bytes_max):
        """Merge transactions in from ``at`` on, as many as may join; return where it stopped, and why.

        ``origin`` is the batch's, ``applied`` what the target has after the position. A batch that has nothing takes
        a transaction of any weight.
        """
        cdef Transaction transaction
        cdef Py_ssize_t count = len(transactions), held = len(self.transactions)
        cdef int answer
        while at < count:
            transaction = transactions[at]
            answer = admit(transaction, self.registry, origin, applied)
            if answer == JOINS and held and (
                    self.is_split or held >= transactions_max or self.size > bytes_max
                    or transaction.weighs(bytes_max - self.size + 1)):
                answer = FULL
            if answer != JOINS:
                return at, Admission(answer)
            self.add(transaction)
            held += 1
            at += 1
        return at, Admission.JOINS

    cpdef add(self, Transaction transaction):
        """Merge one transaction in. Every table in it must have its plan by now."""
        cdef int32_t index = len(self.transactions)
        cdef int i
        cdef size_t images
        cdef TableMap table
        cdef NetTable net
        cdef void* grown
        if self.is_split:
            raise RuntimeError("a batch that is split takes no more")
        if <size_t>index == self.parent_capacity:
            grown = realloc(self.parents, 2 * self.parent_capacity * sizeof(int32_t))
            if grown == NULL:
                raise MemoryError("no memory for a batch")
            self.parents = <int32_t*>grown
            self.parent_capacity *= 2
        self.parents[index] = index
        self.transactions.append(transaction)
        for i in range(transaction.ref_count):
            table = <TableMap>transaction.tables[transaction.refs[i].table]
            if table is not self.last_table:
                net = self.tables.get(table)
                self.last_net = self._open_table(table) if net is None else net
                self.last_table = table
            images = 0
            if self.last_net is not None:
                images = self._merge(self.last_net, transaction, index, &transaction.refs[i])
            self.size += weight_of(transaction.refs, i, images)

    cdef NetTable _open_table(self, TableMap table):
        """Begin a table; two plans for one target table (its id in the log changed) cannot merge rows."""
        cdef Plan plan = self.registry.find(table)
        cdef NetTable net, other
        if plan is None:
            raise RuntimeError(f"table {'.'.join(table.description.name)} has no plan")
        if not plan.is_carried:
            return None
        net = NetTable(plan)
        for other in self.tables.values():
            if other.target.name == plan.target.name:
                if other.layout.has_text_cells != net.layout.has_text_cells:
                    raise RuntimeError(f"rows of {'.'.join(plan.route.source)} in two forms, which cannot be compared")
                other.break_up()
                net.break_up()
        self.tables[table] = net
        self.plans[table] = plan
        return net

    cdef size_t _merge(self, NetTable net, Transaction transaction, int32_t index, RowsRef* ref) except? 0:
        """Merge an event's rows in; return how many images they are."""
        cdef Rows rows = self.rows
        cdef long long before = self.row_count
        cdef Layout layout = net.layout
        cdef TargetPlan target = net.target
        rows.open(net.plan, transaction, ref)
        if not rows.is_full:
            net.break_up()
        if target.group:
            self._touch(target.group, index)
        while rows.next():
            self.row_count += 1
            if rows.kind != INSERT:
                self._touch_keys(net, rows.before, layout.offsets_before, index)
            if rows.kind != DELETE:
                self._touch_keys(net, rows.after, layout.offsets_after, index)
            if not target.is_ordered and not net.broken:
                self._net(net, rows, index)
        return (self.row_count - before) * (2 if ref.kind == UPDATE else 1)

    cdef int _touch_keys(self, NetTable net, Image image, uint32_t* offsets, int32_t index) except -1:
        """Put a row's unique keys into the write set; the row key of a net table meets in its net row instead."""
        cdef TargetPlan target = net.target
        cdef UniqueKey key
        cdef uint64_t hash
        cdef Py_ssize_t i
        cdef bint has_row_key = target.row_key is not None
        cdef Py_ssize_t first = 1 if has_row_key and not target.is_ordered and target.row_key.is_exact else 0
        for i in range(first, len(target.keys)):
            key = <UniqueKey>target.keys[i]
            hash = net.layout.hash_key(key, image.start, offsets, &net.unproven)
            if hash:
                self._touch(hash, index)
        return 0

    cdef int _net(self, NetTable net, Rows rows, int32_t index) except -1:
        cdef Layout layout = net.layout
        cdef NetRow* row
        cdef bint same = True
        if rows.kind == UPDATE:
            same = layout.same_key(net.target.row_key, rows.before.start, layout.offsets_before, rows.after.start,
                                   layout.offsets_after)
        if not same and not net.target.splits_updates:
            net.break_up()
            return 0
        if rows.kind != INSERT:
            row = self._net_row(net, rows.before, layout.offsets_before, index, True)
            row.after = rows.after.start if rows.kind == UPDATE and same else NULL
        if rows.kind == INSERT or not same:
            row = self._net_row(net, rows.after, layout.offsets_after, index, False)
            row.after = rows.after.start
        return 0

    cdef NetRow* _net_row(self, NetTable net, Image image, uint32_t* offsets, int32_t index,
                          bint was_there) except NULL:
        cdef bint is_new = False
        cdef NetRow* row = net.find(image.start, offsets, &is_new)
        if is_new:
            row.since = 2 * index + was_there
            row.key = image.start
        else:
            self._join(transaction_of(row), index)
        return row

    cdef int _touch(self, uint64_t hash, int32_t index) except -1:
        """Note that a transaction holds a key; whoever held it before joins its component."""
        cdef size_t mask = self.hash_slots - 1
        cdef size_t at = hash & mask
        while self.hashes[at]:
            if self.hashes[at] == hash:
                self._join(self.owners[at], index)
                return 0
            at = (at + 1) & mask
        if 2 * self.hash_count >= self.hash_slots:
            self._grow_hashes()
            return self._touch(hash, index)
        self.hashes[at] = hash
        self.owners[at] = index
        self.hash_count += 1
        return 0

    cdef int _grow_hashes(self) except -1:
        cdef uint64_t* hashes = self.hashes
        cdef int32_t* owners = self.owners
        cdef size_t i, at, old = self.hash_slots
        self.hash_slots *= 4
        self.hashes = <uint64_t*>calloc(self.hash_slots, sizeof(uint64_t))
        self.owners = <int32_t*>malloc(self.hash_slots * sizeof(int32_t))
        if self.hashes == NULL or self.owners == NULL:
            raise MemoryError("no memory for a batch's keys")
        for i in range(old):
            if hashes[i]:
                at = hashes[i] & (self.hash_slots - 1)
                while self.hashes[at]:
                    at = (at + 1) & (self.hash_slots - 1)
                self.hashes[at] = hashes[i]
                self.owners[at] = owners[i]
        free(hashes)
        free(owners)
        return 0

    cdef int32_t _root(self, int32_t index) noexcept:
        while self.parents[index] != index:
            self.parents[index] = self.parents[self.parents[index]]
            index = self.parents[index]
        return index

    cdef int _join(self, int32_t a, int32_t b) noexcept:
        a = self._root(a)
        b = self._root(b)
        if a < b:
            self.parents[b] = a
        else:
            self.parents[a] = b
        return 0

    def partitions(self, int writers):
        """Split into at most ``writers`` partitions, each of whole components; at least one, if only an empty one.

        A batch is split once, since what merging needed is given back; asked again, it returns the same partitions.
        """
        if not self.is_split:
            self.is_split = True
            self.split = self._partitions(writers)
        elif self.split is None:
            raise RuntimeError("a batch could not be split, and is no longer whole")
        return self.split

    cdef list _partitions(self, int writers):
        cdef Partition partition
        cdef int32_t index
        cdef list partitions = [Partition(self.plans) for _ in range(writers)]
        self._join_unproven()
        cdef int32_t* of = <int32_t*>calloc(max(1, len(self.transactions)), sizeof(int32_t))
        if of == NULL:
            raise MemoryError("no memory for a batch")
        try:
            if writers > 1:
                self._deal(of, writers)
            for index in range(len(self.transactions)):
                partition = partitions[of[self._root(index)]]
                partition.transactions.append(self.transactions[index])
            self._fill(partitions, of)
        finally:
            free(of)
        self._forget_keys()
        return [partition for partition in partitions if partition.transactions] or partitions[:1]

    cdef int _forget_keys(self) except -1:
        self.tables.clear()
        self.last_table = self.last_net = None
        free(self.hashes)
        free(self.owners)
        self.hashes = NULL
        self.owners = NULL
        return 0

    cdef int _join_unproven(self) except -1:
        """Transactions that touched a table whose keys could not be compared stay together."""
        cdef Transaction transaction
        cdef NetTable net
        cdef int32_t index
        cdef dict first = {(<NetTable>net).target.name: -1 for net in self.tables.values() if (<NetTable>net).unproven}
        if not first:
            return 0
        for index in range(len(self.transactions)):
            transaction = self.transactions[index]
            for table in transaction.tables:
                net = self.tables.get(table)
                if net is None or net.target.name not in first:
                    continue
                if first[net.target.name] >= 0:
                    self._join(first[net.target.name], index)
                first[net.target.name] = index
        return 0

    cdef int _deal(self, int32_t* of, int writers) except -1:
        """Give each component to the writer with the least to do so far: a writer for each root."""
        cdef Py_ssize_t count = len(self.transactions)
        cdef size_t* sizes = <size_t*>calloc(count + writers, sizeof(size_t))
        cdef size_t* loads = sizes + count
        cdef int32_t index
        cdef int writer, least
        if sizes == NULL:
            raise MemoryError("no memory for a batch")
        for index in range(count):
            sizes[self._root(index)] += (<Transaction>self.transactions[index]).size + 64
        for index in range(count):
            if sizes[index]:
                least = 0
                for writer in range(1, writers):
                    if loads[writer] < loads[least]:
                        least = writer
                loads[least] += sizes[index]
                of[index] = least
        free(sizes)
        return 0

    cdef int _fill(self, list partitions, int32_t* of) except -1:
        cdef NetTable net
        cdef Partition partition
        cdef RowSet step
        cdef OrderedRows ordered_rows
        cdef dict ordered = {}
        for table, net in self.tables.items():
            if net.target.is_ordered or net.broken or (not net.target.splits_updates and self._any_moves(net)):
                ordered[table] = net.plan
            else:
                self._fill_net(net, partitions, of)
        for partition in partitions:
            partition.steps.sort(key=_deletes_first)
            if ordered:
                ordered_rows = OrderedRows(ordered)
                for transaction in partition.transactions:
                    ordered_rows.add(transaction)
                partition.steps.extend(ordered_rows.steps)
            for step in partition.steps:
                partition.row_count += step.count
        return 0

    cdef int _fill_net(self, NetTable net, list partitions, int32_t* of) except -1:
        cdef Py_ssize_t i
        cdef size_t at
        cdef NetRow* row
        # The last set holds updates that end where they began: as an upsert, nobody could tell a missing row.
        cdef list sets = [
            [RowSet(net.plan, kind, True) for kind in (INSERT, UPDATE, DELETE)] + [RowSet(net.plan, UPDATE, False)]
            for _ in partitions
        ]
        cdef list mine
        cdef Image key, after, none = Image(NULL, NULL)
        for at in range(net.count):
            row = &net.rows[at]
            key, after = net.image(row.key), net.image(row.after)
            mine = <list>sets[of[self._root(transaction_of(row))]]
            if row.after == NULL:
                if existed(row):
                    (<RowSet>mine[DELETE]).add(key, none)
            elif not existed(row):
                (<RowSet>mine[INSERT]).add(none, after)
            elif net.target.has_alternatives and self._moves(net, row):
                (<RowSet>mine[DELETE]).add(key, none)
                (<RowSet>mine[INSERT]).add(none, after)
            elif self._is_unchanged(net, row):
                (<RowSet>mine[3]).add(key, after)
            else:
                (<RowSet>mine[UPDATE]).add(key, after)
        net.release()
        for i in range(len(partitions)):
            (<Partition>partitions[i]).steps.extend([step for step in sets[i] if (<RowSet>step).count])
        return 0

    cdef bint _any_moves(self, NetTable net) except -1:
        cdef size_t at
        if net.target.has_alternatives:
            for at in range(net.count):
                if existed(&net.rows[at]) and net.rows[at].after != NULL and self._moves(net, &net.rows[at]):
                    return True
        return False

    cdef bint _is_unchanged(self, NetTable net, NetRow* row) except -1:
        cdef Layout layout = net.layout
        cdef Image key = net.image(row.key), after = net.image(row.after)
        cdef size_t length = layout.locate(key, end_of(key), layout.offsets_before) - row.key
        cdef size_t other = layout.locate(after, end_of(after), layout.offsets_after) - row.after
        return length == other and memcmp(row.key, row.after, length) == 0

    cdef bint _moves(self, NetTable net, NetRow* row) except -1:
        """Return whether any unique key besides the row key changes its value."""
        cdef Layout layout = net.layout
        cdef Image key = net.image(row.key), after = net.image(row.after)
        cdef Py_ssize_t i
        layout.locate(key, end_of(key), layout.offsets_before)
        layout.locate(after, end_of(after), layout.offsets_after)
        for i in range(1, len(net.target.keys)):
            if not layout.same_key(<UniqueKey>net.target.keys[i], row.key, layout.offsets_before, row.after,
                                   layout.offsets_after):
                return True
        return False


def _deletes_first(RowSet step):
    return 0 if step.kind == DELETE else 1 if step.kind == UPDATE else 2
