"""The fuzzer as part of the tests: few rounds, in a process whose memory is limited. `make fuzz` has many more."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_nothing_but_refusals_and_errors_of_ours_comes_of_mutated_graphs() -> None:
    seed = random.SystemRandom().randrange(2**32)
    command = [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--count", "600"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=560, check=False)
    print(done.stdout[-3000:], done.stderr[-3000:])
    assert done.returncode == 0, f"python -m tests.fuzz --seed {seed}"
    assert f"--seed {seed}" in done.stdout
