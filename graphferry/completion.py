"""`graphferry completion SHELL`: a script by which bash, zsh or fish completes the commands, their options, files and ids of runs.

It is made from the parsers of the commands, once, when it is asked for: a key press in a shell starts no Python, but where runs are to be named.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from graphs.environment import Environment

__all__ = ["add_arguments", "main"]

Kind: TypeAlias = Literal["file", "run", "none"] | tuple[str, ...]
"""What completes a word: names of files, ids of runs, nothing that is known, or one of these words."""

_FILES: Final = ("GRAPH", "FILE", "MODULE")
_MOST_RUNS: Final = 50


@dataclass(slots=True)
class _Level:
    """A command, or one inside it: `runs`, `runs show`."""

    name: str
    inner: dict[str, str] = field(default_factory=dict)
    """The commands in it, each with what it does."""
    flags: dict[str, str] = field(default_factory=dict)
    """All its options, each with what it does."""
    values: dict[str, Kind] = field(default_factory=dict)
    """What completes the value of those options that take one."""
    words: Kind = "none"
    """What completes the words that are no options."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "shell", choices=[*_SCRIPTS, "runs"], help="whose script to print; runs prints the ids of the latest runs"
    )


def main(args: Namespace, env: Environment) -> int:
    if args.shell == "runs":
        env.stdout.write("".join(f"{each}\n" for each in _runs(env)))
        return 0
    env.stdout.write(_SCRIPTS[args.shell](list(_levels())))
    return 0


def _runs(env: Environment) -> list[str]:
    from edge.config import load_config
    from graphs.journal import Journal
    from graphs.journal.ids import run_id_text

    config = load_config(env)
    if not config.journal.is_file():
        return []
    with Journal.open(config.journal) as journal:
        return [run_id_text(row.run) for row in journal.runs(_MOST_RUNS, role="root")]


def _levels() -> Iterator[_Level]:
    from importlib import import_module

    from graphferry.cli import COMMANDS

    options = {"--help": "show the help", "--version": "print the version", "--debug": "show the stack trace of an error"}
    yield _Level("", {name: command.help for name, command in COMMANDS.items()}, options)
    for name, command in COMMANDS.items():
        parser = ArgumentParser(prog=name)
        import_module(command.module).add_arguments(parser)
        yield from _of_parser(name, parser)


