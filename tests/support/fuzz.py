"""How long to look for trouble: a few examples in every run, many more with `IODM_FUZZ=1`."""

import os

IS_FUZZING = os.environ.get("IODM_FUZZ") == "1"


def examples(usual: int, fuzzing: int) -> int:
    """The number of examples to try."""
    return fuzzing if IS_FUZZING else usual
