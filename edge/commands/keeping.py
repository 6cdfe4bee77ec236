"""`graphferry runs export`, `import`, `rm` and `prune`: a run in a file of its own, back from one, and away."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.commands.options import duration, positive
from edge.commands.piped import STREAM, piped_in, piped_out
from edge.runs.at_work import at_work, is_at_work
from edge.runs.upgrade import forget_degraded
from edge.showing.node_table import size
from edge.syncing.spool import forget_given, spooled
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal.claims import forget_claim
from graphs.journal.ids import run_id_short, run_id_text
from graphs.journal.removals import note_removal
from graphs.journal.store import OVER
from graphs.terminal import printable
from graphs.values import canonical
from protocol.marks import remove_mark
from protocol.noted import drop_note, untold

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from graphs.journal import Journal
    from graphs.journal.reader import RunRow

__all__ = ["add_commands", "export", "prune", "remove", "take_in"]

_OLD: Final = "30d"


def add_commands(commands: Any) -> None:
    """Adds the four to the commands of `graphferry runs`."""
    out: ArgumentParser = commands.add_parser("export", help="write a run with all that belongs to it into one file")
    out.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    out.add_argument(
        "-o", "--out", metavar="FILE", help="the file (RUN.gfrun), - for standard output; what is labelled private is in it, too"
    )
    into = commands.add_parser("import", help="take in such a file, if every hash in it holds")
    into.add_argument("file", metavar="FILE", help="the file; - reads standard input")
    away = commands.add_parser("rm", help="remove runs that are over, with their records and bodies")
    away.add_argument("runs", metavar="RUN", nargs="+", help="the run's id, or its beginning")
    away.add_argument("--force", action="store_true", help="also a run that is not over: what it did not finish is given up")
    old: ArgumentParser = commands.add_parser("prune", help="remove runs that have been over for long")
    old.add_argument("--older-than", metavar="DURATION", default=_OLD, help="those that ended longer ago (%(default)s)")
    old.add_argument("--keep", metavar="N", type=positive, default=0, help="but not the newest N of those that are over")
    old.add_argument("--dry-run", action="store_true", help="only say which they are")


def export(journal: Journal, args: Namespace, env: Environment) -> int:
    """`runs export`. A file appears whole or not at all."""
    from graphs.journal.archive import export_run

    row = journal.run(args.run)
    if args.out == STREAM:
        out = piped_out(env)
        archived = export_run(journal, row.run, out)
        out.flush()
        env.stderr.write(f"run {run_id_text(row.run)}: {_what(archived)}\n")
        return ExitStatus.COMPLETED
    path = env.cwd / (args.out or f"{run_id_short(row.run)}.gfrun")
    if path.exists():
        raise UsageError(f"{path.name} is there already", hint="Name another file with --out.")
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(draft, "xb", opener=_private) as out:
            archived = export_run(journal, row.run, out)
            out.flush()
            os.fsync(out.fileno())
        draft.rename(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    env.stdout.write(f"{path.name}: run {run_id_text(row.run)}, {_what(archived)}\n")
    return ExitStatus.COMPLETED


def take_in(journal: Journal, args: Namespace, env: Environment) -> int:
    """`runs import`."""
    from graphs.journal.archive import import_run

    try:
        with piped_in(env) if args.file == STREAM else (env.cwd / args.file).open("rb") as source:
            archived = import_run(journal, source, canonical(untold().told()))
    except OSError as error:
        raise UsageError(f"{args.file} cannot be read: {error.strerror or error}") from error
    env.stdout.write(f"run {run_id_text(archived.run.run)} of {archived.run.name}: {_what(archived)}\n")
    return ExitStatus.COMPLETED


def remove(journal: Journal, args: Namespace, env: Environment) -> int:
    """`runs rm`: all of the named, or none if one of them may not be removed."""
    from edge.device import sweep_bodies

    rows = {row.run: row for row in map(journal.run, args.runs)}
    for row in rows.values():
        if row.role != "root":
            raise UsageError(f"{run_id_text(row.run)} is the part of a run that a worker ran; remove the run itself")
        if not args.force:
            _require_over(row, at_work=is_at_work(journal.path, row.run))
    _remove(journal, rows, lambda row: None if args.force else _require_over(row))
    env.stdout.writelines(f"run {run_id_text(run)} is removed\n" for run in rows)
    sweep_bodies(journal, again=True)
    return ExitStatus.COMPLETED


def prune(journal: Journal, args: Namespace, env: Environment) -> int:
    """`runs prune`: what has been over for long and nobody waits for."""
    from edge.device import sweep_bodies

    before = int((time.time() - duration(args.older_than)) * 1000)
    over = sorted((row for row in journal.runs(role="root") if row.status in OVER), key=lambda row: row.ended or 0)
    old = [row for row in over[: max(0, len(over) - args.keep)] if (row.ended or 0) < before]
    waiting, found = spooled(journal), 0

    def require_idle(row: RunRow) -> None:
        _require_over(row)
        if (row.ended or 0) >= before:
            raise UsageError("it has gone on meanwhile")
        if row.run in waiting:
            raise UsageError(f"{waiting[row.run].records} records of it wait to go out (graphferry sync)")
        if any(child.status not in OVER for child in journal.children(row.run)):
            raise UsageError("its worker has not said how its part ended (graphferry sync)")

    for row in old:
        text = run_id_text(row.run)
        try:
            if args.dry_run:
                require_idle(row)
            else:
                _remove(journal, [row.run], require_idle)
        except UsageError as error:
            env.stderr.write(f"run {text} is kept: {error.message}\n")
            continue
        found += 1
        env.stdout.write(f"run {text} {'would be' if args.dry_run else 'is'} removed: {printable(row.name)}, {row.status}\n")
    if found and not args.dry_run:
        sweep_bodies(journal, again=True)
    if not found:
        env.stdout.write(f"no run that can be removed has been over for {args.older_than}\n")
    return ExitStatus.COMPLETED


def _require_over(row: RunRow, *, at_work: bool = False) -> None:
    """Raises UsageError if the run may still go on."""
    if row.status not in OVER:
        how = "cut off" if row.status == "running" and not at_work else row.status
        raise UsageError(
            f"run {run_id_text(row.run)} is not over: it is {how}",
            hint="End it first with `graphferry runs cancel`, which tells its worker, too; or say --force.",
        )


def _remove(journal: Journal, runs: Collection[bytes], require: Callable[[RunRow], None]) -> None:
    """Remove root runs with all that belongs to them: all, or none if one of them is not as `require` says or a process works on it. Raises
    UsageError.
    """
    with ExitStack() as working:  # whoever works on one of them would write into a log that is gone
        for run in runs:
            working.enter_context(at_work(journal.path, run))
        for run in runs:
            require(journal.run(run))  # nobody can change it any more
        for run in runs:
            note_removal(journal, run)
            remove_mark(journal, run)
            forget_given(journal, run)
            forget_degraded(journal, run)
            forget_claim(journal, run)
            for each in (*(child.run for child in journal.children(run)), run):
                journal.remove_run(each)
                drop_note(journal, each)
        journal.flush(full=True)


def _what(archived: Any) -> str:
    bodies = f", {size(archived.bodies)} of large values" if archived.bodies else ""
    children = archived.runs - 1
    of_workers = f", {children} child run{'s' if children > 1 else ''}" if children else ""
    return f"{archived.records} records{of_workers}{bodies}"


def _private(path: str | Path, flags: int) -> int:
    return os.open(path, flags, 0o600)
