from cdcd.row.plan import Plan

class Writing:
    opens: int
    @property
    def row_event_map(self) -> bytes | None: ...

def writing_of(plan: Plan) -> Writing: ...
