"""The reference interpreter: one run of a graph, told by the test how each agent answers and in which order.

Nothing here is quick and nothing is clever: after every event it looks at all nodes again. It shares no code with the engine, only values
and property functions. The order in which things enter the queue is part of the language (docs/graph-spec.md §6.4.6, §7), so a test can ask at every
step for the nodes that run and compare.

What needs nobody outside (a default value, a nested graph that opens or ends, a turn that is over) happens after what is being told has been told to
all followers, one thing after the other: GraphAI's agents answer in a later task of the event loop, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphs.values import MISSING, Value
from reference.sources import awaited, holds, laid_over, path_into, resolve, shaped, without_nothing
from reference.state import Job, Trouble, Turn

__all__ = ["Reference"]


class Reference:
    """One run. `running` are the jobs that have a place, `outcome` is None until nothing can run any more, then "completed" or "failed"."""

    def __init__(
        self,
        graph: Mapping[str, Any],
        *,
        inject: Mapping[str, Value],
        force_loop: bool = False,
        max_turns: int | None = None,
        bypass: tuple[str, ...] = (),
    ) -> None:
        self.force_loop = force_loop
        self.max_turns = max_turns
        self.bypass = bypass
        self.concurrency = graph.get("concurrency", 8)
        self.queue: list[tuple[Turn, str]] = []
        self.running: list[Job] = []
        self.soon: list[Callable[[], None]] = []
        self.turns: list[Turn] = []
        self.log: list[tuple[str, str, Value]] = []
        self.outcome: str | None = None
        self.root = Turn(graph, "", 0, dict(inject))
        self.begin(self.root)
        self.settle_down()

    # -- what a test does

    @property
    def waiting_outside(self) -> dict[tuple[str, int], Job]:
        """The attempts that agents are busy with, by path and number of failed tries."""
        return {(job.path, job.retry): job for job in self.running if job.outside}

    def answer(self, job: Job, value: Value) -> None:
        """The agent gave a value."""
        self.shape(job, value, by_agent=True)
        self.settle_down()

    def fail(self, job: Job, trouble: Trouble) -> None:
        """The agent failed, or the attempt's time ran out."""
        self.failed(job, trouble)
        self.settle_down()

    def settle_down(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def note(self, turn: Turn, name: str, state: str, value: Value) -> None:
        self.log.append((turn.path(name), state, value))

    # -- turns (§6.1, §8)

    def begin(self, turn: Turn) -> None:
        if not turn.alive:
            return
        self.turns.append(turn)
        nodes = turn.graph["nodes"]
        for name, node in nodes.items():
            turn.states[name] = "waiting"
            if "agent" not in node:
                value = turn.given[name] if name in turn.given else node.get("value", MISSING)
                if value is not MISSING:
                    turn.values[name] = value
                    turn.states[name] = "injected"
                    turn.there.add(name)
        turn.undecided += 1
        lacking = [
            name
            for name, node in nodes.items()
            if turn.states[name] == "waiting" and "agent" not in node and ("update" not in node or name in turn.given)
        ]
        if lacking and turn.number == 0:
            turn.broken = Trouble(f"Static node(s) must have value. Affected nodeIds: {', '.join(lacking)}")
        else:
            ready = [name for name in nodes if self.is_ready(turn, name, at_start=True)]
            for name in ready:
                if turn.states[name] == "waiting":
                    self.ready(turn, name)
            turn.nothing_started = all(turn.states[name] in ("waiting", "injected", "skipped") for name in nodes)

        def all_looked_at() -> None:
            turn.undecided -= 1
            self.maybe_over(turn)

        self.soon.append(all_looked_at)

    def maybe_over(self, turn: Turn) -> None:
        """Whether nothing of the turn is queued or running any more; then another turn, or the graph's end."""
        busy = turn.undecided or any(each is turn for each, _ in self.queue) or any(job.turn is turn for job in self.running)
        if busy or not turn.alive or self.outcome:
            return
        following = self.following(turn)
        if following is not None:
            turn.alive = False
            self.replace(turn, following)
            self.soon.append(lambda: self.begin(following))
        elif turn.parent is None:
            self.outcome = "failed" if turn.trouble() else "completed"
            self.queue.clear()
            self.running.clear()
            self.soon.clear()
        else:
            self.soon.append(lambda: self.graph_over(turn))

    def following(self, turn: Turn) -> Turn | None:
        """The next turn, or None if this was the last (§8)."""
        loop = turn.graph.get("loop")
        forced = self.force_loop and turn.parent is None
        if turn.broken or (turn.errors and not forced) or not loop or turn.nothing_started:
            return None
        done = turn.number + 1
        updates = {
            name: resolve(node["update"], turn.values, turn.number)
            for name, node in turn.graph["nodes"].items()
            if "agent" not in node and "update" in node
        }
        for name, value in updates.items():
            turn.values[name] = value
            turn.states[name] = "waiting" if value is MISSING else "injected"
        if "count" in loop and done >= (loop["count"] or 0):
            return None
        if "while" in loop and not holds(resolve(loop["while"], turn.values, done)):
            return None
        if self.max_turns is not None and done >= self.max_turns:
            turn.broken = Trouble(f"the loop did not end within {self.max_turns} turns")
            return None
        return Turn(turn.graph, turn.base, done, {**turn.given, **updates}, turn.parent, turn.row)

    def replace(self, turn: Turn, following: Turn) -> None:
        if turn is self.root:
            self.root = following
        else:
            assert turn.parent is not None
            turn.parent.rows = [following if row is turn else row for row in turn.parent.rows]

    # -- readiness and conditions (§6.2, §6.3)

    def is_ready(self, turn: Turn, name: str, *, at_start: bool = False) -> bool:
        node = turn.graph["nodes"][name]
        if "agent" not in node or turn.states[name] != "waiting":
            return False
        names = awaited(node)
        if not node.get("anyInput") or not names:
            return names <= turn.there
        if at_start and not names & turn.there:
            return False
        entries = resolve(node.get("inputs", {}), turn.values, turn.number)
        for key, entry in entries.items():
            members = entry if isinstance(entry, list) else [entry]
            if key != "params" and any(member is not MISSING for member in members):
                return True
        return False

    def ready(self, turn: Turn, name: str) -> None:
        node = turn.graph["nodes"][name]
        runs = ("if" not in node or holds(resolve(node["if"], turn.values, turn.number))) and not (
            "unless" in node and holds(resolve(node["unless"], turn.values, turn.number))
        )
        if not runs and not node.get("defaultValue"):
            turn.states[name] = "skipped"
            self.note(turn, name, "skipped", MISSING)
            return
        if not runs:
            turn.by_default.add(name)
        turn.states[name] = "queued"
        ahead = [place for place, (_, other) in enumerate(self.queue) if self.priority(place) >= node.get("priority", 0)]
        self.queue.insert(ahead[-1] + 1 if ahead else 0, (turn, name))
        self.drain()

    def priority(self, place: int) -> float:
        turn, name = self.queue[place]
        priority: float = turn.graph["nodes"][name].get("priority", 0)
        return priority

    # -- places (§7)

    def drain(self) -> None:
        while (entry := self.next_entry()) is not None:
            self.queue.remove(entry)
            self.start(*entry)

    def next_entry(self) -> tuple[Turn, str] | None:
        limit = self.concurrency["global"] if isinstance(self.concurrency, dict) else self.concurrency
        if len(self.running) >= limit + len(self.parents()):
            return None
        return next((entry for entry in self.queue if self.label_fits(*entry)), None)

    def parents(self) -> list[Job]:
        return [job for job in self.running if job.rows]

    def label_fits(self, turn: Turn, name: str) -> bool:
        label = turn.graph["nodes"][name].get("label")
        limits = self.concurrency.get("labels", {}) if isinstance(self.concurrency, dict) else {}
        if label not in limits:
            return True
        taken = [job for job in self.running if job.node.get("label") == label]
        lent = [job for job in self.parents() if job.node.get("label") == label and job.turn is not turn]
        most: int = limits[label]
        return len(taken) < most + len(lent)

    def start(self, turn: Turn, name: str) -> None:
        job = Job(turn, name)
        self.running.append(job)
        turn.states[name] = "executing"
        if name in turn.by_default:
            self.later(job, lambda: self.shape(job, job.node["defaultValue"], by_agent=False))
        else:
            self.attempt(job)

    def later(self, job: Job, what: Callable[[], None]) -> None:
        """Do it soon, unless the attempt is over by then."""
        retry = job.retry
        self.soon.append(lambda: what() if job in self.running and job.retry == retry else None)

    # -- attempts (§6.4, §6.5)

    def attempt(self, job: Job) -> None:
        node, turn = job.node, job.turn
        job.inputs = resolve(node.get("inputs", {}), turn.values, turn.number)
        if node.get("anyInput"):
            job.inputs = without_nothing(job.inputs)
        over = job.inputs.get("params")
        job.params = {**node.get("params", {}), **(over if isinstance(over, dict) else {})}
        agent = resolve(node["agent"], turn.values, turn.number)
        if agent in self.bypass:
            self.later(job, lambda: self.finish(job, None))
        elif agent in ("nestedAgent", "mapAgent"):
            self.later(job, lambda: self.open(job, is_map=agent == "mapAgent"))
        elif agent == "answerAgent":
            job.outside = True
        else:
            self.later(job, lambda: self.failed(job, Trouble("agent must be either string or function")))

    def shape(self, job: Job, value: Value, *, by_agent: bool) -> None:
        node = job.node
        passed = resolve(node.get("passThrough", {}), job.turn.values, job.turn.number)
        value = laid_over(value, passed)
        if by_agent and "repeatUntil" in node and path_into(value, node["repeatUntil"]["exists"]) in (None, MISSING):
            self.failed(job, Trouble("Repeat Until"))
            return
        if "output" in node:
            value = laid_over(shaped(node["output"], value), passed)
        self.finish(job, value)

    def finish(self, job: Job, value: Value) -> None:
        turn = job.turn
        turn.values[job.name] = value
        turn.states[job.name] = "completed"
        turn.there.add(job.name)
        self.note(turn, job.name, "completed", value)
        for name, node in turn.graph["nodes"].items():
            if "agent" in node and job.name in awaited(node) and self.is_ready(turn, name):
                self.ready(turn, name)
        self.free(job)

    def failed(self, job: Job, trouble: Trouble) -> None:
        if job.rows:  # what they held is free now; a failure by itself starts nothing but another attempt
            self.kill(job.rows)
            job.rows, job.values = [], {}
            self.drain()
        job.outside = False
        default = job.turn.graph.get("retry", 0)
        if job.retry < job.node.get("retry", default):
            job.retry += 1
            self.attempt(job)
            return
        turn = job.turn
        turn.errors[job.name] = trouble
        turn.states[job.name] = "timed-out" if trouble.late else "failed"
        self.note(turn, job.name, turn.states[job.name], str(trouble))
        self.free(job)

    def free(self, job: Job) -> None:
        self.running.remove(job)
        self.drain()
        self.maybe_over(job.turn)

    def kill(self, turns: list[Turn]) -> None:
        """Stop everything of these graphs and of all that they opened."""
        for base in [turn.base for turn in turns]:
            inside = [each for each in self.turns if each.base.startswith(base)]
            for each in inside:
                each.alive = False
            self.queue = [entry for entry in self.queue if entry[0] not in inside]
            self.running = [job for job in self.running if job.turn not in inside]

    # -- nested graphs (§9)

    def open(self, job: Job, *, is_map: bool) -> None:
        try:
            rows = self.rows_of(job) if is_map else [self.inputs_of(job)]
            turns = [self.instance(job, row, number, is_map=is_map) for number, row in enumerate(rows)]
        except Trouble as trouble:
            self.nested_failed(job, trouble)
            return
        if not turns:
            self.shape(job, self.composed(job), by_agent=True)
            return
        job.rows = turns
        for turn in turns:
            self.begin(turn)

    def rows_of(self, job: Job) -> list[dict[str, Value]]:
        rows, params = job.inputs.get("rows"), job.params
        if not isinstance(rows, list):
            raise Trouble("mapAgent: rows property is required in namedInput")
        rows = rows[: params["limit"]] if params.get("limit") else rows
        made = []
        for number, row in enumerate(rows):
            values = {name: value for name, value in job.inputs.items() if name != "rows"}
            for name in params.get("expandKeys", ()):
                column = values.get(name)
                values[name] = column[number] if isinstance(column, list) and number < len(column) else MISSING
            made.append({**values, params.get("rowKey", "row"): row, "__mapIndex": number})
        return made

    def inputs_of(self, job: Job) -> dict[str, Value]:
        own = self.graph_of(job)["nodes"]
        for name, value in job.inputs.items():
            if value is not MISSING and "agent" in own.get(name, {}):
                raise Trouble("Cannot set both agent and value")
        return {name: value for name, value in job.inputs.items() if value is not MISSING or name not in own}

    def graph_of(self, job: Job) -> Mapping[str, Any]:
        graph = (
            resolve(job.node["graph"], job.turn.values, job.turn.number)
            if isinstance(job.node["graph"], str)
            else job.node["graph"]
        )
        if not isinstance(graph, dict):
            raise Trouble("No GraphData")
        return graph

    def instance(self, job: Job, values: dict[str, Value], number: int, *, is_map: bool) -> Turn:
        graph = self.graph_of(job)
        given = {name: value for name, value in values.items() if "agent" not in graph["nodes"].get(name, {})}
        nodes = {**graph["nodes"], **{name: {} for name in given if name not in graph["nodes"]}}
        if any(name not in nodes for node in nodes.values() for name in awaited(node)):
            raise Trouble("invalid graph")
        graph = {**graph, "nodes": nodes}
        if not is_map and given.get("loopCount"):
            graph["loop"] = {"count": given["loopCount"]}
        segment = job.name + (f"[{number}]" if is_map else "") + (f"#{job.turn.number}" if job.turn.number else "")
        base = f"{job.turn.base}{segment}" + (f"!{job.retry}" if job.retry else "") + "/"
        return Turn(graph, base, 0, given, job, number)

    def graph_over(self, turn: Turn) -> None:
        job = turn.parent
        assert job is not None
        if job not in self.running or turn not in job.rows:
            return  # another row failed first: this one went on in the background
        trouble = turn.trouble()
        if trouble is not None:
            job.rows, job.values = [], {}
            self.nested_failed(job, trouble)
            return
        everything = bool(job.params.get("resultAll")) and resolve(job.node["agent"], job.turn.values, 0) == "mapAgent"
        job.values[turn.row] = {} if turn.nothing_started and turn.number == 0 else turn.results(all=everything)
        if len(job.values) == len(job.rows):
            is_map = resolve(job.node["agent"], job.turn.values, 0) == "mapAgent"
            only = job.params.get("resultNodeId")
            value = self.composed(job) if is_map else job.values[0].get(only, MISSING) if only else job.values[0]
            job.rows, job.values = [], {}
            self.shape(job, value, by_agent=True)

    def nested_failed(self, job: Job, trouble: Trouble) -> None:
        if job.params.get("supressError"):
            message = str(trouble)
            value = {"onError": {"message": message, "error": {"name": "Error", "message": message}}}
            self.shape(job, value, by_agent=True)
        else:
            self.failed(job, Trouble(str(trouble)))

    def composed(self, job: Job) -> Value:
        rows = [job.values[number] for number in sorted(job.values)]
        only = job.params.get("compositeResultKey")
        if only:
            return [row.get(only) for row in rows] if not rows or only in rows[0] else MISSING
        if job.params.get("compositeResult"):
            return {name: [row.get(name) for row in rows] for name in (rows[0] if rows else ())}
        return rows
