"""Carries a run out for a command: the event loop, Ctrl-C, the table, the result, the exit status."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Coroutine, Mapping
from typing import Any

from edge.means import Device
from edge.people.posters import notice
from edge.runs.pauses import HANDED_OVER
from edge.showing.node_table import node_table
from edge.showing.progress import Progress
from edge.showing.report import RunReport, result_text
from graphs.environment import SWITCH_SECONDS, Environment, ExitStatus
from graphs.errors import AnswerNeeded, GraphferryError, JournalError, LinkCondition, RunSuspended
from graphs.journal.ids import run_id_text
from graphs.language.uncollected import collected_seldom

__all__ = ["carry_out"]


def carry_out(
    run: Coroutine[Any, Any, RunReport], device: Device, progress: Progress, *, args: Namespace, env: Environment
) -> int:
    """Run to the end, print what came of it, and give the exit status. Ctrl-C suspends the run, so that it can be resumed."""

    async def whole() -> RunReport:
        task = asyncio.ensure_future(run)
        loop = asyncio.get_running_loop()
        installed = _on_interrupt(loop, task)
        try:
            return await task
        finally:
            if installed:
                loop.remove_signal_handler(signal.SIGINT)
            await device.models.close()

    sys.setswitchinterval(SWITCH_SECONDS)
    with collected_seldom():
        try:
            report = asyncio.run(whole())
        except asyncio.CancelledError:
            progress.close()
            if device.run is None:
                print("interrupted; nothing was run", file=env.stderr)
            else:
                print(
                    f"interrupted; what is finished is kept. Go on with:\n  graphferry resume {run_id_text(device.run)}{_with_worker(args)}",
                    file=env.stderr,
                )
            return ExitStatus.INTERRUPTED
        except JournalError as error:
            progress.close()
            raise _resumable(error, device) from error
        progress.close()
        _print(report, args, env)
    return report.exit_status


def _resumable(error: JournalError, device: Device) -> JournalError:
    """The error, with the command that goes on with the run, if that is on record."""
    try:
        assert device.run is not None
        device.journal.run(device.run)
    except (AssertionError, GraphferryError):
        return error
    return JournalError(
        error.message, hint=f"{error.hint or 'What is finished is kept.'}\n  graphferry resume {run_id_text(device.run)}"
    )


def _on_interrupt(loop: asyncio.AbstractEventLoop, task: asyncio.Future[RunReport]) -> bool:
    try:
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    except (NotImplementedError, ValueError, RuntimeError):  # not the main thread, or no signals here
        return False
    return True


def _print(report: RunReport, args: Namespace, env: Environment) -> None:
    if args.json:
        env.stdout.write(_as_json(report.as_json()) + "\n")
    elif report.status == "completed" or report.results:
        text = result_text(report.results)
        env.stdout.write(text if text.endswith("\n") else text + "\n")
    if args.progress not in ("quiet", "json") and not args.json:  # whoever reads events line by line gets nothing else
        rows = [node.as_row() for node in report.nodes.values()]
        encoding = getattr(env.stderr, "encoding", None) or "utf-8"
        env.stderr.write(
            node_table(rows, width=shutil.get_terminal_size((110, 24)).columns, colour=env.colour, encoding=encoding)
        )
    if report.status != "completed":
        _explain(report, args, env)


def _with_worker(args: Namespace) -> str:
    """What the command that goes on needs as well: a worker that no configuration names."""
    return f" --cloud {args.cloud}" if args.cloud else ""


def _explain(report: RunReport, args: Namespace, env: Environment) -> None:
    out = env.stderr
    if report.status == "cancelled":
        print(f"run {report.run} was cancelled by another process; what is finished is kept", file=out)
        return
    if report.status == "failed" and report.first_error is not None:
        node, error = report.first_error
        print(f"error: node {node!r} failed: {error}" if node else f"error: {error}", file=out)
        for path, other in report.errors.items():
            if other is not error:
                print(f"  also {path!r}: {other}", file=out)
    elif report.status == "suspended":
        said = set()
        for question in report.questions:
            print(f"waits for you: {notice(report.run, question)}", file=out)
        for path, error in report.errors.items():
            if isinstance(error, AnswerNeeded):
                continue
            message = getattr(error, "message", str(error))
            if message in said:
                continue
            said.add(message)
            reason = report.nodes[path].reason if path in report.nodes else ""
            waiting = f" ({path!r} waits; {reason})" if path and isinstance(error, LinkCondition) else ""
            print(f"suspended: {message}{waiting}", file=out)
            if hint := getattr(error, "hint", None):
                print(f"  {hint.replace(' RUN ', f' {report.run} ')}", file=out)
    if any(isinstance(error, RunSuspended) and error.reason == HANDED_OVER for error in report.errors.values()):
        print(
            f"What is finished is kept. Who holds the run now, and how far it is, shows:\n  graphferry runs show {report.run}",
            file=out,
        )
        return
    then = "Once answered, go on with" if report.questions else "Go on with"
    print(f"What is finished is kept. {then}:\n  graphferry resume {report.run}{_with_worker(args)}", file=out)


def _as_json(told: Any) -> str:
    try:
        return json.dumps(told, ensure_ascii=False, default=_json_default, allow_nan=False)
    except ValueError:  # a number that JSON does not have: null, as in JavaScript
        return json.dumps(_with_nulls(told), ensure_ascii=False, default=_json_default)


def _with_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_nulls(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_default(value: object) -> str:
    """Bytes have no JSON form: base64, as in data URLs."""
    import base64

    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)
