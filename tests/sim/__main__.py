"""`python -m tests.sim`; see `sim.command`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from sim.command import main  # noqa: E402 - found by the path above

if __name__ == "__main__":
    sys.exit(main())
