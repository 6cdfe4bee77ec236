"""`graphferry serve pair` and `graphferry serve devices [revoke]`: which devices may come to the worker of this home.

They work beside the serving process, through the store of devices that both have open.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from datetime import UTC, datetime

from cloud.accounts import DEFAULT
from cloud.devices import DeviceStore, PairedDevice
from cloud.pairing import CODE_MS, issue_code
from cloud.serving import Serving
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError

__all__ = ["manage"]


def manage(args: Namespace, env: Environment) -> int:
    """Carry out the action that `serve` was given."""
    with DeviceStore(env.home("cloud") / "devices.db") as store:
        if args.action == "pair":
            _pair(store, args, env)
        elif args.devices_action == "revoke":
            _revoke(store, args.device, env)
        else:
            _list(store, env, as_json=args.json)
    return ExitStatus.COMPLETED


def _pair(store: DeviceStore, args: Namespace, env: Environment) -> None:
    serving = Serving.read(env.home("cloud"))
    account = args.account or DEFAULT
    if account not in serving.accounts:
        raise UsageError(
            f"--account {account}: the worker has no such account; it has {', '.join(sorted(serving.accounts))}",
            hint="Add it to `accounts` in the worker's configuration, and start the worker again.",
        )
    code = issue_code(store, account, _now())
    if args.json:
        told = {
            "url": serving.url,
            "code": code.text,
            "fingerprint": serving.fingerprint,
            "account": account,
            "minutes": CODE_MS // 60_000,
        }
        env.stdout.write(json.dumps(told) + "\n")
        return
    lines = [f"url          {serving.url}", f"code         {code.text}"]
    if serving.fingerprint is not None:
        lines.append(f"certificate  {serving.fingerprint}")
    lines += ["", f"Within {CODE_MS // 60_000} minutes, on the device:", f"  graphferry pair {serving.url} {code.text}"]
    env.stdout.write("\n".join(lines) + "\n")


def _list(store: DeviceStore, env: Environment, *, as_json: bool) -> None:
    devices = store.devices()
    if as_json:
        env.stdout.write(json.dumps([_entry(each) for each in devices]) + "\n")
        return
    if not devices:
        env.stdout.write("no devices are paired; `graphferry serve pair` prints what to type on one\n")
    for each in devices:
        day = datetime.fromtimestamp(each.paired / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        env.stdout.write(f"{each.id}  {day}  {_state(each):<8} {each.account:<12} {each.name}\n")


def _revoke(store: DeviceStore, word: str, env: Environment) -> None:
    device = store.find(word)
    if device.revoked is not None:
        env.stdout.write(f"{device.name} ({device.id}) had no access any more\n")
        return
    store.revoke(device.device, _now())
    env.stdout.write(f"{device.name} ({device.id}) may not come any more; its open connections end within a second\n")


def _entry(device: PairedDevice) -> dict[str, object]:
    return {
        "device": device.id, "name": device.name, "account": device.account, "state": _state(device), "paired": device.paired,
        "until": device.until, "revoked": device.revoked,
    }  # fmt: skip


def _state(device: PairedDevice) -> str:
    if device.revoked is not None:
        return "revoked"
    return "expired" if device.until is not None and _now() >= device.until else "paired"


def _now() -> int:
    return time.time_ns() // 1_000_000
