from __future__ import annotations

from edge.placing.figures import FREE, Figure, known


def test_only_assumptions_are_unknown() -> None:
    assert known(Figure(1.0, "measured", 3, 60.0), Figure(1.0, "reported"), FREE)
    assert not known(Figure(1.0, "measured"), Figure(1.0, "default"))
    assert not known(None)
