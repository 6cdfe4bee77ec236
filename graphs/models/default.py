"""The name of the model that is fetched when no other is named: all that messages need to know of it, without what fetches it."""

from __future__ import annotations

from typing import Final

__all__ = ["DEFAULT_MODEL"]

DEFAULT_MODEL: Final = "smollm2-135m"
