"""Every error graphferry raises on purpose.

    GraphferryError
    ├── ValueUnsupported      a Python object that is not data
    ├── GraphInvalid          a graph with problems; all of them, each with its line
    ├── UsageError            a command or a call that cannot be carried out as written
    ├── NodeError             an attempt of a node failed: the agent's own doing; counts against `retry`
    │   ├── NodeTimeout       the attempt used up its `timeout`
    │   ├── LimitReached      the graph wants more than a run may have; never tried again, never made a value
    │   ├── WorkerNeeded      no worker was reached, and the graph or the user said that the node then fails
    │   ├── ModelRefused      the model or its backend refused the request
    │   └── ContextTooLong    prompt and answer do not fit the model's context
    ├── LinkCondition         nothing the node did: busy, crashed, unknown there, link lost; never counts as an attempt
    │   ├── ModelCrashed      the process of a model ended in the middle of a generation
    │   ├── ModelMissing      no such model here
    │   ├── AnswerNeeded      a person has to answer first
    │   └── WorkerUnreachable no connection to the worker, or it was lost
    ├── RunSuspended          a run stopped early and can be resumed
    ├── RunAborted            a run was aborted; carries the results so far
    ├── RunFailed             a run whose node failed; carries the first error in graph order and all others
    └── JournalError          the journal cannot be read or written

Errors say what happened, where, and what to do next. `code` is the stable word a program may test (docs/protocol.md §17);
`retryable` says whether the same order may succeed later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

__all__ = [
    "AnswerNeeded",
    "ContextTooLong",
    "GraphInvalid",
    "GraphferryError",
    "JournalError",
    "LimitReached",
    "LinkCondition",
    "ModelCrashed",
    "ModelMissing",
    "ModelRefused",
    "NodeError",
    "NodeTimeout",
    "Problem",
    "RunAborted",
    "RunFailed",
    "RunSuspended",
    "UsageError",
    "ValueUnsupported",
    "WorkerNeeded",
    "WorkerUnreachable",
    "why_failed",
]


def why_failed(error: BaseException) -> str:
    """Why something failed, in words: of what the system refused without its number, and without the name that the message has already."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


class GraphferryError(Exception):
    """Base of all errors of this package.

    `message` is one or more sentences for a person; `hint`, if any, is the command or change that helps.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: bool = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ValueUnsupported(GraphferryError):
    """An object that is not data: it cannot be recorded, shipped or shown."""

    code = "VALUE_UNSUPPORTED"


class UsageError(GraphferryError):
    """A command or a call that cannot be carried out as written."""

    code = "USAGE"


class Problem(NamedTuple):
    """One thing wrong with a graph.

    `code` is `GF1xx`; `path` names the place in the document, keys and positions from the root; `line` and `column` count
    from 1 and are 0 where the graph had no text; `length` is the width of the caret; `warning` problems do not refuse a graph.
    """

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    file: str | None = None
    line: int = 0
    column: int = 0
    length: int = 1
    suggestion: str | None = None
    warning: bool = False


class GraphInvalid(GraphferryError):
    """A graph that is refused before anything runs. `problems` has all of them, in document order."""

    code = "GRAPH_INVALID"

    def __init__(self, problems: Sequence[Problem], *, file: str | None = None) -> None:
        self.problems = tuple(problems)
        self.file = file
        self.text: str | None = None
        """The graph as it was written, where no file has it."""
        super().__init__("; ".join(_said(problem) for problem in self.problems if not problem.warning) or "invalid graph")


def _said(problem: Problem) -> str:
    """The message, with the place where it is not in a text: then nothing else tells it."""
    if problem.line or not problem.path:
        return problem.message
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.path)
    return f"{place.removeprefix('.')}: {problem.message}"


class NodeError(GraphferryError):
    """An attempt of a node failed. Counts against the node's `retry`. Raise it from an agent for a typed failure."""

    code = "NODE_FAILED"

    def __init__(
        self, message: str, *, retryable: bool = True, hint: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable
        self.detail = dict(detail) if detail else None


class NodeTimeout(NodeError):
    """An attempt used up the node's `timeout`."""

    code = "NODE_TIMEOUT"


class LimitReached(NodeError):
    """A graph wants more than a run may have here (graphs.bounds). Never tried again and never made a value, whatever the graph says.

    `limit` is its name and `most` its value; None where it is another side's. `what` tells what reached it.
    """

    code = "LIMIT_REACHED"

    def __init__(self, limit: str, most: float, what: str, *, hint: str | None = None) -> None:
        said = hint or f"If the graph is right, raise it: --limit {limit}=N, at a worker in `limits` of its configuration."
        super().__init__(
            f"the limit `{limit}` of {most:,} is reached: {what}",
            retryable=False,
            hint=said,
            detail={"limit": limit, "most": most},
        )
        self.limit = limit
        self.most = most

    @classmethod
    def told(cls, text: str, detail: Mapping[str, Any] | None) -> LimitReached:
        """The error that another side had, in its words."""
        about = detail or {}
        error = cls(str(about.get("limit", "unknown")), about.get("most") or 0, "")
        error.message, error.hint = text, None
        return error


class WorkerNeeded(NodeError):
    """A node is placed at the worker, which was not reached, and its policy is to fail then. Never tried again in the same run, as it was
    never begun.
    """

    code = "WORKER_NEEDED"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)


