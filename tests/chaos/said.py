"""How a command may end while things go wrong around it: its exit status, and the reason that it gives for it. Anything else is a mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["report_of", "wrong"]

_KILLED: Final = -9
_LEFT: Final = 130
_GOES_ON: Final = (0, 3, 4)
_MOVES: Final = (0, 4)
_LOCAL: Final = (0,)
_TOO_LATE: Final = (
    *("is held by the store", "is over", "is completed", "is cancelled", "came to its end here", "there is no run"),
    *("asks nothing", "is answered", "is not asked any more", "the beginning of run", "there is no journal"),
    "another process works on run",
)
"""Why there is nothing to do for a command with status 2: somebody else was there before, is there now, or has not been there yet. Who moves or ends
a run asks a process that works on it to let go, but not one that is moving it, too.
"""
_UNTOLD: Final = "which labels its values carry is not known here"
"""Why the worker does not get a run, with status 1: its graph has not come here, so nobody knows which labels that has."""


def report_of(words: Sequence[str], status: int, stdout: str) -> Mapping[str, Any]:
    """What a command with --json reports; {} if it does not."""
    found: Mapping[str, Any] = json.loads(stdout) if "--json" in words and status not in (_KILLED, 2) and stdout.strip() else {}
    return found


def wrong(words: Sequence[str], status: int, stdout: str, stderr: str) -> str | None:
    """What is wrong with how a command ended; None if it may end so. No disk is full, and none has lost anything."""
    for each in ("Traceback", "internal error", "could not be written", "is damaged"):
        if each in stderr:
            return f"it says {each!r}"
    report = report_of(words, status, stdout)
    if diverged := [run for run, why in (report.get("refused") or {}).items() if why["code"] == "RUN_DIVERGED"]:
        return f"the copies of {diverged} contradict each other"
    if failed := [each["run"] for each in report.get("went_on") or () if each["status"] == "failed"]:
        return f"{failed} failed"
    goes_on = words[0] in ("run", "resume") or "--resume" in words
    moves = words[0] == "sync" or words[:2] in (["runs", "push"], ["runs", "pull"])
    if status == _KILLED or status in (_GOES_ON if goes_on or words[0] == "sync" else _MOVES if moves else _LOCAL):
        return None
    if status == 2 and words[0] not in ("run", "sync"):
        return None if any(each in stderr for each in _TOO_LATE) else "it says nothing that explains status 2"
    if status == 1 and words[:2] in (["runs", "push"], ["runs", "pull"]) and _UNTOLD in stderr:
        return None
    if status == _LEFT and goes_on and report.get("status") == "cancelled":
        return None  # another process of the device ended the run
    return f"it ended with {status}"
