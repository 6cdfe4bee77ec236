"""`sensitivity` and `workers` in the device's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from edge.privacy.settings import read_clearance, worker_place
from graphs.errors import UsageError
from graphs.models.openai.servers import Server

SERVERS = {"large": Server("http://far.example/v1", "m"), "near": Server("http://127.0.0.1:1/v1", "m", on_device=True)}
OUR = "wss://our.example:443/v1/link"


def read(url: str | None = "ws://127.0.0.1:9", **data: Any) -> Any:
    return read_clearance(data, url, SERVERS, "config.yaml")


def test_places_are_words_of_the_configuration() -> None:
    clearance = read(
        sensitivity={"private": "edge", "internal": ["edge", "our-worker", "large"], "draft": "edge, cloud", "x": ["ws://h:1"]},
        workers={"our-worker": "wss://our.example"},
    )
    assert dict(clearance.places) == {
        "private": frozenset(),
        "internal": {OUR, "large"},
        "draft": {"ws://127.0.0.1:9/v1/link"},
        "x": {"ws://h:1/v1/link"},
    }
    assert (clearance.worker, clearance.takes, clearance.here) == ("ws://127.0.0.1:9/v1/link", None, {"near"})


def test_a_paired_worker_is_called_by_its_name() -> None:
    def paired(names: dict[str, str], **data: Any) -> Any:
        return read_clearance({"sensitivity": {"internal": ["edge", "ours"]}, **data}, None, SERVERS, "config.yaml", names)

    assert paired({"ours": OUR}).places["internal"] == {OUR}
    assert paired({"ours": OUR}, workers={"ours": "wss://our.example"}).places["internal"] == {OUR}, "twice the same"
    with pytest.raises(UsageError, match="there is no place 'ours'"):
        paired({})
    for names, data in (({"ours": OUR}, {"workers": {"ours": "wss://another"}}), ({"large": OUR}, {}), ({"cloud": OUR}, {})):
        with pytest.raises(UsageError, match="is the name of a worker this device is paired with, and of something else"):
            paired(names, **data)


def test_without_a_worker_the_word_cloud_names_none() -> None:
    clearance = read(None, sensitivity={"draft": ["cloud"]})
    assert clearance.worker is None
    assert not clearance.may(["draft"], "cloud")
    assert not clearance.towards(OUR).may(["draft"], "cloud")


def test_a_worker_has_one_name() -> None:
    assert worker_place("wss://our.example") == worker_place(" wss://our.example:443/") == OUR
    assert worker_place("nonsense") == "nonsense"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"sensitivity": ["private"]}, "`sensitivity` is a map of labels to places"),
        ({"sensitivity": {"": "edge"}}, "`sensitivity` is a map of labels to places"),
        ({"sensitivity": {"a": 1}}, "sensitivity.a: a place or a list of places is expected"),
        (
            {"sensitivity": {"a": ["moon"]}},
            "sensitivity.a: there is no place 'moon'; known are edge, cloud, large, near, and link URLs",
        ),
        ({"sensitivity": {"a": "http://h"}}, "is not a link URL"),
        ({"workers": {"w": 1}}, "`workers` is a map of names to link URLs"),
        ({"workers": {"w": "h"}}, "is not a link URL"),
        ({"workers": {"large": "wss://h"}}, "workers.large: that name means something else already"),
        ({"workers": {"edge": "wss://h"}}, "workers.edge: that name means something else already"),
    ],
)
def test_a_mistake_names_the_entry(data: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**data)
    assert told in str(caught.value)
