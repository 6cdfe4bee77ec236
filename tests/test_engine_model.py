"""The engine against a slow, obvious interpreter: random graphs, answers in random order, and at every step the same nodes run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, note, settings, strategies as st

from graphs.agents import standard
from graphs.engine.engine import Engine
from graphs.engine.events import (
    Abort,
    Arm,
    Begin,
    Close,
    Completed,
    Ended,
    Event,
    Failed,
    Interrupted,
    Outcome,
    Settled,
    Start,
    Stop,
    Suspend,
    Told,
)
from graphs.engine.plan import Compiler, PlanNode
from graphs.errors import LinkCondition, NodeError, NodeTimeout
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import Registry, agent
from graphs.values import MISSING, Value, canonical
from reference.graphs import BYPASS, MAX_TURNS, Case, answer, cases
from reference.interpreter import Reference
from reference.sources import awaited
from reference.state import Job, Trouble

STATES = {
    State.COMPLETED: "completed", State.FAILED: "failed", State.TIMED_OUT: "timed-out", State.SKIPPED: "skipped",
    State.INJECTED: "injected", State.WAITING: "waiting",
}  # fmt: skip


@agent("answerAgent", effect="none")
def answer_agent(_context: Any) -> Value:
    raise AssertionError("the test answers for it")


AGENTS: Registry = standard().with_agents([answer_agent])


class Shell:
    """Carries out the engine's commands by keeping them, and looks at each for what must always hold."""

    def __init__(self, case: Case, known: Mapping[str, Outcome] | None = None) -> None:
        compiler = Compiler(AGENTS, bypass=BYPASS)
        graph = Graph.of(case.graph, set(AGENTS), bypass=BYPASS)
        self.engine = Engine(
            compiler.plan(graph), compiler, known=known, report=True, force_loop=case.force_loop, max_turns=MAX_TURNS
        )
        self.running: dict[tuple[str, int], Start] = {}
        self.armed: dict[str, Start] = {}
        self.settled: list[Settled] = []
        self.ended: State | None = None
        self.begun: set[tuple[str, int]] = set()
        self.concurrency: Any = case.graph["concurrency"]
        self.feed(Begin(0.0, case.inject))

    def feed(self, event: Event) -> None:
        for command in self.engine.handle(event):
            assert self.ended is None, "a command after the end"
            match command:
                case Start():
                    self.started(command)
                case Stop(start):
                    self.running.pop((start.path, start.retry), None)
                    self.armed.pop(start.path, None)
                case Arm(start):
                    self.armed[start.path] = start
                case Settled():
                    self.settled.append(command)
                    self.armed.pop(command.path, None)
                case Ended(state):
                    self.ended = state
        self.within_limits()

    def started(self, start: Start) -> None:
        assert (start.path, start.at) not in self.begun, f"{start} began twice"
        self.begun.add((start.path, start.at))
        frame, node = start.frame, start.node
        there = {
            frame.plan.ids[number] for number, state in enumerate(frame.states) if state in (State.COMPLETED, State.INJECTED)
        }
        if not node.any_input:
            assert awaited(node.spec) <= there, f"{start} runs before its inputs"
        assert (start.path, start.retry) not in self.running
        self.running[start.path, start.retry] = start

    def within_limits(self) -> None:
        labels = self.concurrency["labels"] if isinstance(self.concurrency, dict) else {}
        limit = self.concurrency["global"] if isinstance(self.concurrency, dict) else self.concurrency
        assert len(self.running) <= limit
        for label, most in labels.items():
            assert sum(start.node.label == label for start in self.running.values()) <= most

    def finish(self, key: tuple[str, int]) -> Value | NodeError:
        """Let the agent of this attempt answer; gives the answer."""
        start = self.running.pop(key)
        given = answer(start.inputs, dict(start.params), start.retry)
        self.feed(Failed(start, given, 1.0) if isinstance(given, NodeError) else Completed(start, given, 1.0))
        return given

    def outcomes(self) -> dict[str, tuple[PlanNode, int, Outcome]]:
        """What became of each path, as a journal would keep it, with its node and number of failed tries."""
        found = {}
        for each in self.settled:
            if each.state == State.SKIPPED and not each.node.any_input:
                continue  # follows from the values
            failed = isinstance(each.value, BaseException)
            outcome = Outcome(each.state, MISSING, each.value) if failed else Outcome(each.state, each.value)
            found[each.path] = (each.node, each.start.retry if each.start else 0, outcome)
        return found

    def picture(self) -> Any:
        """What the run came to."""
        frame = self.engine.root
        states = {name: STATES[State(state)] for name, state in zip(frame.plan.ids, frame.states, strict=True)}
        errors = {name: brief(str(error)) for name, error in self.engine.errors().items()}
        return self.ended, frame.turn, states, plain(self.engine.results()), plain(self.engine.results(all=False)), errors


