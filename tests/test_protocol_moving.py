"""Giving a run to another link of the device; whole workers do it in tests/test_cloud_owner.py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from protocol.moving import MovingLink
from protocol.session import Conn
from protocol.store import Effect
from wire.memory_store import MemoryStore
from wire.pair import DEVICE, STORES, run_id
from wire.sockets import DEVICE_CONFIG, SUBMIT


class Slow(MemoryStore):
    """Commits when it is let."""

    def __init__(self, store: bytes) -> None:
        super().__init__(store)
        self.let = asyncio.Event()

    def commit(self, effects: Sequence[Effect]) -> Any:
        self.write(effects)
        return self.let.wait()


def test_a_run_whose_claimant_left_while_it_was_written_to_stays_where_it_is() -> None:
    failed: list[dict[str, Any]] = []

    async def link(store: MemoryStore) -> MovingLink:
        return MovingLink(Conn(DEVICE_CONFIG, await store.find([])), store, lambda _event: None)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failed.append(context))
        store = Slow(STORES[DEVICE])
        first, second = await link(store), await link(MemoryStore(STORES[DEVICE]))
        first.append(run_id(1), SUBMIT)
        written = asyncio.ensure_future(first.durable())
        await asyncio.sleep(0)
        moved: list[int] = []
        claiming = asyncio.ensure_future(first.give(run_id(1), second, lambda: moved.append(1)))
        await asyncio.sleep(0)
        claiming.cancel()
        store.let.set()
        await asyncio.gather(written, claiming, return_exceptions=True)
        assert (moved, first.holds({run_id(1)}), second.holds({run_id(1)})) == ([], {run_id(1)}, set())

    asyncio.run(asyncio.wait_for(main(), 120))
    assert failed == []
