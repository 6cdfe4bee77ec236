"""The inputs a graph declares, as options of `graphferry run`: `--topic x` equals `--set topic=x` (docs/graph-spec.md §14)."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from graphs.environment import Environment
from graphs.errors import GraphInvalid, UsageError
from graphs.language.load import load_file
from graphs.values import Value

__all__ = ["add_input_options", "given_inputs", "require_inputs"]

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
    declared = _declared(words, env)
    if not declared:
        return
    taken = {option for action in parser._actions for option in action.option_strings}
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


def _typed(name: str, text: str, type_: Any) -> Value:
    wanted = _JSON_TYPES.get(type_) if isinstance(type_, str) else None
    if wanted is None:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UsageError(f"--{name} {text}: the graph wants a value of type {type_}")
    return value


def _declared(words: Sequence[str], env: Environment) -> Mapping[str, Any]:
    for word in words:
        path = env.cwd / word
        if not word.startswith("-") and path.is_file():
            try:
                data = load_file(path).data
            except GraphInvalid:
                return {}
            inputs = data.get("inputs") if isinstance(data, Mapping) else None
            return inputs if isinstance(inputs, Mapping) else {}
    return {}
