"""Files by URL from a server that drops connections, changes its mind, and lies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import UsageError
from graphs.models.files.download import Download, Source, read_source

DATA = bytes(range(256)) * 8192  # 2 MiB
SHA256 = hashlib.sha256(DATA).hexdigest()


class FileServer:
    """Serves one file. `drops` are the numbers of bytes after which the next answers break off, `statuses` those of the next ones."""

    def __init__(self) -> None:
        self.data = DATA
        self.etag: str | None = '"v1"'
        self.drops: list[int] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.ranges = True
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/some/my%20model.gguf"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted, same = handler.headers.get("Range"), handler.headers.get("If-Range") in (None, self.etag)
        self.asked.append(wanted)
        if self.statuses:
            handler.send_response(self.statuses.pop(0))
            handler.send_header("Content-Length", "0")
            for name, value in self.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges and same else 0
        if start >= len(self.data):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(self.data) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        part = self.data[start:]
        if self.drops:
            part = part[: self.drops.pop(0)]
        handler.wfile.write(part)
        handler.close_connection = True


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def download(server: FileServer, folder: Path, sha256: str | None = None, pauses: list[float] | None = None) -> Download:
    return Download(Source(server.url, sha256), folder, "m", sleep=(pauses if pauses is not None else []).append)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_with_progress_and_its_hash(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    way = download(server, tmp_path / "new", SHA256)
    assert way.run(lambda done, total: seen.append((done, total))) == SHA256
    assert way.file.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)
    way.drop()
    assert left(tmp_path / "new") == []


def test_it_goes_on_where_the_connection_was_dropped(server: FileServer, tmp_path: Path) -> None:
    server.drops = [700_000, 0, 1, 900_000]
    pauses: list[float] = []
    way = download(server, tmp_path, pauses=pauses)
    assert way.run() == SHA256
    assert way.file.read_bytes() == DATA
    assert [each is not None for each in server.asked] == [False, True, True, True, True]
    assert len(pauses) == 4


def test_the_next_attempt_goes_on_where_this_one_ended(server: FileServer, tmp_path: Path) -> None:
    server.drops = [1_000_000, *[0] * 20]
    with pytest.raises(UsageError, match=r"could not be fetched: .* 1000000 bytes have come and are kept"):
        download(server, tmp_path).run()
    assert left(tmp_path) == [".m.part", ".m.part.json"]
    server.drops = []
    server.asked.clear()
    assert download(server, tmp_path).run() == SHA256
    assert server.asked == ["bytes=1000000-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    server.drops = [1_000_000, *[0] * 20]
    with pytest.raises(UsageError):
        download(server, tmp_path).run()
    server.drops, server.etag, server.data = [], '"v2"', DATA[::-1]
    way = download(server, tmp_path)
    way.run()
    assert way.file.read_bytes() == DATA[::-1]


@pytest.mark.parametrize("change", ["no version", "another address"])
def test_halves_that_may_not_belong_together_are_not_joined(server: FileServer, tmp_path: Path, change: str) -> None:
    server.etag = None if change == "no version" else 'W/"weak"'
    server.drops = [1_000_000, *[0] * 20]
    with pytest.raises(UsageError):
        download(server, tmp_path).run()
    server.drops, server.data = [], DATA[::-1]
    server.asked.clear()
    way = download(server, tmp_path)
    way.run()
    assert way.file.read_bytes() == DATA[::-1]
    assert server.asked == [None]


def test_a_server_without_ranges_is_asked_for_all_of_it(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    server.drops = [1_000_000]
    way = download(server, tmp_path)
    assert way.run() == SHA256
    assert way.file.read_bytes() == DATA


def test_what_is_whole_already_is_found_out_by_asking_and_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    download(server, tmp_path).run()
    way = download(server, tmp_path)
    assert way.run() == SHA256
    assert way.file.read_bytes() == DATA


def test_another_file_than_was_asked_for_is_not_taken(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"has the SHA-256 {SHA256}, not {'0' * 64}; it was not taken"):
        download(server, tmp_path, "0" * 64).run()
    assert left(tmp_path) == []


def test_a_server_that_is_busy_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 429, 500]
    pauses: list[float] = []
    assert download(server, tmp_path, pauses=pauses).run() == SHA256
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("status", [404, 403, 401, 304])
def test_a_server_that_refuses_is_believed(server: FileServer, tmp_path: Path, status: int) -> None:
    server.statuses = [status]
    with pytest.raises(UsageError, match=f"status {status}"):
        download(server, tmp_path).run()
    assert len(server.asked) == 1


def test_a_file_that_does_not_fit_the_disk_is_refused_before_it_comes(server: FileServer, tmp_path: Path) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 60

    server.data = Huge(b"x")
    with pytest.raises(UsageError, match="more bytes, and"):
        download(server, tmp_path).run()


def test_nobody_listens(server: FileServer, tmp_path: Path) -> None:
    way = Download(Source("http://127.0.0.1:9/x.gguf"), tmp_path, "m", sleep=lambda _: None)
    with pytest.raises(UsageError, match="could not be fetched") as caught:
        way.run()
    assert "goes on from there" in (caught.value.hint or "")


def test_sources_are_names_or_addresses_with_or_without_a_hash() -> None:
    assert read_source("smollm2-135m") == Source("smollm2-135m")
    assert read_source(f"smollm2-135m@{SHA256.upper()}") == Source("smollm2-135m", SHA256)
    url = "http://h:1/a%20b/my%20model.gguf?x=1"
    assert read_source(f"{url}@{SHA256}") == Source(url, SHA256)
    assert (read_source(url).name, read_source(url).is_url, read_source("x").is_url) == ("my model", True, False)
    for wrong in ("smollm2@abc", f"{url}@{SHA256[:-1]}"):
        with pytest.raises(UsageError, match="is no SHA-256"):
            read_source(wrong)
    with pytest.raises(UsageError, match="user or a password") as caught:
        read_source("http://ada:secret-4711@h/m.gguf")
    assert "4711" not in str(caught.value)
