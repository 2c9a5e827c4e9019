"""Publications that hold some reports alone: to plan the SQL of all takes most of the time of a small one."""

import contextlib
import re
from collections.abc import Iterator

from pipelines.models import load


@contextlib.contextmanager
def only_reports(*names: str) -> Iterator[None]:
    """Publications hold these marts, `operation_outcomes`, and the checks that need no others."""
    marts, checks = load("marts"), load("checks")
    before = dict(marts), dict(checks)
    kept = {"operation_outcomes", *names}
    for name in marts.keys() - kept:
        del marts[name]
    for name in [name for name, check in checks.items() if set(re.findall(r"marts\.(\w+)", check.sql)) - kept]:
        del checks[name]
    try:
        yield
    finally:
        for models, every in zip((marts, checks), before, strict=True):  # in their order again
            models.clear()
            models.update(every)
