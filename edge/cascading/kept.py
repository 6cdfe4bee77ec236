"""The bars that were calibrated on this device, kept with the journal by the key of the cascade (graphs.language.cascade.calibration_key)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphs.values import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphs.journal import Journal

__all__ = ["drop_bar", "keep_bar", "kept_bar", "kept_below"]

_PREFIX: Final = "bar "


def keep_bar(journal: Journal, key: str, about: Mapping[str, Any]) -> None:
    """Queues a bar: `below`, and what is known of it (`quality`, `share`, `pairs`, `aim`, `set` in milliseconds)."""
    journal.set_meta(_PREFIX + key, canonical(dict(about)))


def kept_bar(journal: Journal, key: str) -> Mapping[str, Any] | None:
    """What `keep_bar` kept; None if there is no bar."""
    return journal.meta_value(_PREFIX + key, dict)


def kept_below(journal: Journal, key: str) -> float | None:
    """The bar alone."""
    bar = kept_bar(journal, key)
    return float(bar["below"]) if bar is not None else None


def drop_bar(journal: Journal, key: str) -> None:
    """Queues that there is none any more."""
    journal.drop_meta(_PREFIX + key)
