"""Which labels may go where."""

from __future__ import annotations

from edge.privacy.clearance import NOWHERE, Clearance
from graphs.language.labels import UNSEEN, UNTRUSTED

URL = "wss://w:443/v1/link"
OURS = Clearance({"private": frozenset(), "internal": frozenset({URL}), "draft": frozenset({URL, "large"})}, worker=URL)


def test_everything_may_be_on_the_device() -> None:
    for clearance in (NOWHERE, OURS):
        assert clearance.may(["private", "unknown", UNSEEN], "edge")
        assert clearance.may([], "cloud")
        assert clearance.explain(["private"], "edge") == ""


def test_a_value_goes_where_all_its_labels_may() -> None:
    assert OURS.may(["internal", "draft"], "cloud")
    assert OURS.may(["internal", "draft"], URL)
    assert not OURS.may(["internal", "private"], "cloud")
    assert OURS.may(["draft"], "large")
    assert not OURS.may(["internal"], "large")
    assert OURS.held_back(["private", "x", "internal"], "cloud") == ["private", "x"]


def test_what_nobody_spoke_of_stays() -> None:
    assert not NOWHERE.may(["internal"], "cloud")
    assert not OURS.may(["unknown"], "cloud")
    assert not OURS.may(["internal"], "wss://another:443/v1/link")
    assert not OURS.towards(None).may(["internal"], "cloud")
    everywhere = Clearance({UNSEEN: frozenset({URL})}, worker=URL)
    assert not everywhere.may([UNSEEN], "cloud"), "no configuration clears what nobody has looked at"


def test_the_worker_only_narrows_what_the_device_says() -> None:
    narrowed = OURS.towards(URL, ["draft", "private"])
    assert narrowed.may(["draft"], "cloud")
    assert not narrowed.may(["internal"], "cloud")
    assert not narrowed.may(["private"], "cloud"), "the device does not let it go"
    assert narrowed.explain(["internal"], "cloud") == "this device lets internal go there, but the worker is not cleared for that"
    assert narrowed.may(["draft"], "large"), "another place"


def test_where_a_value_comes_from_confines_nothing() -> None:
    assert NOWHERE.may([UNTRUSTED], "cloud")
    assert not NOWHERE.may([UNTRUSTED, "private"], "cloud")


def test_a_server_on_this_device_is_part_of_it() -> None:
    assert Clearance(here=frozenset({"near"})).may(["private"], "near")


def test_it_says_why() -> None:
    assert OURS.explain(["private"], "cloud") == f"private is not cleared to leave this device for the worker at {URL}"
    assert NOWHERE.explain(["a", "b"], "large") == "a, b are not cleared to leave this device for 'large'"
    assert NOWHERE.explain(["a"], "cloud") == "a is not cleared to leave this device for the worker"


def test_it_is_the_links_gate() -> None:
    assert OURS.clear(["internal"], URL)
    assert not OURS.clear(["internal"], "wss://another:443/v1/link")
