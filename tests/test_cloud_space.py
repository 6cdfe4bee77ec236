"""A worker on a disk that is full, a real small one: it begins nothing, says why, and goes on by itself once there is room."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cloud.accounts import Account
from cloud.holdings import Holdings
from cloud.space import LEAST, RETRY_MS, Space
from conftest import impatient
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from processes import Process, graphferry, start

AGENTS = """\
import os
from pathlib import Path

from graphferry import agent


@agent("fillAgent", effect="none", version="1")
def fill(context):
    here = Path(__file__).parent
    with (here / "ran.txt").open("a") as file:
        file.write("x")
    if (here / "ran.txt").stat().st_size == 1:
        with (here / "home" / "cloud" / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
    return "v" * 60_000
"""
GRAPH = "version: 0.5\nnodes:\n  a: {agent: fillAgent, place: cloud, isResult: true}\n"


class Disk:
    """A file system of its own at `folder`, of so many MiB; it is there for processes that are started in it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        words = f'mount -t tmpfs -o size={size}m tmpfs "{folder}" && echo ready && exec sleep 600'
        self._popen = subprocess.Popen(["unshare", "-rm", "sh", "-c", words], stdout=subprocess.PIPE, text=True)
        assert self._popen.stdout is not None
        self.is_there = self._popen.stdout.readline() == "ready\n"

    @property
    def inside(self) -> Sequence[str]:
        return ["nsenter", "--preserve-credentials", "-U", "-m", f"--wd={self.folder.parents[1]}", "-t", str(self._popen.pid)]

    def do(self, *words: str) -> None:
        subprocess.run([*self.inside, *words], check=True)

    def close(self) -> None:
        self._popen.kill()
        self._popen.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("this system has no file systems for one process")
    folder = tmp_path / "home" / "cloud"
    folder.mkdir(parents=True)
    made = Disk(folder, 2 * LEAST >> 20)
    try:
        if not made.is_there:
            pytest.skip("nobody may mount a file system here")
        yield made
    finally:
        made.close()


def test_it_ends_waits_and_goes_on_and_nothing_is_repeated_in_a_loop(disk: Disk, tmp_path: Path) -> None:
    home = tmp_path / "home"
    impatient(home)
    (tmp_path / "fills.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")

    def worker(port: int) -> AbstractContextManager[Process]:
        return start("serve", "--agents", "fills.py", "--port", str(port), home=home, cwd=tmp_path, inside=disk.inside)

    with worker(0) as first:
        url = first.line()
        port = url.rsplit(":", 1)[1].partition("/")[0]
        run = graphferry("run", "g.yaml", "--agents", "fills.py", "--cloud", url, home=home, cwd=tmp_path)
        assert run.status in (3, 4), run
        ended = first.outcome()
    assert ended.status == 1, ended
    assert (tmp_path / "ran.txt").read_text() == "x"
    name = run.stderr.split("graphferry resume ")[1].split()[0]
    with worker(int(port)) as second:
        assert "waiting: the worker needs" in second.error_line()
        again = graphferry("resume", name, "--cloud", url, home=home, cwd=tmp_path)
        assert again.status in (3, 4), again
        assert "has no room on its disk" in again.stderr
        assert (tmp_path / "ran.txt").read_text() == "x", "it begins nothing"
        disk.do("rm", str(disk.folder / "filler"))
        assert second.line() == url
        done = graphferry("resume", name, "--cloud", url, home=home, cwd=tmp_path)
        assert done.status == 0, done
    assert (tmp_path / "ran.txt").read_text() == "xx"


def test_new_runs_wait_while_there_is_little_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, free = [0.0], [LEAST]
    monkeypatch.setattr("shutil.disk_usage", lambda _path: shutil._ntuple_diskusage(0, 0, free[0]))
    with Journal.open(tmp_path / "journal.db") as journal:
        space = Space(tmp_path, lambda: now[0])
        holdings = Holdings(journal, {"default": Account()}, space=space)
        assert holdings.room(Account(), new_run_id()) is None
        free[0] -= 1
        now[0] += 5
        code, text, retry_ms = holdings.room(Account(), new_run_id()) or ("", "", 0)
        assert (code, retry_ms) == ("BUSY", RETRY_MS)
        assert f"{LEAST - 1:,} are free" in text
        assert str(tmp_path) not in text, "where things lie on this machine is nothing for a device"
        assert [str(tmp_path) in line for line in caplog.messages] == [True]
        now[0] += 5
        assert holdings.room(Account(), new_run_id()) == (code, text, retry_ms)
        assert len(caplog.messages) == 1, "it is said once"
        free[0] = LEAST
        now[0] += 5
        assert holdings.room(Account(), new_run_id()) is None


def test_a_limit_that_the_file_system_does_not_tell_of_counts(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    space = Space(tmp_path)
    assert space.probe() is None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        assert "does not give that" in str(space.probe())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert space.probe() is None
    assert list(tmp_path.iterdir()) == []
