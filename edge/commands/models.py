"""`graphferry models`: the models of this device; `get`, `import`, `add` take one in, `bench` measures one."""

from __future__ import annotations

import asyncio
import json
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge.config import load_config
from edge.device import device_models
from edge.showing.model_table import model_rows, table
from graphs.environment import Environment, ExitStatus
from graphs.errors import ModelMissing, UsageError
from graphs.models.files.download import read_source
from graphs.models.files.quantise import DEFAULT_QUANT, QUANTS, Quant, can_quantise
from graphs.models.files.store import DEFAULT_MODEL, ModelStore, StoredModel

__all__ = ["add_arguments", "main"]

_SHOW_SECONDS: Final = 0.2
_SHOW_SHARE: Final = 0.25
_QUANT_HELP: Final = (
    "write the file anew as q8_0 (default; no measurable loss, prompts are read about twice as fast as with Q4_1), q4_0 (faster "
    "still, a little worse), or none"
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="action", metavar="get | import | add | bench")
    get = commands.add_parser("get", help="fetch a model by name or address")
    get.add_argument(
        "source", nargs="?", default=DEFAULT_MODEL, metavar="URL|NAME[@SHA256]", help=f"which (default: {DEFAULT_MODEL})"
    )
    imports = commands.add_parser("import", help="take in a GGUF file, written anew for this machine")
    imports.add_argument("path", metavar="FILE")
    for each in (get, imports):
        each.add_argument("--quant", choices=QUANTS, help=_QUANT_HELP)
        each.add_argument("--name", help="what to call it (default: the file's name)")
    add = commands.add_parser("add", help="keep a GGUF file of your own as it is")
    add.add_argument("path", metavar="PATH")
    add.add_argument("--name", help="what to call it (default: the file's name)")
    add.add_argument("--link", action="store_true", help="link to the file instead of copying it")
    bench = commands.add_parser("bench", help="measure how fast a model is here, and keep the figures")
    bench.add_argument("name", nargs="?", metavar="NAME", help="which (default: all of this device)")


def main(args: Namespace, env: Environment) -> int:
    store = ModelStore(env.home("models"))
    if args.action == "get":
        before = {model.path: model.facts for model in store.list()}
        got = _get(args, store, env)
        _tell([got], args, env, new=before.get(got.path) != got.facts)
    elif args.action == "import":
        with _Progress(env, "writing anew") as progress:
            model = store.add(
                env.cwd / Path(args.path), args.name, quant=_quant(args.quant, args.path, env), progress=progress.show
            )
        _tell([model], args, env)
    elif args.action == "add":
        _tell([store.add(env.cwd / Path(args.path), args.name, link=args.link)], args, env)
    elif args.action == "bench":
        _tell(asyncio.run(_bench(args.name, store, env)), args, env)
    else:
        servers = load_config(env).servers
        rows = model_rows(store.list(), servers)
        if args.json:
            env.stdout.write(json.dumps(rows) + "\n")
        elif rows:
            env.stdout.write(table(rows))
        else:
            env.stdout.write(f"no models in {env.home('models')}\n  graphferry models get {DEFAULT_MODEL}\n")
    return ExitStatus.COMPLETED


def _get(args: Namespace, store: ModelStore, env: Environment) -> StoredModel:
    source = read_source(args.source)
    env.stderr.write(f"getting {source.text} ...\n")
    env.stderr.flush()
    if source.text.startswith("http:") and source.sha256 is None:
        env.stderr.write("this address is not encrypted, and no SHA-256 was named: nobody vouches for what comes\n")
    with _Progress(env, source.name) as progress:
        if source.is_url:
            return store.get_url(source, args.name, quant=_quant(args.quant, source.text, env), progress=progress.show)
        if args.name is not None:
            raise UsageError(f"{source.text} has its name; --name is for addresses")
        here = any(model.name == source.text for model in store.list())
        if here and args.quant is None:
            env.stderr.write(f"{source.text} is here already and stays as it is; --quant writes it anew\n")
        quant = args.quant if here else _quant(args.quant, source.text, env)
        return store.get(source.text, quant=quant, sha256=source.sha256, progress=progress.show)


def _quant(said: Quant | None, what: str, env: Environment) -> Quant:
    if said is not None:
        return said
    if can_quantise():
        return DEFAULT_QUANT
    env.stderr.write(f"llama.cpp is not installed: {what} is kept as it is, not written as {DEFAULT_QUANT}\n")
    return "none"


async def _bench(name: str | None, store: ModelStore, env: Environment) -> list[StoredModel]:
    from graphs.models.bench import measure

    config = load_config(env)
    models, tiers = device_models(env, config, config.models)
    named = [tiers.get(name, name)] if name is not None else [model.name for model in store.list()]
    try:
        for each in named:
            if name is not None and each not in {model.name for model in store.list()} and each in models.names():
                raise UsageError(f"{each} is not a file of this device; what is measured here are files of {store.folder}.")
            env.stderr.write(f"measuring {each} ...\n")
            env.stderr.flush()
            speed = await measure(await models.get(each))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            store.note_speed(
                each,
                tokens_per_second=round(speed.tokens_per_second, 2),
                prompt_per_second=round(speed.prompt_per_second, 1),
                measured=now,
            )
    finally:
        await models.close()
    if not named:
        raise ModelMissing(f"There are no models in {store.folder}.", hint=f"graphferry models get {DEFAULT_MODEL}")
    return [store.find(each) for each in named]


def _tell(models: list[StoredModel], args: Namespace, env: Environment, *, new: bool = True) -> None:
    rows = model_rows(models, {})
    env.stdout.write(json.dumps(rows if args.action == "bench" else rows[0]) + "\n" if args.json else table(rows))
    for row in rows:
        if new and args.action != "bench":
            env.stderr.write(f"{row['name']} has the sha256 {row['sha256']}\n")
            if row["source_quantisation"]:
                env.stderr.write(f"  written anew from {row['source_quantisation']}, sha256 {row['source_sha256']}\n")


class _Progress:
    """How far it is, on stderr: in place on a terminal, else a line at each quarter."""

    def __init__(self, env: Environment, what: str) -> None:
        self._env = env
        self._what = what
        self._shown = 0.0
        self._share = 0.0
        self._open = False

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            self._env.stderr.write("\n")

    def show(self, done: int, total: int) -> None:
        share = done / total if total else 0.0
        if share < self._share:  # another stage: first the bytes come, then the tensors are written
            self._share = 0.0
        amount = (
            f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
            if total > 100_000
            else f"{done} of {total}"
            if total
            else f"{done / 1e6:.1f} MB"
        )
        now = time.monotonic()
        if self._env.is_tty:
            if now - self._shown < _SHOW_SECONDS and done != total:
                return
            self._env.stderr.write(f"\r{self._what}: {amount} ")
            self._open = True
        elif share >= self._share + _SHOW_SHARE or (done == total and share > self._share):
            self._env.stderr.write(f"{self._what}: {amount}\n")
            self._share = share
        else:
            return
        self._shown = now
        self._env.stderr.flush()
