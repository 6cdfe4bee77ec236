"""`graphferry answer`: the questions that runs wait with; `answer RUN`: asks them here; `answer RUN NODE VALUE`: answers one."""

from __future__ import annotations

import asyncio
import difflib
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final

from edge.commands import resume
from edge.commands.options import add_run_options
from edge.config import EdgeConfig, load_config
from edge.network.link_policy import held_back
from edge.network.sensing import read_conditions
from edge.people.answers import UNDECIDED, asked_in, asking_runs, give, is_held_here, overtaken, refuse_second
from edge.people.person import person_at
from edge.people.posters import answer_command, notice
from edge.runs.at_work import is_at_work
from graphs.environment import Environment, ExitStatus
from graphs.errors import LinkCondition, UsageError
from graphs.journal import Journal, RunRow
from graphs.journal.ids import run_id_text
from graphs.questions import Question, read, shown
from graphs.values import Value, clean

if TYPE_CHECKING:
    from edge.syncing.telling import Heard

__all__ = ["add_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="?", help="the run's id, or its beginning; without it, all open questions")
    parser.add_argument("node", metavar="NODE", nargs="?", help="the path of the node that asks; without it, you are asked here")
    parser.add_argument(
        "value",
        metavar="VALUE",
        nargs="?",
        help="the answer: yes or no (and a comment), a choice or its number, JSON for a form, a text",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run at once; the options below are for that")
    add_run_options(parser)


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    if not config.journal.is_file():
        if args.run is not None:
            raise UsageError(f"there is no journal at {config.journal}, so there are no runs")
        env.stdout.write("[]\n" if args.json else "no questions\n")
        return ExitStatus.COMPLETED
    with Journal.open(config.journal) as journal:
        if args.run is None:
            return _list(journal, args, env)
        row = journal.run(args.run)
        wanted = _wanted(journal, row, args.node)
        given = _ask_here(journal, row, wanted, env) if args.value is None else _take(journal, row, wanted[0], args.value)
        left = [each.question for each in asked_in(journal, row.run).values() if each.open]
        where = _where(config, journal, row)
        told = _tell(journal, row, given, args, config, env) if where == "away" and given else None
    return _then(args, row, given, left, where, told, env)


def _wanted(journal: Journal, row: RunRow, path: str | None) -> list[Question]:
    """The questions of a run that are open, or the one of that path.

    Raises UsageError where there is nothing to answer: it names the answer that there is, or the questions.
    """
    text = run_id_text(row.run)
    if row.role != "root":
        raise UsageError(f"{text} is the part of a run that a worker ran; the run itself has the questions")
    found = asked_in(journal, row.run)
    if path is not None and path in found:
        refuse_second(journal, row.run, found[path].question)
    if row.status not in UNDECIDED:
        raise UsageError(f"run {text} is over: it is {row.status}", hint=f"Look at it: graphferry runs show {text}")
    still = {each: about.question for each, about in found.items() if about.open}
    if path is not None and path not in still:
        near = difflib.get_close_matches(path, still, 1, 0.5)
        asks = f"Did you mean {near[0]!r}?" if near else f"Asked are: {', '.join(still)}." if still else "None of its nodes asks."
        raise UsageError(f"node {path!r} of run {text} asks nothing", hint=asks)
    return [still[path]] if path is not None else list(still.values())


def _take(journal: Journal, row: RunRow, question: Question, text: str) -> dict[str, Value]:
    value = read(question, text)
    give(journal, row.run, question, value)
    return {question.path: value}


# -- the questions there are


def _list(journal: Journal, args: Namespace, env: Environment) -> int:
    runs = list(asking_runs(journal))
    if args.json:
        entries = [{"run": run_id_text(row.run), **each.question.as_json()} for row, found in runs for each in found if each.open]
        env.stdout.write(json.dumps(entries, ensure_ascii=False, default=str) + "\n")
        return ExitStatus.COMPLETED
    if not runs:
        env.stdout.write("no questions\n")
    for row, found in runs:
        env.stdout.write(f"run {run_id_text(row.run)} of {row.name}, {row.status}\n")
        for each in found:
            if each.open:
                env.stdout.write(indent(notice(run_id_text(row.run), each.question), "  ") + "\n")
    return ExitStatus.COMPLETED


# -- asking here


def _ask_here(journal: Journal, row: RunRow, wanted: list[Question], env: Environment) -> dict[str, Value]:
    run = run_id_text(row.run)
    if not wanted:
        env.stderr.write(f"run {run} asks nothing\n")
        return {}
    person = person_at(env)
    if person is None:
        raise UsageError(
            "nobody can be asked here: this is no terminal", hint=f"Give the answer: {answer_command(run, wanted[0])}"
        )
    given: dict[str, Value] = {}
    for question in wanted:
        value = asyncio.run(person.ask(question))
        if value is None:
            break
        give(journal, row.run, question, value)
        given[question.path] = value
    return given


# -- what follows


def _tell(
    journal: Journal, row: RunRow, given: Mapping[str, Value], args: Namespace, config: EdgeConfig, env: Environment
) -> _Told:
    """Tell the worker of answers to a run that is not held here, if that may be now: somebody may be waiting for them there.

    Raises UsageError if one of them came second there.
    """
    url = args.cloud or config.url
    if url is None:
        return _Told("no worker is configured")
    if args.offline or args.local_only or config.offline:
        return _Told("this device is offline")
    if (held := held_back(config.link, read_conditions(env.environ, config.link.command))) is not None:
        return _Told(held)
    from edge.device import worker_connector
    from edge.syncing.telling import tell

    connect = worker_connector(config)
    try:
        holder = asyncio.run(tell(journal, row.run, lambda runs: connect(url, config.token, journal, runs)))
    except (LinkCondition, UsageError) as error:
        return _Told(error.message.rstrip("."), error.hint if isinstance(error, UsageError) else None)
    except KeyboardInterrupt:
        return _Told("you did not wait for it")
    for path, value in overtaken(journal, row.run, given).items():
        raise UsageError(f"{path!r} is answered: {shown(value)}", hint="The first answer counts; yours came second.")
    return _Told(holder=holder)


def _then(
    args: Namespace,
    row: RunRow,
    given: Mapping[str, Value],
    left: list[Question],
    where: str,
    told: _Told | None,
    env: Environment,
) -> int:
    run = run_id_text(row.run)
    if args.resume and given and where == "here":
        if not args.json:
            _say(given, env)
        return resume.main(_as_resume(args, run), env)
    if args.json:
        said: dict[str, Any] = {"run": run, "answers": clean(dict(given)), "questions": [each.as_json() for each in left]}
        if told is not None:
            said |= {"told": told.holder is not None, "holder": told.holder, "why": told.why}
        env.stdout.write(json.dumps(said, ensure_ascii=False, default=str) + "\n")
        return ExitStatus.COMPLETED
    _say(given, env)
    for question in left:
        env.stderr.write(f"Still asked: {question.path}: {shown(question.prompt)}\n")
    env.stderr.write(_NEXT[where].format(run=run) if told is None else told.text())
    return ExitStatus.COMPLETED


def _as_resume(args: Namespace, run: str) -> Namespace:
    """The words as `graphferry resume` has them, with its defaults for what is not said here."""
    parser = ArgumentParser()
    resume.add_arguments(parser)
    return Namespace(**{**vars(parser.parse_args([run])), **vars(args), "run": run})


_NEXT: Final = {
    "here": "The run waits. Go on with:\n  graphferry resume {run}\n",
    "busy": "A process works on this run: it takes the answer by itself.\n",
    "away": "Another device or the worker holds this run.\n",
}
"""What to do, by where the run is."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What came of telling the worker: `why` it was not told, with what there is to do about it, or who holds the run as far as it knows."""

    why: str | None = None
    hint: str | None = None
    holder: Heard | None = None

    def text(self) -> str:
        """For people."""
        if self.holder is None:
            then = (
                f"  {self.hint}" if self.hint else "The answer goes there with the next `graphferry sync`, and the run goes on."
            )
            return f"Another device or the worker holds this run, and was not told yet: {self.why}.\n{then}\n"
        return _HEARD[self.holder]


_HEARD: Final[Mapping[Heard, str]] = {
    "worker": "The worker holds this run, has the answer, and goes on with it: `graphferry sync` shows how far it is.\n",
    "device": "The worker has the answer; the device that holds this run takes it with its next `graphferry sync`, and goes on.\n",
    "here": "This device holds the run now. Go on with it: graphferry sync\n",
}
"""What was told, by who holds the run."""


def _where(config: EdgeConfig, journal: Journal, row: RunRow) -> str:
    if not is_held_here(journal, row.run):
        return "away"
    return "busy" if is_at_work(config.journal, row.run) else "here"


def _say(given: Mapping[str, Value], env: Environment) -> None:
    for path, value in given.items():
        env.stderr.write(f"{path} is answered: {shown(value)}\n")
