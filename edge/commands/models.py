"""`graphferry models`: list the models of this device; `models get NAME`, `models add PATH`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from graphs.environment import Environment, ExitStatus
from graphs.models.store import DEFAULT_MODEL, ModelStore, StoredModel

__all__ = ["add_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="action", metavar="get | add")
    get = commands.add_parser("get", help="fetch a model by name")
    get.add_argument("name", nargs="?", default=DEFAULT_MODEL, metavar="NAME", help=f"which (default: {DEFAULT_MODEL})")
    add = commands.add_parser("add", help="keep a GGUF file of your own")
    add.add_argument("path", metavar="PATH")
    add.add_argument("--name", help="what to call it (default: the file's name)")
    add.add_argument("--link", action="store_true", help="link to the file instead of copying it")


def main(args: Namespace, env: Environment) -> int:
    store = ModelStore(env.home("models"))
    if args.action == "get":
        env.stderr.write(f"getting {args.name} ...\n")
        env.stderr.flush()
        _say(store.get(args.name), env)
    elif args.action == "add":
        _say(store.add(env.cwd / Path(args.path), args.name, link=args.link), env)
    elif args.json:
        env.stdout.write(json.dumps([_entry(model) for model in store.list()]) + "\n")
    else:
        models = store.list()
        for model in models:
            _say(model, env)
        if not models:
            env.stdout.write(f"no models in {env.home('models')}\n  graphferry models get {DEFAULT_MODEL}\n")
    return ExitStatus.COMPLETED


def _say(model: StoredModel, env: Environment) -> None:
    facts = model.facts
    about = f"  {facts.licence or 'licence unknown'}  sha256 {facts.sha256[:12]}" if facts else ""
    env.stdout.write(f"{model.name:<24} {model.size / 1e6:8.1f} MB{about}  {model.path}\n")


def _entry(model: StoredModel) -> dict[str, object]:
    facts = model.facts
    return {
        "name": model.name,
        "path": str(model.path),
        "size": model.size,
        "sha256": facts.sha256 if facts else None,
        "licence": facts.licence if facts else None,
        "quantisation": facts.quantisation if facts else None,
        "context": facts.context if facts else None,
    }
