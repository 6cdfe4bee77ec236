"""Room on the disk: a worker takes new work only while there is some, and one that starts without any waits until there is.

A worker whose journal cannot be written ends: what it told of is durable, what it could not keep is told by nobody. Were it started again at once it
would begin what was in flight anew, only to lose it again. So it begins nothing before there is room, says why to whoever comes, and then goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocol.transport import Refused, listen

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["LEAST", "RETRY_MS", "Space", "wait_for_space"]

LEAST: Final = 32 << 20
"""Bytes: with less than that on its disk a worker begins nothing."""
RETRY_MS: Final = 5_000
_LOOK_SECONDS: Final = 1.0
_PROBE: Final = "room.probe"
_log = logging.getLogger("graphferry.space")


class Space:
    """The file system that `folder` is on. `clock` gives seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self._looked = float("-inf")
        self._lack: str | None = None

    def lack(self) -> str | None:
        """Why nothing new should begin, by what the file system says; None if there is room. Looked at once a second."""
        if self._clock() - self._looked >= _LOOK_SECONDS:
            self._looked = self._clock()
            before, self._lack = self._lack, self._said("its disk")  # devices hear it, whom its folders are no business of
            if before is None and self._lack is not None:
                _log.warning("%s (the folder is %s)", self._lack, self.folder)
        return self._lack

    def probe(self) -> str | None:
        """The same by taking the room and giving it back: quotas and limits that the file system does not tell of count, too. Blocks."""
        disk = f"the disk of {self.folder}"
        if (said := self._said(disk)) is not None or not hasattr(os, "posix_fallocate"):
            return said
        path = self.folder / _PROBE
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, LEAST)
            finally:
                os.close(descriptor)
        except OSError as error:
            return f"{_needs(disk)}, and it does not give that: {error.strerror or error}"
        finally:
            with suppress(OSError):
                path.unlink()
        return None

    def _said(self, disk: str) -> str | None:
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError:
            return None  # it is not there yet, or tells nobody: what is written will tell
        return None if free >= LEAST else f"{_needs(disk)}, and {free:,} are free"


def _needs(disk: str) -> str:
    return f"the worker needs {LEAST:,} bytes of room on {disk} to begin anything"


async def wait_for_space(
    space: Space, host: str, port: int, *, tls: ssl.SSLContext | None, plain: bool, tell: Callable[[str], object]
) -> None:
    """Returns when there is room: at once, or after whoever comes meanwhile was told that there is none. `tell` is told why it waits, once.

    Raises as `protocol.transport.listen`. What is there of runs is not touched.
    """
    if (lack := await asyncio.to_thread(space.probe)) is None:
        return
    tell(lack)

    def refuse(_path: str, _token: str | None, _address: str) -> Refused:
        return Refused(HTTPStatus.INSUFFICIENT_STORAGE, "there is no room on this worker's disk", RETRY_MS // 1000)

    async def nobody(_socket: ServerConnection) -> None:
        """None is let in."""

    server = await listen(nobody, host=host, port=port, admit=refuse, tls=tls, plain=plain, health=lambda: "waiting: no room\n")
    try:
        while await asyncio.to_thread(space.probe) is not None:  # noqa: ASYNC110 - nobody tells when a disk has room again
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        server.close()
        await server.wait_closed()
