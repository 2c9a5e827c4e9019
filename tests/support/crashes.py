"""The process ends at a chosen call."""

import sys
from pathlib import Path


class CrashError(BaseException):
    """The process ends here."""


def crash_at(monkeypatch, target, number):
    """End at the `number`-th call of a module's function, or of a method of `Path`."""
    module, name = target.rsplit(".", 1)
    owner = Path if module == "Path" else sys.modules[module]
    original, calls = getattr(owner, name), []

    def crash(*positional, **named):
        calls.append(1)
        if len(calls) == number:
            raise CrashError
        return original(*positional, **named)

    monkeypatch.setattr(owner, name, crash)
