"""How partitions of a batch become transactions of a server that speaks SQL; ``cdcd.apply`` tells the whole story.

target         one run's connections to it: the claim, writers, questions, and the ``watch`` over what is not answered
writer         one connection that applies partitions; ``exchange`` is what is on its way and not answered
statement      rows as SQL, with ``writing``, how one table is named and its values written; ``row_events`` rows as the
               events they came as; ``row_by_row`` one change at a time
marker         writes a mark as a statement and judges the answer; ``marker_event`` writes it as a row event
altered        whether tables are still what the plans know; ``catalog`` what they are
schema_change  runs a statement of the log, announced and fenced
"""
