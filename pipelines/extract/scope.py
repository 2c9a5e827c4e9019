"""What a sync reads, and what it found out so far: shared by rounds, full readings and the grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pipelines.extract.ledger import Ledger
from pipelines.extract.plan import ALL, Probes, RoundPlan
from pipelines.extract.reader import PageRequest, Reader
from pipelines.platform.judgement import judge
from pipelines.platform.structures import OperationInfo


@dataclass
class Scope:
    """What a sync reads: the filters of the settings, in pages of this size, by this reader; and what it found out.

    What an earlier sync, later this one, could not find: `unlocated` tasks by list, and `unexplained` known tasks that
    are not there. `missed` is how many known tasks no list of a whole reading showed; `notes` is for the user.
    """

    reader: Reader
    filters: Mapping[str, str]
    page_size: int
    unlocated: Mapping[str, int] = field(default_factory=dict)
    unexplained: int = 0
    probes: Probes | None = None
    missed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """The reader's."""
        return self.reader.ledger

    def request(self, of: str, page_no: int) -> PageRequest:
        """A page of the list of this name: `all`, or a status."""
        return PageRequest(of, self.filters_of(of), page_no, self.page_size)

    def filters_of(self, of: str) -> dict[str, str]:
        """The filters of the list of this name."""
        return dict(self.filters) if of == ALL else {**self.filters, "operationStatus": of}

    def allow(self, plan: RoundPlan) -> None:
        """Let the sync make the calls that this plan allows, from its beginning on."""
        self.reader.calls_left = min(self.reader.calls_left, plan.max_calls - self.reader.calls)

    def look_up(self, operation_ids: Sequence[str]) -> None:
        """Read these tasks by id.

        Raises:
            CallsSpentError: these are more calls than are left.
        """
        self.reader.look_up(operation_ids, self.holds, self.request(ALL, 0))

    def holds(self, operation_id: str, record: bytes) -> bool:
        """Whether a looked-up record is of this task, and in scope: its filtered fields are the last list record's."""
        if judge(record).operation_id != operation_id:
            return False
        try:
            operation = msgspec.json.decode(record, type=OperationInfo, strict=False)
        except msgspec.DecodeError:
            return True  # broken: goes to quarantine
        known = self.ledger.scope_fields(operation_id) if self.filters else None
        targets = operation.targets
        here = {
            "operationType": operation.operate_type,
            "deviceType": targets and targets.device_type,
            "model": targets and targets.model,
            "manufacturerName": targets and targets.manufacturer_name,
        }
        return known is None or all(here[name] == known[name] for name in self.filters if name in here)