def brief(message: str) -> str:
    """The part of a message that the language prescribes."""
    if "(GraphAI: " in message:
        return "invalid graph"
    return re.split(r"[\n:.]", message, maxsplit=1)[0]


def plain(value: Value) -> Value:
    """A value with its errors' messages cut down to what is prescribed."""
    if isinstance(value, dict):
        return {key: brief(each) if key == "message" else plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def same(a: Value, b: Value) -> bool:
    """Equal, the order of keys included."""
    return canonical(plain(a)) == canonical(plain(b))


def in_step(shell: Shell, reference: Reference) -> None:
    """Both let the same attempts run, with the same inputs, and came to the same so far."""
    assert shell.running.keys() == reference.waiting_outside.keys()
    for key, job in reference.waiting_outside.items():
        assert same(shell.running[key].inputs, job.inputs), key
        assert same(dict(shell.running[key].params), dict(job.params)), key
    assert len(shell.settled) == len(reference.log)
    for each, (path, state, value) in zip(shell.settled, reference.log, strict=True):
        assert (each.path, STATES[State(each.state)]) == (path, state)
        if isinstance(each.value, BaseException):
            assert brief(str(each.value)) == brief(value)
        else:
            assert same(each.value, value), path
    assert (shell.ended is not None) == (reference.outcome is not None)


def run_both(case: Case, data: st.DataObject) -> Shell:
    reference = Reference(case.graph, inject=case.inject, force_loop=case.force_loop, max_turns=MAX_TURNS, bypass=BYPASS)
    shell = Shell(case)
    interruptions = 2
    in_step(shell, reference)
    while shell.ended is None:
        choices = sorted([*shell.running, *((path, -1) for path in shell.armed)])
        assert choices, "the run goes on although nothing can run"
        path, retry = key = choices[data.draw(st.integers(0, len(choices) - 1), label="next")]
        if retry < 0:
            job = opened(reference, path)
            shell.feed(Failed(shell.armed.pop(path), NodeTimeout("Timeout"), 1.0))
            reference.fail(job, Trouble("Timeout", late=True))
        elif interruptions and data.draw(st.integers(0, 19), label="interrupt") == 19:
            interruptions -= 1
            shell.feed(Interrupted(shell.running.pop(key), NodeError("its model died"), 1.0))
        else:
            job = reference.waiting_outside[key]
            given = shell.finish(key)
            if isinstance(given, NodeError):
                reference.fail(job, Trouble(str(given), late=isinstance(given, NodeTimeout)))
            else:
                reference.answer(job, given)
        in_step(shell, reference)
    agree_at_the_end(shell, reference)
    return shell


def opened(reference: Reference, path: str) -> Job:
    return next(job for job in reference.running if job.path == path and job.rows)


def agree_at_the_end(shell: Shell, reference: Reference) -> None:
    root = reference.root
    errors = {name: brief(str(root.errors[name])) for name in root.graph["nodes"] if name in root.errors}
    ended = State.FAILED if reference.outcome == "failed" else State.COMPLETED
    results, only = plain(root.results(all=True)), plain(root.results(all=False))
    assert shell.picture() == (ended, root.number, root.states, results, only, errors)
    first, trouble = shell.engine.first_error(), root.trouble()
    assert (first and brief(str(first[1]))) == (trouble and brief(str(trouble)))


MODEL = settings(
    report_multiple_bugs=False,
    max_examples=500,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@MODEL
@given(case=cases(), data=st.data())
def test_every_step_is_as_the_reference_says_and_outcomes_alone_give_the_same_run(case: Case, data: st.DataObject) -> None:
    shell = run_both(case, data)
    dead(shell)
    outcomes = shell.outcomes()
    again = Shell(case, {path: outcome for path, (_, _, outcome) in outcomes.items()})
    assert again.ended is not None, "a replay waits for somebody"
    assert not again.begun, "a replay started something"
    assert again.picture() == shell.picture()

    some = {
        path: outcome
        for path, (node, retry, outcome) in outcomes.items()
        if node.any_input or by_order(node, retry, outcome) or data.draw(st.booleans(), label=path)
    }
    note(f"known: {list(some)}")
    partly = Shell(case, some)
    while partly.ended is None:
        choices = sorted(partly.running)
        partly.finish(choices[data.draw(st.integers(0, len(choices) - 1), label="then")])
    assert partly.picture() == shell.picture()
    assert not {path for path, _ in partly.begun} & some.keys(), "what was known was run again"


def by_order(node: PlanNode, retry: int, outcome: Outcome) -> bool:
    """Whether the order of answers may have decided this outcome: which row of a map failed first, or whether time ran out."""
    told = isinstance(outcome.value, dict) and "onError" in outcome.value
    return "graph" in node.spec and (retry > 0 or outcome.error is not None or told or bool(node.output or node.timeout))


def dead(shell: Shell) -> None:
    """After the end nothing is commanded, whatever still comes in."""
    for start in list(shell.running.values()):
        shell.feed(Completed(start, 1, 2.0))
        shell.feed(Interrupted(start, NodeError("late"), 2.0))
    shell.feed(Told("c0", Outcome(State.COMPLETED, 1), 2.0))
    shell.feed(Close(2.0))
    shell.feed(Abort(2.0))


@MODEL
@given(case=cases(), data=st.data())
def test_a_suspended_run_finishes_what_is_independent_and_goes_on_from_its_outcomes(case: Case, data: st.DataObject) -> None:
    whole = Shell(case)
    while whole.ended is None:
        whole.finish(min(whole.running))
    shell = Shell(case)
    while shell.ended is None:
        key = min(shell.running)
        if data.draw(st.integers(0, 3), label=key[0]) == 3:
            shell.feed(Suspend(shell.running.pop(key), LinkCondition("UNREACHABLE", "no worker"), 1.0))
        else:
            shell.finish(key)
    dead(shell)
    outcomes = {path: outcome for path, (_, _, outcome) in shell.outcomes().items() if outcome.error is None}
    resumed = Shell(case, outcomes)
    while resumed.ended is None:
        resumed.finish(min(resumed.running))
    assert resumed.ended in (State.COMPLETED, State.FAILED)
    assert not {path for path, _ in resumed.begun} & outcomes.keys(), "what was known was run again"
    if not any(node.any_input or by_order(node, retry, outcome) for node, retry, outcome in whole.outcomes().values()):
        assert resumed.picture() == whole.picture()


@MODEL
@given(case=cases(), data=st.data())
def test_an_aborted_run_stops_everything_at_once(case: Case, data: st.DataObject) -> None:
    shell = Shell(case)
    for _ in range(data.draw(st.integers(0, 8), label="answers before")):
        if shell.ended is None:
            shell.finish(min(shell.running))
    if shell.ended is None:
        shell.feed(Abort(1.0))
        assert shell.ended is State.ABORTED
    assert not shell.running
    assert not shell.armed
    dead(shell)
