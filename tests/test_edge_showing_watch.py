from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edge.placing.facts import Placement
from edge.showing.progress import ProgressEvent, plain_line
from edge.showing.watch import Watch
from graphs.errors import NodeError, WorkerUnreachable
from graphs.records import Result, State
from graphs.values import MISSING

PLACED = {"near": Placement("edge", "it is here"), "far": Placement("cloud", "it is there")}


class Watched:
    def __init__(self, **made: tuple[Result, int]) -> None:
        self.told: list[ProgressEvent] = []
        self.watch = Watch(PLACED, made.get, self.told.append, kept={"near": "edge"})

    def start(
        self, path: str, *, retry: int = 0, stands_in: bool = False, leaves: str | None = None, model: str | None = None
    ) -> Any:
        node = SimpleNamespace(stands_in=stands_in, moved=None, leaves=leaves, model=model)
        agent = SimpleNamespace(needs=frozenset({"model"})) if model is not None else None
        start: Any = SimpleNamespace(path=path, retry=retry, t=10.0, node=node, agent=agent)
        self.watch.started(start, 10.0)
        return start

    def settle(self, path: str, state: State, value: Any = None, *, start: Any = None, known: bool = False, **by: Any) -> None:
        event: Any = SimpleNamespace(path=path, state=state, value=value, start=start, known=known)
        self.watch.settled(event, by, {"completion_tokens": 5} if by else None, 10.25)


def test_a_node_that_ran_here_says_by_what_and_how_long() -> None:
    seen = Watched()
    seen.settle("near", State.COMPLETED, 1, start=seen.start("near"), model="tiny")
    report = seen.watch.nodes["near"]
    assert (report.state, report.place, report.reason, report.by, report.ms) == (
        "completed",
        "edge",
        "it is here",
        {"model": "tiny"},
        250.0,
    )
    started, finished = seen.told
    assert (started["event"], started["path"], started["place"], started["why"]) == ("started", "near", "edge", "it is here")
    assert (finished["event"], finished["by"], finished["ms"], finished["tokens"]) == ("finished", "tiny", 250.0, 5)


def test_a_node_that_ran_at_the_worker_says_what_the_workers_record_says() -> None:
    record = Result("far", 2, 1, "v", 0, {"model": "huge", "digest": "d"}, {"ms": 7, "completion_tokens": 3})
    seen = Watched(far=(record, 99))
    seen.start("far")
    seen.settle("far", State.COMPLETED, "v", known=True)
    report = seen.watch.nodes["far"]
    assert (report.by, report.retry, report.ms, report.down) == ({"model": "huge", "digest": "d"}, 1, 7, 99)
    assert seen.told[-1]["down"] == 99


def test_a_node_that_asks_a_model_here_says_which_so_that_its_phases_can_be_told_apart() -> None:
    seen = Watched()
    seen.start("near", model="small")
    seen.start("far", model="large")  # nobody here knows what it does there
    assert [each.get("model") for each in seen.told] == ["small", None]


def test_what_was_there_when_the_run_went_on_is_kept_and_not_finished_now() -> None:
    seen = Watched(near=(Result("near", 1, 0, "v", 0, {"model": "tiny"}, {"ms": 7}), 50))
    seen.settle("near", State.COMPLETED, "v", known=True)
    assert plain_line(seen.told[-1]) == "kept      near on edge"
    seen = Watched()
    seen.settle("near", State.COMPLETED, 1, start=seen.start("near"), model="tiny")  # made again
    assert str(plain_line(seen.told[-1])).startswith("finished  near")


def test_what_is_kept_was_made_where_it_was_whatever_its_place_is_now() -> None:
    seen = Watched(far=(Result("far", 1, 0, "v", 0, {"model": "tiny"}, {"ms": 7}), 0))
    seen.watch = Watch(
        PLACED, {"far": (Result("far", 1, 0, "v", 0, {"model": "tiny"}, None), 0)}.get, seen.told.append, {"far": "edge"}
    )
    seen.settle("far", State.COMPLETED, "v", known=True)
    assert plain_line(seen.told[-1]) == "kept      far on edge"
    assert (seen.watch.nodes["far"].place, seen.watch.nodes["far"].reason) == ("edge", "is done already")


def test_what_stands_in_here_is_not_said_to_start_at_the_worker_with_its_first_word() -> None:
    seen = Watched()
    seen.start("far")
    seen.watch.token(seen.start("far", stands_in=True), "It")
    assert [(each["event"], each.get("place")) for each in seen.told] == [
        ("waiting", "cloud"), ("started", "edge"), ("token", None),
    ]  # fmt: skip


def test_what_left_for_the_worker_says_so_and_why() -> None:
    seen = Watched(near=(Result("near", 1, 0, "v", 0, {"model": "tiny"}, None), 50))
    seen.start("near", leaves="tiny is busy")
    seen.settle("near", State.COMPLETED, "v", known=True)
    report = seen.watch.nodes["near"]
    assert (report.place, report.reason, report.down) == ("cloud", "goes to the worker after all: tiny is busy", 50)


