"""A proxy between device and worker that does to their connections what networks do, at byte offsets that were drawn beforehand.

It never waits for a clock to race: everything is bound to how many bytes went through, only delays and throttling take (little) time.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Fault", "Proxy"]

_SLOW: float = 0.05
"""Seconds of a delay; throttled bytes go in pieces of `_PIECE` with a fiftieth of that between them."""
_PIECE = 256


@dataclass(frozen=True)
class Fault:
    """What happens to connection `connection` when `offset` bytes went `direction` ("up" is from the device).

    kind: `cut` resets both ends, `close` ends both politely, `half` ends this direction only, `delay` waits once,
    `throttle` slows all further bytes of this direction, `part` cuts all connections and refuses the next `count`, any other calls the hook of that
    name.
    """

    connection: int
    direction: str
    offset: int
    kind: str
    count: int = 0


@dataclass
class _Pipe:
    source: socket.socket
    target: socket.socket
    faults: list[Fault] = field(default_factory=list)
    passed: int = 0
    slow: bool = False


class Proxy:
    """`url` is where the device connects. `target` may change: a worker that starts anew may listen elsewhere."""

    def __init__(self, target: int, faults: Sequence[Fault], hooks: Mapping[str, Callable[[], None]]) -> None:
        self.target = target
        self._faults = list(faults)
        self._hooks = hooks
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}/v1/link"
        self.connections = 0
        self.happened: list[Fault] = []
        self._refused = 0
        """How many connections are still to be refused."""
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                device, _ = self._listening.accept()
            except OSError:
                return
            try:
                worker = self._reach()
            except OSError:
                _reset(device)
                device.close()
                continue
            with self._lock:
                number = self.connections
                self.connections += 1
                self._sockets |= {device, worker}
            mine = [each for each in self._faults if each.connection == number]
            for direction, source, target in (("up", device, worker), ("down", worker, device)):
                faults = sorted((each for each in mine if each.direction == direction), key=lambda each: each.offset)
                pipe = _Pipe(source, target, faults)
                self._threads.append(threading.Thread(target=self._pump, args=(pipe,), daemon=True))
                self._threads[-1].start()

    def _reach(self) -> socket.socket:
        """A connection to the worker. Raises OSError."""
        with self._lock:
            if self._refused:
                self._refused -= 1
                raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.target))

    def _pump(self, pipe: _Pipe) -> None:
        try:
            while data := pipe.source.recv(_PIECE if pipe.slow else 65536):
                while pipe.faults and pipe.passed + len(data) >= pipe.faults[0].offset:
                    fault = pipe.faults.pop(0)
                    before = max(0, fault.offset - pipe.passed)
                    self._send(pipe, data[:before])
                    data = data[before:]
                    self.happened.append(fault)
                    if self._happen(fault, pipe):
                        return
                self._send(pipe, data)
                if pipe.slow:
                    time.sleep(_SLOW / 50)
            _shut(pipe.target, socket.SHUT_WR)
        except OSError:
            _reset(pipe.source)
            _reset(pipe.target)

    def _send(self, pipe: _Pipe, data: bytes) -> None:
        pipe.passed += len(data)
        if data:
            pipe.target.sendall(data)

    def _happen(self, fault: Fault, pipe: _Pipe) -> bool:
        """Whether this pipe is over."""
        match fault.kind:
            case "cut":
                _reset(pipe.source)
                _reset(pipe.target)
                return True
            case "close":
                _shut(pipe.source, socket.SHUT_RDWR)
                _shut(pipe.target, socket.SHUT_RDWR)
                return True
            case "half":
                _shut(pipe.target, socket.SHUT_WR)
                return True
            case "delay":
                time.sleep(_SLOW)
            case "throttle":
                pipe.slow = True
            case "part":
                self.part(fault.count)
                return True
            case kind:
                self._hooks[kind]()
        return False

    def cut(self) -> None:
        """Cut what is connected now."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _reset(each)

    def part(self, count: int) -> None:
        """There is no way to the worker any more: what is connected is cut, and the next `count` connections are refused."""
        with self._lock:
            self._refused += count
        self.cut()

    def heal(self) -> None:
        """From now on nothing is done to what connects."""
        with self._lock:
            self._refused = 0
            self._faults.clear()

    def close(self) -> None:
        _shut(self._listening, socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join()
        self.cut()
        for thread in self._threads[1:]:
            thread.join(120)
        for each in self._sockets:
            each.close()


def _shut(each: socket.socket, how: int) -> None:
    try:
        each.shutdown(how)
    except OSError:
        pass  # it is closed


def _reset(each: socket.socket) -> None:
    try:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        return  # it is closed
    _shut(each, socket.SHUT_RDWR)
