"""What another store asked to cancel ends here, with what a worker still does for it."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from edge.config import load_config
from edge.device import worker_connector
from edge.runs.cancel import cancel_as_asked
from fleet import new_device, run
from graphs.environment import Environment, ExitStatus
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.records import Cancel, Submit, encode
from workers import ServedWorker

GRAPH = "version: 0.5\nnodes:\n  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hello}}\n"


def test_a_run_that_a_process_left_while_a_sync_went_on_is_cancelled_by_the_next_one(
    served: ServedWorker, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The link of the first was opened without the part that the process had begun at the worker, and can say nothing in it."""
    laptop = new_device(tmp_path_factory.mktemp("laptop"), tmp_path)
    text = run(laptop, GRAPH, "--offline", "--sync", status=ExitStatus.UNREACHABLE)["run"]
    root, child = bytes.fromhex(str(text).replace("-", "")), new_run_id()
    config = load_config(Environment(io.StringIO(), io.StringIO(), io.StringIO(), laptop.environ, laptop.cwd))
    connect = worker_connector(config)

    async def syncs(journal: Journal) -> None:
        journal.accept(root, b"somebody", 1, encode(Cancel(None, "not needed")))
        await journal.barrier()
        first = await connect(served.url, None, journal, ())
        address = journal.run(root).graph
        order = encode(Submit("", address, {}, {"parent": None}))
        journal.create_run(child, role="child", graph_hash=address, name="far", started=1, parent=root, first=order)
        await journal.barrier()
        assert await cancel_as_asked(journal, first, ()) == 0
        await first.close()
        assert journal.run(root).status == "suspended"
        second = await connect(served.url, None, journal, [child])
        assert await cancel_as_asked(journal, second, [child]) == 1
        await second.close()
        assert journal.run(root).status == "cancelled"
        assert any(isinstance(each.record, Cancel) for each in journal.records(child, journal.store_id))

    with Journal.open(config.journal) as journal:
        asyncio.run(asyncio.wait_for(syncs(journal), 120))
