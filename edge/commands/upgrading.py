"""`graphferry sync --upgrade`: what something smaller stood in for is done again, now that there is a worker."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from edge.commands.options import add_run_options, run_options
from edge.commands.resume import read_order, stored_graph
from edge.config import EdgeConfig
from edge.device import open_device
from graphs.engine.outcomes import Known
from graphs.environment import Environment
from graphs.errors import GraphferryError
from graphs.journal import Journal
from graphs.journal.ids import run_id_short, run_id_text
from graphs.records import State

__all__ = ["say_upgrades", "upgrade_all"]


def upgrade_all(config: EdgeConfig, url: str, env: Environment) -> list[dict[str, Any]]:
    """Upgrade all runs of this device that can be; what became of each, for `--json`. One that cannot holds up none of the others."""
    from edge.runs.upgrade import upgradable

    with Journal.open(config.journal) as journal:
        rows = [row.run for row in upgradable(journal)]
    found = []
    for run in rows:
        try:
            done = _upgrade(run, config, url, env)
        except GraphferryError as error:
            env.stderr.write(f"{run_id_text(run)} is not upgraded: {error.message}\n")
        else:
            found += done
    return found


def _upgrade(run: bytes, config: EdgeConfig, url: str, env: Environment) -> list[dict[str, Any]]:
    """Fork the run and go on with the fork, quietly."""
    from edge.runs.resuming import resume_run
    from edge.runs.runner import Run
    from edge.runs.upgrade import nothing_stands_in, upgrade_run

    with Journal.open(config.journal) as journal:
        row, submit = journal.run(run), read_order(journal, run)
        graph = stored_graph(journal, row)
    parser = ArgumentParser()
    add_run_options(parser)
    words = parser.parse_args(["--cloud", url, "--json", "--progress", "quiet"])
    inject = {name: value for name, (state, value) in submit.inputs.items() if state == State.INJECTED}
    options = run_options(words, config, inject=inject, earlier=submit.opts.get("options") or {})
    with open_device(env, config, agents=options.agents, synchronous="full") as device:

        async def whole() -> list[dict[str, Any]]:
            assert device.connect is not None
            link = await device.connect(url, options.token, device.journal, ())
            try:
                Run(device, graph, options, run, Known()).require_places(link.offer)
                made = await upgrade_run(device, graph, options, run, link)
            finally:
                await link.close()
            if made is None:
                return []
            told: dict[str, Any] = {"run": run_id_text(run), "again": made.again, "late": made.late, "kept": made.kept}
            if made.forked is None:
                return [{**told, "fork": None, "status": "completed", "asks": []}]
            fork = made.forked
            report = await resume_run(device, graph, nothing_stands_in(options), fork.run, name=row.name)
            asks = [path for path in fork.asked if path in report.errors]
            return [{**told, "fork": report.run, "status": report.status, "asks": asks}]

        async def closed() -> list[dict[str, Any]]:
            try:
                return await whole()
            finally:
                await device.models.close()

        return asyncio.run(closed())


def say_upgrades(done: Sequence[dict[str, Any]], env: Environment) -> None:
    """The same for people."""
    for each in done:
        stays = f"; {', '.join(each['kept'])} stays, as it has effects" if each["kept"] else ""
        if each["fork"] is None:
            env.stdout.write(f"{each['run']}  stays as it is{stays}\n")
            continue
        made = [f"made again: {', '.join(each['again'])}"] if each["again"] else []
        made += [f"made by the worker already: {', '.join(each['late'])}"] if each["late"] else []
        env.stdout.write(f"{each['run']}  upgraded in {each['fork']}  {each['status']}  ({'; '.join(made)}{stays})\n")
        for path in each["asks"]:
            short = run_id_short(bytes.fromhex(each["fork"].replace("-", "")))
            env.stderr.write(
                f"{path!r} has done its work in the run that was upgraded, and would now be handed something else. Say what is to count:\n"
                f"  graphferry resume {short} --assume {path}=done:VALUE, {path}=failed or {path}=rerun\n"
            )
