"""The inputs a graph declares, as options of `graphferry run`: `--topic x` equals `--set topic=x` (docs/graph-spec.md §14)."""

from __future__ import annotations

import json
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from edge.commands.options import no_json
from edge.commands.piped import keep_piped
from graphs.environment import Environment
from graphs.errors import GraphInvalid, UsageError
from graphs.language.load import load_file, load_text
from graphs.language.spec import Graph, is_computed
from graphs.values import Value

__all__ = ["add_input_options", "given_inputs", "require_inputs", "require_start"]

_PREFIX: Final = "input of the graph: "
_JSON_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def add_input_options(parser: ArgumentParser, words: Sequence[str], env: Environment) -> None:
    """Adds an option for each input of the graph that the words name, if it can be read: what is wrong with it is told later.

    An input named like an option of the command keeps to `--set`.
    """
    declared = _declared(words, env, keep_piped(parser, words, env))
    taken = {option for action in parser._actions for option in action.option_strings}
    if declared is None:
        _let_pass(parser, words, taken)
    if not declared:
        return
    group = parser.add_argument_group("inputs of this graph")
    for name, about in declared.items():
        if f"--{name}" in taken:
            continue
        about = about if isinstance(about, Mapping) else {}
        default = f" (default: {json.dumps(about['default'], ensure_ascii=False)})" if "default" in about else ""
        text = f"{about.get('description') or about.get('type') or 'a value'}{default}".replace("%", "%%")
        group.add_argument(f"--{name}", dest=_PREFIX + name, metavar="VALUE", default=None, help=text)


def given_inputs(args: Namespace, declared: Mapping[str, Any]) -> dict[str, Value]:
    """The values of the inputs that were given as options, by the types the graph declares. Raises UsageError for a value of another type."""
    values: dict[str, Value] = {}
    for key, text in vars(args).items():
        if key.startswith(_PREFIX) and text is not None:
            name = key.removeprefix(_PREFIX)
            about = declared.get(name)
            values[name] = _typed(name, text, about.get("type") if isinstance(about, Mapping) else None)
    return values


def require_inputs(declared: Mapping[str, Any], given: Collection[str]) -> None:
    """Raises UsageError if an input that the graph declares has neither a value nor a default: such a run could only fail."""
    missing = [
        name for name, about in declared.items() if name not in given and not (isinstance(about, Mapping) and "default" in about)
    ]
    if missing:
        words = " ".join(f"--{name} VALUE" for name in missing)
        raise UsageError(
            f"the graph wants {'a value' if len(missing) == 1 else 'values'} for {', '.join(missing)}", hint=f"Add {words}"
        )


def require_start(graph: Graph, given: Collection[str], max_turns: int | None) -> None:
    """Raises UsageError for a graph that cannot even start: such a run would be on record and do nothing."""
    if (graph.document.get("loop") or {}).get("while") is True and max_turns is None:
        raise UsageError(
            "`while: true` never ends by itself, and no limit of turns is given",
            hint="Add --max-turns N, or let `while` name a source.",
        )
    missing = [
        name
        for name, spec in graph.nodes.items()
        if not is_computed(spec) and "value" not in spec and spec.get("update") is None and name not in given
    ]
    if missing:
        words = " ".join(f"--set {name}=VALUE" for name in missing)
        what = "node has neither a value" if len(missing) == 1 else "nodes have neither a value"
        raise UsageError(f"{what} nor an update: {', '.join(missing)}", hint=f"Add {words}, or a `value` in the graph.")


def _typed(name: str, text: str, type_: Any) -> Value:
    wanted = _JSON_TYPES.get(type_) if isinstance(type_, str) else None
    if wanted is None:
        return text
    try:
        value = json.loads(text, parse_constant=no_json)
    except ValueError:
        value = None
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UsageError(f"--{name} {text}: the graph wants a value of type {type_}")
    return value


def _declared(words: Sequence[str], env: Environment, piped: bytes | None) -> Mapping[str, Any] | None:
    """The inputs of the graph; None if there is none that can be read."""
    path = next((env.cwd / word for word in words if not word.startswith("-") and (env.cwd / word).is_file()), None)
    if piped is None and path is None:
        return None
    try:
        data = (load_file(path) if path is not None and piped is None else load_text(piped or b"")).data
    except GraphInvalid:
        return None
    inputs = data.get("inputs") if isinstance(data, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _let_pass(parser: ArgumentParser, words: Sequence[str], taken: Collection[str]) -> None:
    """Takes the options that nobody knows for inputs of the graph that cannot be read: that is what is to be told, and not that they are unknown."""
    unknown = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"} - {*taken}
    for option in sorted(unknown):
        if not any(each.startswith(option) for each in taken):  # the beginning of one does for it
            parser.add_argument(option, nargs="?", dest=f"unknown {option}", help=SUPPRESS)
