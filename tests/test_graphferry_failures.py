from __future__ import annotations

import io
from pathlib import Path

import pytest

from graphferry.failures import report, status_of
from graphs.environment import Environment, ExitStatus
from graphs.errors import (
    GraphInvalid,
    JournalError,
    NodeError,
    Problem,
    RunAborted,
    RunFailed,
    RunSuspended,
    UsageError,
    WorkerUnreachable,
)


def said(error: BaseException, *, debug: bool = False, stdout: io.StringIO | None = None) -> tuple[ExitStatus, str]:
    env = Environment(io.StringIO(), stdout or io.StringIO(), io.StringIO())
    status = report(error, env, debug=debug)
    assert isinstance(env.stderr, io.StringIO)
    return status, env.stderr.getvalue()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("no"), ExitStatus.USAGE),
        (GraphInvalid([Problem("GF101", "no nodes")]), ExitStatus.USAGE),
        (RunFailed("draft", NodeError("bad"), {}), ExitStatus.FAILED),
        (RunAborted("cancelled", {}), ExitStatus.FAILED),
        (JournalError("disk full"), ExitStatus.FAILED),
        (RunSuspended("r", "UNREACHABLE", "waits"), ExitStatus.SUSPENDED),
        (RunSuspended("r", "interrupted", "waits"), ExitStatus.INTERRUPTED),
        (WorkerUnreachable("ws://x", "no answer"), ExitStatus.UNREACHABLE),
        (KeyboardInterrupt(), ExitStatus.INTERRUPTED),
        (ZeroDivisionError("x"), ExitStatus.FAILED),
    ],
)
def test_each_kind_of_error_has_its_status(error: BaseException, status: ExitStatus) -> None:
    assert status_of(error) == status
    assert said(error)[0] == status


def test_an_error_is_its_message_and_its_hint() -> None:
    assert said(UsageError("no such file: g.yaml", hint="ls")) == (2, "error: no such file: g.yaml\n  ls\n")


def test_an_invalid_graph_shows_all_its_problems_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "news.yaml").write_text("nodes:\n  merge:\n    inputs: {text: :analyze}\n")
    problems = [
        Problem("GF103", "no such node", (), "news.yaml", 3, 20, 7, 'did you mean "analyse"?'),
        Problem("GF102", "no nodes", (), "news.yaml"),
    ]
    env = Environment(io.StringIO(), io.StringIO(), io.StringIO(), {}, tmp_path)
    assert report(GraphInvalid(problems, file="news.yaml"), env, debug=False) == ExitStatus.USAGE
    assert isinstance(env.stderr, io.StringIO)
    text = env.stderr.getvalue()
    assert "error[GF103]: no such node" in text
    assert "news.yaml:3:20" in text
    assert '3 |     inputs: {text: :analyze}\n  |                    ^^^^^^^ did you mean "analyse"?\n' in text
    assert "error[GF102]: no nodes" in text
    assert text.endswith("2 problems. Nothing was run.\n")


def test_an_invalid_graph_whose_file_is_gone_is_reported_all_the_same(tmp_path: Path) -> None:
    env = Environment(io.StringIO(), io.StringIO(), io.StringIO(), {}, tmp_path)
    report(GraphInvalid([Problem("GF102", "no nodes", (), "gone.yaml", 3, 1)], file="gone.yaml"), env, debug=False)
    assert isinstance(env.stderr, io.StringIO)
    assert "gone.yaml:3:1" in env.stderr.getvalue()


def test_an_error_of_the_system_names_the_file() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Path("/no/such/file").read_bytes()
    assert said(caught.value) == (1, "error: No such file or directory: /no/such/file\n")


def test_a_fault_of_ours_is_called_one_and_debug_shows_where() -> None:
    status, text = said(ZeroDivisionError("by zero"))
    assert status == ExitStatus.FAILED
    assert text.startswith("internal error: ZeroDivisionError: by zero\n")
    assert "--debug" in text
    _, text = said(ZeroDivisionError("by zero"), debug=True)
    assert text.endswith("internal error: ZeroDivisionError: by zero\n")


def test_a_group_of_one_error_is_that_error() -> None:
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [UsageError("no")])])
    assert said(group) == (2, "error: no\n")


class Closed(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError


def test_a_closed_stdout_is_left_in_silence_and_another_broken_pipe_is_not() -> None:
    assert said(BrokenPipeError(), stdout=Closed()) == (ExitStatus.PIPE_CLOSED, "")
    assert said(BrokenPipeError())[0] == ExitStatus.FAILED
