"""File agents: what they read and write, and that they never leave the folder they were given."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agent_context import Context, context, run
from graphs.agents import files
from graphs.errors import NodeError


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A granted folder with two files, next to one that holds a secret."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "base"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("A\n")
    (folder / "sub" / "b.bin").write_bytes(b"\xef\xbb\xbf\xff\x00")
    return folder


def reading(base: Path | str, granted: Any, kind: str | None = "text", **inputs: Any) -> Any:
    params = {"baseDir": str(base), "outputType": kind}
    return run(files.file_read_agent, context(inputs, params, services={"files": granted}))


def writing(base: Path | str, granted: Any, **inputs: Any) -> Any:
    return run(files.file_write_agent, context(inputs, {"baseDir": str(base)}, services={"files": granted}))


def test_kinds_of_content(base: Path) -> None:
    assert reading(base, str(base), file="a.txt") == {"data": "A\n"}
    assert reading(base, str(base), file="sub/b.bin") == {"data": "\ufffd\x00"}
    assert reading(base, str(base), None, array=["sub/b.bin", "/a.txt"]) == {"array": [b"\xef\xbb\xbf\xff\x00", b"A\n"]}
    assert reading(base, str(base), "base64", file="./sub/../a.txt") == {"data": "QQo="}


def test_writing_tells_where(base: Path) -> None:
    where = {"result": True, "path": f"{base}/sub/new.txt", "dir": f"{base}/sub", "file": "new.txt"}
    assert writing(base, str(base), file="sub/new.txt", text="línea\n") == where
    assert (base / "sub" / "new.txt").read_text(encoding="utf-8") == "línea\n"
    assert writing(base, str(base), file="sub/new.txt", buffer=b"\x00") == where
    assert (base / "sub" / "new.txt").read_bytes() == b"\x00"
    assert writing(base, str(base), file="empty.txt", text="")["result"] is True
    assert sorted(path.name for path in base.iterdir()) == ["a.txt", "empty.txt", "sub"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_replaced_file_keeps_its_permissions(base: Path) -> None:
    (base / "a.txt").chmod(0o600)
    writing(base, str(base), file="a.txt", text="new")
    assert stat.S_IMODE((base / "a.txt").stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_content(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NodeError, match=r"a\.txt cannot be written: No space left on device"):
        writing(base, str(base), file="a.txt", text="new")
    assert (base / "a.txt").read_text() == "A\n"
    assert sorted(path.name for path in base.iterdir()) == ["a.txt", "sub"]


@pytest.mark.parametrize("name", ["../secret.txt", "sub/../../secret.txt", "link.txt", "linked/secret.txt", ".", "sub/.."])
def test_nothing_outside_base_dir_is_touched(base: Path, name: str) -> None:
    (base / "link.txt").symlink_to(base.parent / "secret.txt")
    (base / "linked").symlink_to(base.parent)
    with pytest.raises(NodeError, match="is outside baseDir") as caught:
        reading(base, str(base.parent), file=name)
    assert not caught.value.retryable
    with pytest.raises(NodeError, match="is outside baseDir"):
        writing(base, str(base.parent), file=name, text="gone")
    assert (base.parent / "secret.txt").read_text() == "secret"


def test_links_inside_base_dir_are_followed(base: Path) -> None:
    (base / "sub" / "again").symlink_to(base / "a.txt")
    assert reading(base, str(base), file="sub/again") == {"data": "A\n"}
    assert writing(base, str(base), file="sub/again", text="B")["path"] == f"{base}/sub/again"
    assert (base / "a.txt").read_text() == "B"


def test_links_in_a_circle_fail(base: Path) -> None:
    (base / "x").symlink_to(base / "y")
    (base / "y").symlink_to(base / "x")
    with pytest.raises(NodeError):
        reading(base, str(base), file="x")


def test_a_base_dir_that_is_a_link_counts_as_what_it_leads_to(base: Path) -> None:
    (base.parent / "alias").symlink_to(base)
    assert reading(base.parent / "alias", str(base), file="a.txt") == {"data": "A\n"}
    (base / "out").symlink_to(base.parent)
    with pytest.raises(NodeError, match="the folder that is granted here"):
        reading(base / "out", str(base), file="secret.txt")


def test_what_is_granted_is_the_limit(base: Path) -> None:
    with pytest.raises(NodeError, match="the folder that is granted here"):
        reading(base.parent, str(base), file="secret.txt")
    with pytest.raises(NodeError, match="files are not granted here"):
        reading(base, None, file="a.txt")


def test_a_relative_base_dir_begins_here_or_in_what_is_granted(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    assert reading("sub/..", str(base.parent), file="a.txt") == {"data": "A\n"}
    monkeypatch.chdir("/")
    assert reading("base", str(base.parent), file="a.txt") == {"data": "A\n"}
    with pytest.raises(NodeError, match="the folder that is granted here"):
        reading("..", str(base), file="secret.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_files_are_read_and_written(base: Path) -> None:
    os.mkfifo(base / "pipe")
    for name in ("pipe", "sub"):
        with pytest.raises(NodeError, match="is not a file"):
            reading(base, str(base), file=name)
        with pytest.raises(NodeError, match="exists and is not a file"):
            writing(base, str(base), file=name, text="x")


@pytest.mark.parametrize(
    ("inputs", "params", "message"),
    [
        ({"file": "a"}, {}, "fileReadAgent: params.baseDir is UNDEFINED!"),
        ({}, {"baseDir": "/"}, "fileReadAgent no file"),
        ({"array": "a"}, {"baseDir": "/"}, "fileReadAgent: namedInputs.array is not Array."),
        ({"file": 5}, {"baseDir": "/"}, "are text"),
        ({"file": "a\0b"}, {"baseDir": "/"}, "are text"),
        ({"file": "a"}, {"baseDir": "/", "outputType": "stream"}, "a stream is no value here"),
        ({"file": "no such file"}, {"baseDir": "/"}, "cannot be read: No such file or directory"),
    ],
)
def test_reading_what_cannot_be_read(inputs: dict[str, Any], params: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError) as caught:
        run(files.file_read_agent, context(inputs, params, services={"files": "/"}))
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("inputs", "params", "message"),
    [
        ({"text": "x"}, {"baseDir": "/"}, "fileWriteAgent: inputs.file is UNDEFINED!"),
        ({"file": "a"}, {"baseDir": "/"}, "fileWriteAgent: inputs.file and inputs.buffer are UNDEFINED!"),
        ({"file": "a", "text": "x"}, {}, "fileWriteAgent: params.baseDir is UNDEFINED!"),
        ({"file": "no/such/folder", "text": "x"}, {"baseDir": "/"}, "cannot be written"),
    ],
)
def test_writing_what_cannot_be_written(inputs: dict[str, Any], params: dict[str, Any], message: str) -> None:
    with pytest.raises(NodeError) as caught:
        run(files.file_write_agent, context(inputs, params, services={"files": "/"}))
    assert message in caught.value.message


def test_what_files_are_written_once() -> None:
    assert files.file_write_agent.effect == "once"
    assert files.file_read_agent.effect == "none"
    assert files.file_write_agent.needs == files.file_read_agent.needs == {"files"}
    assert files.file_write_agent.blocking


class TestPathUtils:
    def run(self, method: str | None, **inputs: Any) -> Any:
        return run(files.path_utils_agent, context(inputs, {"method": method}))

    @pytest.mark.parametrize(
        ("dirs", "path"),
        [(["a", "/b"], "a/b"), (["a/", "", "b/"], "a/b/"), ([], "."), (["..", "a"], "../a"), (["//x"], "/x"), (["a", 1], "a/1")],
    )
    def test_join(self, dirs: list[Any], path: str) -> None:
        assert self.run("join", dirs=dirs) == {"path": path}

    def test_resolve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("/")
        assert self.run("resolve", dirs=["a", "b/"]) == {"path": "/a/b"}
        assert self.run("resolve", dirs=["a", "/b", "c"]) == {"path": "/b/c"}
        assert self.run("resolve", dirs=["/"]) == {"path": "/"}

    @pytest.mark.parametrize(("path", "normal"), [("//a//b", "/a/b"), ("a/..", "."), ("a/b/..//", "a/"), ("./", "./")])
    def test_normalize(self, path: str, normal: str) -> None:
        assert self.run("normalize", path=path) == {"path": normal}

    @pytest.mark.parametrize(
        ("method", "inputs", "message"),
        [
            (None, {}, "pathUtilsAgent: params.method is UNDEFINED!"),
            ("join", {"dirs": "a"}, "pathUtilsAgent: dir is not Array!"),
            ("normalize", {}, "pathUtilsAgent: path is UNDEFINED!"),
            ("split", {"dirs": []}, "pathUtilsAgent no file"),
        ],
    )
    def test_refusals(self, method: str | None, inputs: dict[str, Any], message: str) -> None:
        with pytest.raises(NodeError, match=message):
            self.run(method, **inputs)

    def test_params_serve_where_inputs_do_not(self) -> None:
        given: Context = context({}, {"method": "join", "dirs": ["p"]})
        assert run(files.path_utils_agent, given) == {"path": "p"}
