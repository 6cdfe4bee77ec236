"""What waits while the way to the worker is dear, and what a configuration may say of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.network.conditions import UNKNOWN, Conditions
from edge.network.link_policy import LinkPolicy, held_back, is_low, read_link_policy
from graphs.errors import UsageError


@pytest.mark.parametrize(
    ("policy", "conditions", "why"),
    [
        (LinkPolicy(), UNKNOWN, None),
        (LinkPolicy(), Conditions(metered=False, on_battery=False), None),
        (LinkPolicy(), Conditions(metered=True, source="system"), "the network is metered (system)"),
        (LinkPolicy(waits_metered=False), Conditions(metered=True), None),
        (LinkPolicy(), Conditions(on_battery=True, charge=0.19), "of which 19% are left"),
        (LinkPolicy(), Conditions(on_battery=True, charge=0.2), None),
        (LinkPolicy(), Conditions(on_battery=True), None),
        (LinkPolicy(), Conditions(on_battery=False, charge=0.01), None),
        (LinkPolicy(battery=0), Conditions(on_battery=True, charge=0.0), None),
        (LinkPolicy(battery=1), Conditions(on_battery=True, charge=0.99), "of which 99% are left"),
    ],
)
def test_large_values_wait_where_the_way_is_dear(policy: LinkPolicy, conditions: Conditions, why: str | None) -> None:
    held = held_back(policy, conditions)
    assert (held is None) is (why is None)
    assert why is None or why in (held or "")


@pytest.mark.parametrize(
    ("entry", "policy"),
    [
        (None, LinkPolicy()),
        ({}, LinkPolicy()),
        ({"metered": "go"}, LinkPolicy(waits_metered=False)),
        ({"battery": "50%", "rate": "500 kB"}, LinkPolicy(battery=0.5, rate=500_000)),
        ({"battery": 0.3, "spool": "2.5GB"}, LinkPolicy(battery=0.3, spool=2_500_000_000)),
        (
            {"battery": 0, "rate": 1_000, "conditions": "how-things-stand"},
            LinkPolicy(battery=0, rate=1_000, command="how-things-stand"),
        ),
    ],
)
def test_the_configuration_is_read(entry: Any, policy: LinkPolicy) -> None:
    assert read_link_policy(entry, "link") == policy


def test_what_the_documents_show_is_the_default() -> None:
    text = (Path(__file__).parents[1] / "docs" / "sync.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n# edge/config.yaml\n(link:.*?)^```", text, re.MULTILINE | re.DOTALL)
    shown = read_link_policy(yaml.safe_load(block)["link"], "link")
    assert shown == replace(LinkPolicy(), rate=500_000, command="my-command")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("metered", "link is a map"),
        ({"meterd": "wait"}, "link is a map"),
        ({"metered": True}, "link.metered is wait or go"),
        ({"battery": "half"}, "link.battery is a charge"),
        ({"battery": 20}, "link.battery is a charge"),
        ({"rate": 0}, "link.rate is a size"),
        ({"rate": "fast"}, "link.rate is a size"),
        ({"spool": "-1 GB"}, "link.spool is a size"),
        ({"conditions": ["a"]}, "link.conditions is a command"),
    ],
)
def test_a_mistake_says_what_the_entry_is(entry: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read_link_policy(entry, "link")
    assert "for instance" in caught.value.message


@pytest.mark.parametrize(
    ("conditions", "low"),
    [
        (UNKNOWN, False),
        (Conditions(on_battery=True, charge=0.19), True),
        (Conditions(on_battery=True, charge=0.2), False),
        (Conditions(on_battery=False, charge=0.1), False),
        (Conditions(on_battery=True), False),
    ],
)
def test_a_battery_is_low_below_what_the_user_wants_to_keep(conditions: Conditions, low: bool) -> None:
    assert is_low(LinkPolicy(), conditions) is low
