"""Finds out what the way to the worker costs now (edge.network.conditions).

Three may say so, the first that does counts for each of the facts: the variable `GRAPHFERRY_CONDITIONS`, the command that the device's
configuration names (`link: {conditions: COMMAND}`), and the system itself. The first two speak in the same words: `metered`, `unmetered`,
`battery`, `mains`, the charge that is left, `37%`, and what the battery gives now, `8.5W`. A fact that nobody tells is None, and nothing follows
from it.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.network.conditions import UNKNOWN, Conditions, said

__all__ = ["VARIABLE", "read_battery", "read_conditions"]

VARIABLE: Final = "GRAPHFERRY_CONDITIONS"

_POWER: Final = Path("/sys/class/power_supply")
_SECONDS: Final = 5.0
"""How long a command may take to say how things stand."""
_KEPT_BACK: Final = "GRAPHFERRY_TOKEN"
"""What no other program is to see."""


def read_conditions(environ: Mapping[str, str], command: str | None = None, *, power: Path = _POWER) -> Conditions:
    """How things stand now, as the variables, this command and the system tell. Blocks for as long as the command takes, at most some seconds;
    never raises: who cannot tell has not told, and `unheard` says why.
    """
    found, sources = UNKNOWN, list[str]()
    tellers: Sequence[Callable[[], Conditions]] = (
        lambda: _variable(environ),
        lambda: _command(environ, command),
        lambda: _system(environ, power),
    )
    for ask in tellers:
        if found.metered is not None and found.on_battery is not None and (found.charge is not None or not found.on_battery):
            break  # all that matters is said
        told = ask()
        both = replace(
            found,
            metered=told.metered if found.metered is None else found.metered,
            on_battery=told.on_battery if found.on_battery is None else found.on_battery,
            charge=told.charge if found.charge is None else found.charge,
            watts=told.watts if found.watts is None else found.watts,
            unheard=found.unheard or told.unheard,
        )
        if both != found or (_is_silent(told) and told.source != UNKNOWN.source):
            sources.append(told.source)
        found = both
    return replace(found, source=", ".join(sources) or UNKNOWN.source)


def read_battery(environ: Mapping[str, str], *, power: Path = _POWER) -> Conditions:
    """Whether a battery feeds this machine, and how full it is, as the variable and the system tell. Starts no program."""
    told = _variable(environ)
    if told.on_battery is not None:
        return told
    on_battery, charge, _ = _power_supply(power)
    found = Conditions(None, on_battery, charge, "system")
    return UNKNOWN if _is_silent(found) else found


def _variable(environ: Mapping[str, str]) -> Conditions:
    words = environ.get(VARIABLE, "")
    try:
        return said(words, VARIABLE) if words.strip() else UNKNOWN
    except ValueError as error:
        return _unheard(f"{VARIABLE}: {error}")


def _command(environ: Mapping[str, str], command: str | None) -> Conditions:
    """What the configured command says: in words, or by its exit status alone, 0 for unmetered and 1 for metered."""
    if not command:
        return UNKNOWN
    try:
        status, words = _ask(shlex.split(command), environ)
        if words.strip():
            return said(words, "command")
    except (OSError, ValueError) as error:
        return _unheard(f"{command!r} did not tell: {error}")
    if status not in (0, 1):
        return _unheard(f"{command!r} did not tell: it ended with status {status}")
    return Conditions(metered=status == 1, source="command")


def _unheard(why: str) -> Conditions:
    return Conditions(source=why, unheard=why)


def _system(environ: Mapping[str, str], power: Path) -> Conditions:
    on_battery, charge, watts = _power_supply(power)
    found = Conditions(_network_manager(environ), on_battery, charge, "system", watts)
    return UNKNOWN if _is_silent(found) else found


def _is_silent(told: Conditions) -> bool:
    return (told.metered, told.on_battery, told.charge) == (None, None, None)


# -- what Linux tells


def _power_supply(folder: Path) -> tuple[bool | None, float | None, float | None]:
    """Whether a battery feeds this machine, how full it is, and how many watts it gives if it does. Batteries of mice and the like are none of it."""
    mains, batteries = list[bool](), list[Path]()
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        kind = _read(each / "type")
        if kind == "Battery" and _read(each / "scope") != "Device":
            batteries.append(each)
        elif kind in ("Mains", "USB") and _read(each / "scope") != "Device" and (online := _read(each / "online")) is not None:
            mains.append(online != "0")
    if not batteries:
        return (False if mains else None), None, None
    fed = any(mains)
    drained = any(_read(each / "status") == "Discharging" for each in batteries)
    return not fed and (drained or bool(mains)), _charge(batteries), _watts(batteries) if drained and not fed else None


def _watts(batteries: Sequence[Path]) -> float | None:
    """What batteries give now: in microwatts, or in microamperes at microvolts; the sign is not the same everywhere."""
    found = 0.0
    for each in batteries:
        power, current, voltage = (_number(each / f"{name}_now") for name in ("power", "current", "voltage"))
        if power is not None:
            found += abs(power) / 1e6
        elif current is not None and voltage is not None:
            found += abs(current * voltage) / 1e12
    return round(found, 3) or None


def _charge(batteries: Sequence[Path]) -> float | None:
    """By energy where all batteries tell it, as they may be of different sizes."""
    for unit in ("energy", "charge"):
        pairs = [(_number(each / f"{unit}_now"), _number(each / f"{unit}_full")) for each in batteries]
        if all(now is not None and full for now, full in pairs):
            return min(1.0, sum(now or 0 for now, _ in pairs) / sum(full or 0 for _, full in pairs))
    parts = [part for each in batteries if (part := _number(each / "capacity")) is not None]
    return min(1.0, sum(parts) / len(parts) / 100) if parts else None


def _network_manager(environ: Mapping[str, str]) -> bool | None:
    """Whether the network is metered, as NetworkManager knows or guesses it; None where there is none."""
    name = "org.freedesktop.NetworkManager"
    words = ("get-property", name, "/org/freedesktop/NetworkManager", name, "Metered")
    answer = _asked(("busctl", "--system", *words), environ).split()
    if len(answer) == 2 and answer[0] == "u":
        return {"1": True, "2": False, "3": True, "4": False}.get(answer[1])
    return _by_nmcli(_asked(("nmcli", "-t", "-f", "GENERAL.METERED,IP4.GATEWAY,IP6.GATEWAY", "device", "show"), environ))


def _by_nmcli(text: str) -> bool | None:
    """Of the devices that lead anywhere."""
    found: bool | None = None
    for block in text.split("\n\n"):
        fields = dict(_fields(block))
        leads = any(fields.get(f"IP{version}.GATEWAY", "--") not in ("", "--") for version in (4, 6))
        word = fields.get("GENERAL.METERED", "").partition(" ")[0]
        if leads and word in ("yes", "no"):
            found = bool(found) or word == "yes"
    return found


def _fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()


def _asked(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """What a program of the system says; nothing if there is none."""
    program = shutil.which(words[0], path=environ.get("PATH", ""))
    if program is None:
        return ""
    try:
        status, text = _ask([program, *words[1:]], environ)
    except (OSError, ValueError):
        return ""
    return text if status == 0 else ""


def _ask(words: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """Raises OSError and ValueError for a command that cannot be run, or is not done in time."""
    import subprocess

    if not words:
        raise ValueError("it is empty")
    kept = {name: value for name, value in environ.items() if name != _KEPT_BACK}
    try:
        done = subprocess.run(
            words,
            env=kept,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"it took longer than {_SECONDS:g} s") from None
    return done.returncode, done.stdout


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _number(file: Path) -> float | None:
    text = _read(file)
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
