from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.serving import Serving
from graphs.errors import UsageError


def test_a_worker_that_serves_is_found_and_one_that_stopped_is_not(tmp_path: Path) -> None:
    serving = Serving("wss://h:1/v1/link", "sha256:00", ["default"], os.getpid())
    with pytest.raises(UsageError, match="no worker serves"):
        Serving.read(tmp_path)
    serving.write(tmp_path)
    assert Serving.read(tmp_path) == serving
    Serving("ws://h:2/v1/link", None, [], os.getpid() + 1).remove(tmp_path)
    assert Serving.read(tmp_path) == serving, "it is another's"
    serving.remove(tmp_path)
    serving.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_killed_is_not_taken_for_alive(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    Serving("ws://h:1/v1/link", None, [], gone.pid).write(tmp_path)
    with pytest.raises(UsageError, match="no worker serves"):
        Serving.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "ws://h:1"}'])
def test_a_broken_file_is_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "serving.json").write_text(text)
    with pytest.raises(UsageError, match="no worker serves"):
        Serving.read(tmp_path)