def _of_parser(name: str, parser: ArgumentParser) -> Iterator[_Level]:
    level = _Level(name)
    inside: dict[str, ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            inside = dict(action.choices)
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            level.inner = {each: helps.get(each, "") for each in inside}
        elif action.option_strings:
            for option in action.option_strings:
                level.flags[option] = (action.help or "").replace("%%", "%")
                if action.nargs != 0:
                    level.values[option] = _kind(action)
        elif level.words == "none":
            level.words = _kind(action)
    yield level
    for each, inner in inside.items():
        yield from _of_parser(f"{name} {each}", inner)


def _kind(action: Action) -> Kind:
    if action.choices is not None:
        return tuple(map(str, action.choices))
    return "file" if action.metavar in _FILES else "run" if action.metavar == "RUN" else "none"


# -- bash


def _bash(levels: list[_Level]) -> str:
    return f"""# bash completion of graphferry: source <(graphferry completion bash)
_graphferry() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} at= kind= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at/${{COMP_WORDS[i]}}" in
{_descend(levels, "      ").replace("$WORD", "${COMP_WORDS[i]}")}
    esac
  done
  case "$at $prev" in
{_values(levels, "    ")}
    *) case "$at" in
{_words(levels, "      ")}
    esac ;;
  esac
  [[ $cur == -* ]] && kind=none
  case "$kind" in
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    run) mapfile -t COMPREPLY < <(compgen -W "$(graphferry completion runs 2>/dev/null)" -- "$cur") ;;
    *) COMPREPLY=() ;;
  esac
  mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -W "$words" -- "$cur")
}}
complete -F _graphferry graphferry
"""


def _descend(levels: list[_Level], indent: str) -> str:
    """The arms of a `case` that follows the words from command to command."""
    return "\n".join(
        f"{indent}{'|'.join(_quoted(f'{level.name}/{each}') for each in level.inner)}) at='{level.name}{' ' if level.name else ''}'$WORD ;;"
        for level in levels
        if level.inner
    )


def _values(levels: list[_Level], indent: str) -> str:
    """The arms for the word behind an option that takes a value."""
    arms: dict[Kind, list[str]] = {}
    for level in levels:
        for option, kind in level.values.items():
            arms.setdefault(kind, []).append(f'"{level.name} {option}"')
    return "\n".join(f"{indent}{'|'.join(places)}) {_set(kind)} ;;" for kind, places in arms.items())


def _words(levels: list[_Level], indent: str) -> str:
    """The arms for any other word: options, inner commands, and what the command is given."""
    return "\n".join(f'{indent}"{level.name}") {_set(level.words, [*level.inner, *level.flags])} ;;' for level in levels)


def _set(kind: Kind, more: Iterable[str] = ()) -> str:
    words = [*(kind if isinstance(kind, tuple) else ()), *more]
    return f'kind={"none" if isinstance(kind, tuple) else kind} words="{" ".join(words)}"'


# -- zsh


def _zsh(levels: list[_Level]) -> str:
    told = "\n".join(
        f"    {_quoted(level.name)}) kind={'none' if isinstance(level.words, tuple) else level.words}"
        f" inner=({_described(level.inner) or _plain(level.words)}) flags=({_described(level.flags)}) ;;"
        for level in levels
    )
    return f"""#compdef graphferry
# zsh completion of graphferry: source <(graphferry completion zsh), or as the file _graphferry in a folder of $fpath
_graphferry() {{
  local at= kind=none i
  local -a inner flags
  for ((i = 2; i < CURRENT; i++)); do
    case "$at/${{words[i]}}" in
{_descend(levels, "      ").replace("$WORD", "${words[i]}")}
    esac
  done
  case "$at ${{words[CURRENT-1]}}" in
{_values(levels, "    ").replace(" words=", " inner=").replace('="', "=(").replace('" ;;', ") ;;")}
    *) case "$at" in
{told}
    esac ;;
  esac
  [[ ${{words[CURRENT]}} == -* ]] && kind=none
  [[ $kind == file ]] && _files
  [[ $kind == run ]] && compadd -- ${{(f)"$(graphferry completion runs 2>/dev/null)"}}
  (( $#inner )) && _describe -t words word inner
  (( $#flags )) && _describe -o -t options option flags
  return 0
}}
compdef _graphferry graphferry
"""


def _plain(kind: Kind) -> str:
    return " ".join(map(_quoted, kind)) if isinstance(kind, tuple) else ""


def _described(told: Mapping[str, str]) -> str:
    return " ".join(_quoted(f"{word}:{text.replace(':', chr(92) + ':')}") for word, text in told.items())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# -- fish


def _fish(levels: list[_Level]) -> str:
    lines = [
        "# fish completion of graphferry: graphferry completion fish | source",
        "function __graphferry_at",
        "  set -l at",
        "  for word in (commandline -opc)[2..]",
        '    switch "$at/$word"',
    ]
    for level in levels:
        if level.inner:
            places = " ".join(f'"{level.name}/{each}"' for each in level.inner)
            lines += [f"      case {places}", f'        set at "{level.name} $word"' if level.name else "        set at $word"]
    lines += ["    end", "  end", '  test "$at" = "$argv"', "end", "complete -c graphferry -f"]
    for level in levels:
        begin = f"complete -c graphferry -n '__graphferry_at {level.name}'"
        lines += [f"{begin} -a {each} -d {_fished(text)}" for each, text in level.inner.items()]
        lines += _fish_kind(begin, level.words)
        for option, text in level.flags.items():
            name = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            kind = level.values.get(option)
            (told,) = _fish_kind("", kind) or [" -x"] if kind is not None else [""]
            lines.append(f"{begin} {name} -d {_fished(text)}{' -r' if kind == 'file' else ''}{told}")
    return "\n".join(lines) + "\n"


def _fish_kind(begin: str, kind: Kind) -> list[str]:
    if isinstance(kind, tuple):
        return [f"{begin}{'' if begin else ' -x'} -a '{' '.join(kind)}'"]
    return {"file": [f"{begin} -F"], "run": [f"{begin} -a '(graphferry completion runs 2>/dev/null)'"], "none": []}[kind]


def _fished(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: Final = {"bash": _bash, "zsh": _zsh, "fish": _fish}
