"""Carries a run out for a command: the event loop, Ctrl-C, the table, the result, the exit status."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Coroutine
from typing import Any

from edge.people.posters import notice
from edge.runs.runner import Device
from edge.showing.node_table import node_table
from edge.showing.progress import Progress
from edge.showing.report import RunReport, result_text
from graphs.environment import SWITCH_SECONDS, Environment, ExitStatus
from graphs.errors import AnswerNeeded, LinkCondition
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
    try:
        with collected_seldom():
            report = asyncio.run(whole())
    except asyncio.CancelledError:
        newest = device.journal.runs(1, role="root")
        if newest:
            print(
                f"interrupted; what is finished is kept. Go on with:\n  graphferry resume {run_id_text(newest[0].run)}",
                file=env.stderr,
            )
        return ExitStatus.INTERRUPTED
    progress.close()
    _print(report, args, env)
    return report.exit_status


def _on_interrupt(loop: asyncio.AbstractEventLoop, task: asyncio.Future[RunReport]) -> bool:
    try:
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    except (NotImplementedError, ValueError, RuntimeError):  # not the main thread, or no signals here
        return False
    return True


def _print(report: RunReport, args: Namespace, env: Environment) -> None:
    if args.json:
        env.stdout.write(json.dumps(report.as_json(), ensure_ascii=False, default=_json_default) + "\n")
    elif report.status == "completed" or report.results:
        text = result_text(report.results)
        env.stdout.write(text if text.endswith("\n") else text + "\n")
    if args.progress != "quiet" and not args.json:
        rows = [node.as_row() for node in report.nodes.values()]
        encoding = getattr(env.stderr, "encoding", None) or "utf-8"
        env.stderr.write(
            node_table(rows, width=shutil.get_terminal_size((110, 24)).columns, colour=env.colour, encoding=encoding)
        )
    if report.status != "completed":
        _explain(report, env)


def _explain(report: RunReport, env: Environment) -> None:
    out = env.stderr
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
                print(f"  {hint}", file=out)
    then = "Once answered, go on with" if report.questions else "Go on with"
    print(f"What is finished is kept. {then}:\n  graphferry resume {report.run}", file=out)


def _json_default(value: object) -> str:
    """Bytes have no JSON form: base64, as in data URLs."""
    import base64

    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)
