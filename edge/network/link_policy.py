"""What the user says of the way to the worker: what waits while it is dear, how fast large values may go, how much may wait. Pure.

Dear is a metered network, or a battery that is nearly empty. What then waits are large values and the sync of marked runs; the small records of runs
that go on are sent, as are those that come.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.network.conditions import Conditions
from graphs.errors import UsageError

__all__ = ["LinkPolicy", "held_back", "is_low", "read_link_policy"]

_EXAMPLE: Final = "link: {metered: wait, battery: 20%, rate: 500 kB, spool: 1 GB, conditions: my-command}"
_KEYS: Final = frozenset({"metered", "battery", "rate", "spool", "conditions"})
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """`waits_metered`: large values and marked runs wait while the network is metered. `battery`: they wait on a battery that has less than this
    left, from 0 to 1. `rate`: bytes a second at which large values leave; None for as fast as they can. `spool`: bytes that may wait to go out
    before it is said aloud, and no further run is marked unasked. `command` tells the conditions (edge.network.conditions).
    """

    waits_metered: bool = True
    battery: float = 0.2
    rate: int | None = None
    spool: int = 10**9
    command: str | None = None


def held_back(policy: LinkPolicy, conditions: Conditions) -> str | None:
    """Why large values and marked runs wait, in a sentence's second half; None if nothing waits."""
    if policy.waits_metered and conditions.metered:
        return f"the network is metered ({conditions.source})"
    if is_low(policy, conditions):
        charge = conditions.charge
        return f"this device runs on its battery, of which {charge:.0%} are left ({conditions.source})"
    return None


def is_low(policy: LinkPolicy, conditions: Conditions) -> bool:
    """Whether a battery feeds this device, and less is left in it than the user wants to be careful from."""
    return bool(conditions.on_battery) and conditions.charge is not None and conditions.charge < policy.battery


def read_link_policy(entry: Any, where: str) -> LinkPolicy:
    """The policy in a configuration's entry; the usual one where there is none. Raises UsageError, saying `where`."""
    if entry is None:
        return LinkPolicy()
    if not isinstance(entry, Mapping) or set(entry) - _KEYS:
        raise UsageError(f"{where} is a map with {', '.join(sorted(_KEYS))}, for instance\n{_EXAMPLE}")
    metered, command = entry.get("metered", "wait"), entry.get("conditions")
    if metered not in ("wait", "go"):
        raise UsageError(f"{where}.metered is wait or go, for instance\n{_EXAMPLE}")
    if command is not None and (not isinstance(command, str) or not command.strip()):
        raise UsageError(f"{where}.conditions is a command, for instance\n{_EXAMPLE}")
    usual = LinkPolicy()
    battery = _share(entry.get("battery", usual.battery))
    if battery is None:
        raise UsageError(f"{where}.battery is a charge, from 0 (never wait) to 100%, for instance\n{_EXAMPLE}")
    rate = None if entry.get("rate") is None else _size(entry["rate"])
    if (rate is None and entry.get("rate") is not None) or rate == 0:
        raise UsageError(f"{where}.rate is a size, of what may leave in a second, for instance\n{_EXAMPLE}")
    spool = _size(entry.get("spool", usual.spool))
    if spool is None:
        raise UsageError(f"{where}.spool is a size, for instance\n{_EXAMPLE}")
    return LinkPolicy(metered == "wait", battery, rate, spool, command)


def _share(value: Any) -> float | None:
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return share if not isinstance(value, bool) and 0 <= share <= 1 else None


def _size(value: Any) -> int | None:
    match = _SIZE.fullmatch(str(value).strip()) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match else None
