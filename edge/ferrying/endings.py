"""Why a child run is over for this device although its worker has not ended it, in words."""

from __future__ import annotations

from graphs.errors import LinkCondition
from protocol.events import GraphJudged

__all__ = ["contradicted", "graph_refused"]


def contradicted() -> LinkCondition:
    """The two copies of the run's logs cannot both be true."""
    return LinkCondition(
        "RUN_DIVERGED",
        "the worker's copy of this run contradicts this device's: one of the two disks lost what was written to it",
        retryable=False,
        hint="`graphferry runs fork RUN` goes on with what this device knows; nodes with effects that may have happened wait for a word.",
    )


def graph_refused(judged: GraphJudged) -> LinkCondition:
    """The worker found its part of the graph invalid."""
    why = "; ".join(str(problem[2]) for problem in judged.problems if isinstance(problem, (list, tuple)) and len(problem) > 2)
    return LinkCondition("GRAPH_INVALID", f"the worker refuses its part of the graph: {why}", retryable=False)