def test_what_ran_here_instead_says_so_and_why() -> None:
    seen = Watched()
    seen.settle("far", State.COMPLETED, "v", start=seen.start("far", stands_in=True), model="tiny", degraded="unreachable")
    report = seen.watch.nodes["far"]
    assert (report.place, report.reason, report.degraded) == ("edge", "ran here instead of at the worker", "unreachable")
    assert report.as_json()["degraded"] == "unreachable"
    started, finished = seen.told
    assert (started["place"], finished["place"], finished["degraded"]) == ("edge", "edge", "unreachable")


def test_what_ran_here_instead_in_an_earlier_session_says_so_still() -> None:
    record = Result("far", 2, 0, "v", 0, {"model": "tiny", "degraded": "deadline"}, {"ms": 7})
    seen = Watched(far=(record, 0))
    seen.settle("far", State.COMPLETED, "v", known=True)
    report = seen.watch.nodes["far"]
    assert (report.place, report.degraded, report.down) == ("edge", "deadline", 0)


def test_what_the_worker_makes_after_all_is_the_workers() -> None:
    made: dict[str, Any] = {}
    seen = Watched()
    seen.watch = Watch(PLACED, made.get, seen.told.append)
    gone = seen.start("far")
    seen.start("far", stands_in=True)
    seen.settle("far", State.SUSPENDED, WorkerUnreachable("", "gone"), start=gone)
    assert list(seen.watch.errors) == ["far"]
    made["far"] = Result("far", 1, 0, "v", 0, {"model": "huge"}, {"ms": 7}), 9
    seen.settle("far", State.COMPLETED, "v", known=True)
    report = seen.watch.nodes["far"]
    assert (report.place, report.reason, report.degraded, report.down) == ("cloud", "it is there", None, 9)
    assert seen.watch.errors == {}


def test_a_result_of_an_earlier_session_made_here_came_over_no_link() -> None:
    seen = Watched(near=(Result("near", 1, 0, "v", 0, {"agent": "a"}, {"ms": 7}), 99))
    seen.settle("near", State.COMPLETED, "v", known=True)
    assert (seen.watch.nodes["near"].by, seen.watch.nodes["near"].down) == ({"agent": "a"}, 0)


def test_what_only_waited_was_made_by_nobody() -> None:
    seen = Watched()
    start = seen.start("far")
    seen.settle("far", State.SUSPENDED, WorkerUnreachable("ws://x/", "away"), start=start, agent="llmAgent")
    report = seen.watch.nodes["far"]
    assert (report.state, dict(report.by), report.ms) == ("suspended", {}, None)
    assert isinstance(seen.watch.errors["far"], WorkerUnreachable)
    assert (seen.told[-1]["event"], seen.told[-1]["why"]) == ("suspended", "away")


def test_failures_and_retries_are_told_with_their_codes() -> None:
    seen = Watched()
    start = seen.start("near")
    error = NodeError("no luck")
    seen.watch.erred(start, error, False, 10.1)
    assert seen.watch.nodes["near"].retry == 1
    assert (seen.told[-1]["event"], seen.told[-1]["retry"], seen.told[-1]["code"]) == ("retry", 1, "NODE_FAILED")
    again = seen.start("near", retry=1)
    seen.watch.erred(again, error, True, 10.2)
    seen.settle("near", State.FAILED, error, start=again)
    assert seen.watch.nodes["near"].retry == 1
    assert seen.watch.errors == {"near": error}
    assert (seen.told[-1]["event"], seen.told[-1]["message"]) == ("failed", "no luck")


def test_skipped_and_timed_out_have_words_of_their_own() -> None:
    seen = Watched()
    seen.settle("near", State.SKIPPED, MISSING)
    assert (seen.watch.nodes["near"].state, seen.told[-1]["event"]) == ("skipped", "skipped")
    seen.settle("far", State.TIMED_OUT, NodeError("Timeout"), start=seen.start("far"))
    assert seen.watch.nodes["far"].state == "timed-out"


def test_what_lies_in_a_node_has_the_place_of_the_node() -> None:
    seen = Watched()
    for path in ("far/inner", "far[2]/inner", "far#3", "far!1/inner"):
        seen.start(path)
        assert seen.watch.nodes[path].place == "cloud"


def test_a_node_that_never_began_is_waiting() -> None:
    seen = Watched()
    report = seen.watch.waiting("far")
    assert (report.state, report.place, report.ms, report.by) == ("waiting", "cloud", None, {})


def test_pieces_of_an_answer_are_told_as_text() -> None:
    seen = Watched()
    seen.watch.streamed("far", "word")
    seen.watch.streamed("far", {"delta": 1})
    assert [event["text"] for event in seen.told] == ["word", ""]


def test_a_node_of_the_workers_is_not_said_to_run_before_it_is_heard_of() -> None:
    record = Result("far", 2, 1, "v", 0, {"model": "huge", "digest": "d"}, {"ms": 7, "completion_tokens": 3})
    seen = Watched(far=(record, 99))
    seen.start("far")
    assert [(each["event"], each.get("place")) for each in seen.told] == [("waiting", "cloud")]
    for piece in ("a", "b"):
        seen.watch.streamed("far", piece)
    seen.settle("far", State.COMPLETED, "v", known=True)
    assert [each["event"] for each in seen.told] == ["waiting", "started", "token", "token", "finished"]
    assert {each["place"] for each in seen.told if "place" in each} == {"cloud"}
