"""Accounts: what the devices of one user or team may do at this worker, as `accounts` in worker.yaml says it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphs.errors import UsageError
from graphs.language.labels import confining
from graphs.settings import unknown_entry

__all__ = ["DAY_MS", "DEFAULT", "Account", "read_accounts"]

DEFAULT: Final = "default"
"""The account of devices for which nothing else is said: with the worker's own token, or on loopback without one."""

DAY_MS: Final = 86_400_000
_GIB: Final = 1 << 30
_LEAST_RATE: Final = 64 << 10
_LEAST_MESSAGES: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SIZES: Final = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": _GIB, "TIB": 1 << 40}
_DECIMAL: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_TIMES: Final = {"m": 60_000, "h": 3_600_000, "d": DAY_MS}
_EXAMPLE: Final = "accounts: {alice: {models: [large], quota: {runs: 8, disk: 2GiB}, retention: 30d}}"


@dataclass(frozen=True, slots=True)
class Account:
    """What one account may.

    `clearance` are the sensitivity labels whose values may come here, none by default. `models` are the models it may use, None for
    all. `runs` is how many child runs may be open at once over all its devices, `disk` how many bytes of records are kept for it, `rate` how many
    bytes a second are taken from all its devices together, `device_rate` from one of them, `messages` and `device_messages` how many messages,
    `connects` how often a minute one of them may connect.
    `retention_ms` is how long an ended run is kept after its device acknowledged all of it; `unfetched_ms` after how long one goes
    whose results the device never fetched, None for never. `token_ms` is how long a paired device's token is good, None for ever.
    `tokens` are hashes of tokens of devices that were not paired, by the device's name.
    """

    name: str = DEFAULT
    clearance: frozenset[str] = frozenset()
    models: frozenset[str] | None = None
    runs: int | None = None
    disk: int = 10 * _GIB
    rate: int = 128 << 20
    device_rate: int = 64 << 20
    messages: int = 100_000
    device_messages: int = 50_000
    connects: int = 600
    retention_ms: int = 30 * DAY_MS
    unfetched_ms: int | None = None
    token_ms: int | None = None
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    def clear(self, labels: Collection[str], _peer: str = "") -> bool:
        """The worker's gate for this account: whether values with all of these labels may pass."""
        return self.clearance.issuperset(confining(labels))

    def allows(self, model: str) -> bool:
        """Whether it may use the model of this name."""
        return self.models is None or model in self.models


def read_accounts(data: Any, where: object) -> dict[str, Account]:
    """The accounts in a configuration, the default one always among them. Raises UsageError naming the entry that is wrong."""
    if data is not None and not isinstance(data, Mapping):
        raise UsageError(f"{where}: `accounts` is a map of names, for instance\n{_EXAMPLE}")
    accounts = {DEFAULT: Account()}
    for name, entry in (data or {}).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{where}: accounts: {name!r} is no name: letters, digits and . _ @ - are")
        accounts[name] = _account(name, {} if entry is None else entry, f"{where}: accounts.{name}")
    seen: dict[str, str] = {}
    for account in accounts.values():
        for device, digest in account.tokens.items():
            if digest in seen:
                raise UsageError(f"{where}: accounts.{account.name}.tokens.{device}: {seen[digest]} has the same token")
            seen[digest] = f"accounts.{account.name}.tokens.{device}"
    return accounts


def _account(name: str, entry: Any, where: str) -> Account:
    entry = _known(entry, {"clearance", "models", "quota", "retention", "unfetched", "tokens_last", "tokens"}, where)
    quota = _known(
        entry.get("quota") or {},
        {"runs", "disk", "rate", "device_rate", "messages", "device_messages", "connects"},
        f"{where}.quota",
    )
    usual = Account()
    models = entry.get("models")
    return Account(
        name,
        clearance=_words(entry.get("clearance") or (), f"{where}.clearance"),
        models=None if models is None else _words(models, f"{where}.models"),
        runs=_given(quota, "runs", _count, f"{where}.quota", usual.runs),
        disk=_given(quota, "disk", _size, f"{where}.quota", usual.disk),
        rate=_given(quota, "rate", _rate, f"{where}.quota", usual.rate),
        device_rate=_given(quota, "device_rate", _rate, f"{where}.quota", usual.device_rate),
        messages=_given(quota, "messages", _messages, f"{where}.quota", usual.messages),
        device_messages=_given(quota, "device_messages", _messages, f"{where}.quota", usual.device_messages),
        connects=_given(quota, "connects", _count, f"{where}.quota", usual.connects),
        retention_ms=_given(entry, "retention", _span, where, usual.retention_ms),
        unfetched_ms=_given(entry, "unfetched", _span, where, usual.unfetched_ms),
        token_ms=_given(entry, "tokens_last", _span, where, usual.token_ms),
        tokens=_tokens(entry.get("tokens") or {}, f"{where}.tokens"),
    )


def _known(entry: Any, known: Collection[str], where: str) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where}: expected a map of {', '.join(sorted(known))}")
    for key in entry:
        if key not in known:
            raise unknown_entry(where, key, known)
    return entry


def _given(entry: Mapping[str, Any], key: str, read: Callable[[Any, str], int], where: str, usual: Any) -> Any:
    return usual if entry.get(key) is None else read(entry[key], f"{where}.{key}")


def _words(value: Any, where: str) -> frozenset[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(each, str) and each for each in words):
        raise UsageError(f"{where}: a list of words is expected")
    return frozenset(words)


def _count(value: Any, where: str) -> int:
    if type(value) is not int or value < 1:
        raise UsageError(f"{where}: a number from 1 is expected, not {value!r}")
    return value


def _size(value: Any, where: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", str(value))
    unit = {**_SIZES, **_DECIMAL}.get(match[2].upper()) if match and type(value) is not bool else None
    if match is None or unit is None:
        raise UsageError(f"{where}: {value!r} is no size: write 500MB, 2GiB or a number of bytes")
    return int(float(match[1]) * unit)


def _rate(value: Any, where: str) -> int:
    if (size := _size(value, where)) < _LEAST_RATE:
        raise UsageError(f"{where}: {value!r} a second is too little to work with: 64KiB is the least")
    return size


def _messages(value: Any, where: str) -> int:
    if (count := _count(value, where)) < _LEAST_MESSAGES:
        raise UsageError(f"{where}: {count} messages a second are too few to work with: {_LEAST_MESSAGES} are the least")
    return count


def _span(value: Any, where: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", str(value))
    if match is None:
        raise UsageError(f"{where}: {value!r} is no span of time: write 30d, 12h or 10m")
    return int(float(match[1]) * _TIMES[match[2]])


def _tokens(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: a map of a device's name to `sha256:` and the hash of its token is expected")
    found = {}
    for name, digest in value.items():
        # what stands here may be the token itself: it is not repeated
        if not isinstance(name, str) or not isinstance(digest, str) or not _HASH.fullmatch(digest.lower()):
            raise UsageError(
                f"{where}.{name}: the hash of a token is expected: `sha256:` and 64 digits",
                hint='Make it with: printf %s "$TOKEN" | sha256sum',
            )
        found[name] = digest.lower()
    return found
