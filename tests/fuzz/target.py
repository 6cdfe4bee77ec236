"""The same attack with coverage as its guide: `python tests/fuzz/target.py [folder] [-runs=100000]` (needs `pip install atheris`).

Each input is a role, a state and packets, each with its length before it; the recorded vectors are where it begins.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def packets(data: bytes) -> tuple[str, str, list[bytes]]:
    """What an input means."""
    from fuzz.victim import STATES

    if len(data) < 2:
        return "device", STATES[0], []
    role, state, rest, found = ("device", "worker")[data[0] % 2], STATES[data[1] % len(STATES)], data[2:], []
    while len(rest) > 2:
        size = int.from_bytes(rest[:2], "big")
        found.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return role, state, found[:6]


def one_input(data: bytes) -> None:
    """Raises if a session does."""
    from fuzz.victim import attack

    attack(*packets(data)).check()


def seeds(folder: Path) -> None:
    """The vectors as inputs."""
    from fuzz.packets import VALID

    for number, packet in enumerate(VALID):
        body = len(packet).to_bytes(2, "big") + packet
        (folder / f"seed-{number}").write_bytes(bytes((number % 2, number % 5)) + body)


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["protocol", "graphs.records", "graphs.record_fields", "graphs.values"]):
        import fuzz.victim  # noqa: F401 - here, so that it is instrumented
    with tempfile.TemporaryDirectory() as folder:
        seeds(Path(folder))
        given = [each for each in sys.argv[1:] if not each.startswith("-")]
        options = [each for each in sys.argv[1:] if each.startswith("-")]
        atheris.Setup([sys.argv[0], *options, *given, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
