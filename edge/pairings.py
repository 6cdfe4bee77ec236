"""The workers this device is paired with: a token of its own for each, and the certificate it is to show. Only their owner may read them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from graphs.errors import UsageError

__all__ = ["Pairing", "Pairings", "credentials", "device_id", "link_url"]

_NAME: Final = "workers.json"
_LINK_PATH: Final = "/v1/link"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Pairing:
    """One worker. `fingerprint` is that of its certificate, None where this system verifies it; `paired` is ms since 1970. `alias` is the name that
    `sensitivity` of the configuration may call it by.
    """

    url: str
    token: str = field(repr=False)
    fingerprint: str | None
    account: str
    paired: int
    alias: str | None = None


class Pairings:
    """The file of pairings in the device's folder. Raises UsageError if it cannot be read, or if others may read it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _NAME

    def all(self) -> list[Pairing]:
        """All of them, in the order they were made."""
        try:
            with self.path.open(encoding="utf-8") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                    raise UsageError(
                        f"{self.path} holds tokens, and others may read it", hint=f"Look who did, then: chmod 600 {self.path}"
                    )
                data = json.load(file)
            return [Pairing(**each) for each in data["workers"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError):  # its text may be a token: it is not repeated
            raise UsageError(
                f"{self.path} cannot be read", hint="Move it away, and pair with the worker again: graphferry pair"
            ) from None

    def find(self, url: str) -> Pairing | None:
        """The pairing with the worker at this URL."""
        return next((each for each in self.all() if each.url == url), None)

    def names(self) -> dict[str, str]:
        """The URLs of the workers that have a name, by that."""
        return {each.alias: each.url for each in self.all() if each.alias is not None}

    @property
    def last(self) -> str | None:
        """The URL of the worker that was paired last."""
        found = self.all()
        return found[-1].url if found else None

    def put(self, pairing: Pairing) -> None:
        """Keep it, in place of an earlier one with the same worker, whose name it has if it comes without one."""
        before = self.find(pairing.url)
        if pairing.alias is None and before is not None:
            pairing = replace(pairing, alias=before.alias)
        workers = [asdict(each) for each in (*(each for each in self.all() if each.url != pairing.url), pairing)]
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_name(f"{_NAME}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"workers": workers}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def device_id(store: bytes) -> bytes:
    """How this installation names itself on the link: its store id, filled up to 16 bytes."""
    return store + bytes(8)


def link_url(text: str) -> str:
    """A worker's URL in the one form it is looked up by; the path may be left out. Raises UsageError for what is none."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    known: Mapping[str, Any] = _PORTS
    if parts.scheme not in known or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UsageError(f"{text!r} is not a link URL: it looks like wss://HOST:PORT{_LINK_PATH}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or known[parts.scheme]}{parts.path if parts.path not in ('', '/') else _LINK_PATH}"


def credentials(folder: Path, url: str, token: str | None, *, plain: bool = False) -> tuple[str | None, str | None]:
    """The token to show the worker at `url`, and the fingerprint its certificate must have, if any.

    A paired worker is shown its own token; `token` is for all others, so that one worker's token is not told to another. Raises UsageError
    for a URL without TLS that leads elsewhere than to this machine, unless `plain`.
    """
    try:
        known = link_url(url)
    except UsageError:
        return token, None  # the carrier says what is wrong with it
    if known.startswith("ws:") and not plain and urlsplit(known).hostname not in _LOOPBACK:
        raise UsageError(
            f"{url} is not encrypted: everybody on the way could read what this run sends, and the token",
            hint="Use the worker's wss:// URL. If the network in between is safe, say so in edge/config.yaml: cloud: {plain: true}",
        )
    pairing = Pairings(folder).find(known)
    return (token, None) if pairing is None else (pairing.token, pairing.fingerprint)