class ModelRefused(NodeError):
    """The model or its backend refused the request; the same request will be refused again."""

    code = "MODEL_REFUSED"

    def __init__(self, message: str, *, hint: str | None = None, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, retryable=False, hint=hint, detail=detail)


class ContextTooLong(NodeError):
    """Prompt and answer do not fit the model's context."""

    code = "CONTEXT_TOO_LONG"

    def __init__(self, message: str, *, hint: str | None = None, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, retryable=False, hint=hint, detail=detail)


class LinkCondition(GraphferryError):
    """Nothing the node did: it is placed elsewhere, waits, or the run is suspended. Never counts as an attempt.

    `condition` is the stable code (docs/protocol.md §17), for instance BUSY or GRAPH_MISSING.
    """

    code = "LINK"
    awaited = False
    """Whether somebody in this process sees to it, so that the run does not end because of it."""

    def __init__(
        self, condition: str, message: str, *, retryable: bool = True, retry_ms: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.condition = condition
        self.retryable = retryable
        self.retry_ms = retry_ms


class ModelCrashed(LinkCondition):
    """The process of a model ended in the middle of a request. The node is executed again, without using up `retry`."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__("MODEL_CRASHED", message, hint=hint)


class ModelMissing(LinkCondition):
    """No such model here. The message says where it was looked for, the hint which command gets it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__("MODEL_UNKNOWN", message, retryable=False, hint=hint)


class AnswerNeeded(LinkCondition):
    """A person has to answer before the node can go on. `question` is the graphs.questions.Question; `awaited` says that somebody is
    being asked in this process.
    """

    def __init__(self, question: Any, *, awaited: bool = False, hint: str | None = None) -> None:
        super().__init__("ANSWER_NEEDED", f"{question.path!r} waits for an answer: {question.prompt}", hint=hint)
        self.question = question
        self.awaited = awaited


class WorkerUnreachable(LinkCondition):
    """No connection to the worker, or it was lost. `url` is the worker's link URL."""

    def __init__(self, url: str, message: str, *, hint: str | None = None) -> None:
        super().__init__("UNREACHABLE", message, hint=hint)
        self.url = url


class RunFailed(GraphferryError):
    """A run ended because a node failed.

    `node` and `error` are the failed node first in graph order and its error, `errors` those of all failed nodes by path.
    """

    code = "RUN_FAILED"

    def __init__(self, node: str, error: BaseException, errors: Mapping[str, BaseException]) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.node = node
        self.error = error
        self.errors = dict(errors)


class RunSuspended(GraphferryError):
    """A run stopped before its end; everything finished is kept. `reason` is a link condition's code or `interrupted`."""

    code = "RUN_SUSPENDED"
    retryable = True

    def __init__(self, run: str, reason: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.run = run
        self.reason = reason


class RunAborted(GraphferryError):
    """A run was aborted. `results` are the values of the nodes that had finished, by node id."""

    code = "CANCELLED"

    def __init__(self, message: str, results: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.results = dict(results)


class JournalError(GraphferryError):
    """The journal cannot be read or written: disk full, damaged, newer version, or in use."""

    code = "JOURNAL"
