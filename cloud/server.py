"""The worker's server: who comes, and the devices it is for."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from cloud.access import Access
from cloud.accounts import DEFAULT, Account
from cloud.holdings import Holdings, keep_pruning
from cloud.keeper import Keeper
from cloud.lease import still_held
from cloud.owner import Owner
from cloud.revival import LeftOpen, drop_damaged_graphs, finish_ended, left_open
from cloud.session import Session
from cloud.share import Share
from cloud.worker import Worker
from graphs.errors import JournalError
from protocol.ending import send_last
from protocol.errors import Close
from protocol.journal_store import device_of
from protocol.messages import Fault
from protocol.pairing import PAIR_PATH
from protocol.transport import PATH, accept, listen

if TYPE_CHECKING:
    import ssl

    from websockets.asyncio.server import Server, ServerConnection

__all__ = ["WorkerServer"]

_DRAIN_MS: Final = 2_000


class WorkerServer:
    """Serves one worker on one address.

    `access` says who may come; without it who shows `token`, and everybody without one. `tls` makes it `wss`, `plain` allows `ws` elsewhere
    than on loopback, `public` is the host that devices know it by.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        access: Access | None = None,
        tls: ssl.SSLContext | None = None,
        plain: bool = False,
        public: str | None = None,
    ) -> None:
        self.worker = worker
        self._host = host
        self._port = port
        self._tls = tls
        self._plain = plain
        self._public = public or host
        self._access = access or Access({DEFAULT: Account()}, token=token, anybody=True)
        self._holdings = Holdings(worker.journal, self._access.accounts)
        self._shares: dict[str, Share] = {}
        self._keeper = Keeper(worker, self._share_of, self._holdings)
        self._holdings.pruned = self._keeper.room_again
        self._devices: dict[tuple[str, bytes], Owner] = {}
        self._server: Server | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._draining: int | None = None
        self._failure: JournalError | None = None
        self._failed = asyncio.Event()

    async def start(self) -> str:
        """Begin to listen; gives the link URL. Raises UsageError for an address that is not loopback without TLS, OSError for one
        that is taken.
        """
        await self._revive()
        self._server = await listen(
            self._serve,
            host=self._host,
            port=self._port,
            admit=self._access.admit,
            tls=self._tls,
            plain=self._plain,
            draining=lambda: self._draining,
            health=lambda: f"ok: {self.worker.running} running\n",
        )
        self._pruning = asyncio.get_running_loop().create_task(keep_pruning(self._holdings))
        port = next(iter(self._server.sockets)).getsockname()[1]
        host = f"[{self._public}]" if ":" in self._public else self._public
        return f"{'ws' if self._tls is None else 'wss'}://{host}:{port}{PATH}"

    async def stop(self) -> None:
        """Take no more, tell the devices, end what runs; their logs stay open and say so."""
        self._draining = _DRAIN_MS
        for device in self._devices.values():
            device.drain("this worker is about to stop", 0, _DRAIN_MS)
        await self._access.close()
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.gather(self._pruning, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await self._keeper.close()
        for device in list(self._devices.values()):
            await device.stop()
        await self.worker.close()

    async def broken(self) -> JournalError:
        """Returns when the journal cannot be written any more, with why: this process can keep nothing from then on, and should end."""
        await self._failed.wait()
        assert self._failure is not None
        return self._failure

    def _break(self, failure: JournalError) -> None:
        self._failure = self._failure or failure
        self._failed.set()

    async def _revive(self) -> None:
        """What an earlier process left open goes on, whether or not its devices are there."""
        journal, accounts = self.worker.journal, self._access.accounts
        drop_damaged_graphs(journal)
        finish_ended(journal)
        left: dict[tuple[str, bytes], list[LeftOpen]] = {}
        for row in journal.runs(role="child", status="running"):
            owner, device = self._holdings.owner(row.run), device_of(row.name)
            found = left_open(journal, row.run) if device is not None and owner in accounts else None
            if device is not None and found is not None:
                left.setdefault((owner, device), []).append(found)
        self._keeper.revive()
        for (owner, name), several in left.items():
            await self._device(accounts[owner], name).revive(several)

    async def _serve(self, socket: ServerConnection) -> None:
        if socket.request is not None and socket.request.path.partition("?")[0] == PAIR_PATH:
            await self._access.pair(socket)
            return
        if (came := await accept(socket)) is None:
            return
        if not still_held(self.worker.journal, self._break):
            return
        packet, hello = came
        grant = await self._access.enter(socket, hello.device)
        if grant is None or not await self._access.traffic.admits(socket, grant.account, hello.device):
            return
        device = self._device(grant.account, hello.device)
        session = device.greet(hello)
        if isinstance(session, Fault):
            await send_last(socket, session, Close.REPLACED)
        elif isinstance(session, str):
            await socket.close(Close.DRAINING, session)
        if isinstance(session, Session):
            with self._access.watching(socket, grant, device.revoked):
                await session.link.carry(socket, hello.conn, packet)
        elif not device.sessions:
            self._forget((grant.account.name, hello.device))

    def _forget(self, device: tuple[str, bytes]) -> None:
        self._devices.pop(device, None)

    def _share(self, account: Account) -> Share:
        return self._shares.setdefault(account.name, Share(self.worker, account))

    def _share_of(self, run: bytes) -> Share | None:
        account = self._access.accounts.get(self._holdings.owner(run))
        return self._share(account) if account is not None else None

    def _device(self, account: Account, name: bytes) -> Owner:
        """A device of this account: the same device in another account is another one."""
        key = account.name, name
        device = self._devices.get(key)
        if device is None:
            gone = partial(self._forget, key)
            device = self._devices[key] = Owner(self._share(account), self._holdings, name, self._keeper, self._break, gone)
        return device
