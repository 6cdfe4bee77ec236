"""The person at this terminal: how a question looks there, and how what is typed becomes its answer."""

from __future__ import annotations

import asyncio
import codecs
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from edge.people.posters import poster
from graphs.errors import UsageError
from graphs.questions import Question, fit, read, shown
from graphs.running.threads import in_thread
from graphs.terminal import printable
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.environment import Environment

__all__ = ["TerminalPerson", "person_at"]

_SIMPLE: Final = ("string", "integer", "number", "boolean")
"""Kinds of fields that are asked for one by one."""


def person_at(env: Environment, hush: Callable[[bool], object] = lambda _on: None) -> TerminalPerson | None:
    """Who sits at the terminal: None unless both what is typed comes from one and what is asked goes to one.

    `hush` is called with True before something is asked, so that nothing else is drawn there, and with False after.
    """
    return TerminalPerson(env, hush) if env.stdin.isatty() and env.stderr.isatty() else None


class TerminalPerson:
    """Asks with lines on stderr, and reads lines from stdin without holding up the event loop: a question may be withdrawn."""

    def __init__(self, env: Environment, hush: Callable[[bool], object]) -> None:
        self._env = env
        self._hush = hush
        self._typed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    async def ask(self, question: Question) -> Value | None:
        """Asks until the answer fits; None if the terminal says that there is no more (Ctrl-D)."""
        self._hush(True)
        try:
            if question.kind == "text" and not question.inputs:
                return await self._until_it_fits(question, f"{printable(question.prompt)}: ")
            for line in poster(question):
                self.tell(line)
            fields = _fields(question)
            if fields is not None:
                return await self._fill_in(question, fields)
            return await self._until_it_fits(question, _PROMPTS[question.kind])
        except (EOFError, OSError, ValueError):  # it is gone, or closed
            return None
        finally:
            self._hush(False)

    def tell(self, text: str) -> None:
        """Say something that wants no answer."""
        self._env.stderr.write(f"{text}\n")
        self._env.stderr.flush()

    async def _until_it_fits(self, question: Question, prompt: str) -> Value:
        while True:
            text = await self._line(prompt)
            try:
                return read(question, text)
            except UsageError as error:
                self._refuse(error)

    async def _fill_in(self, question: Question, fields: Mapping[str, Mapping[str, Any]]) -> Value:
        while True:
            form: dict[str, Value] = {}
            for name, about in fields.items():
                optional = name not in ((question.schema or {}).get("required") or ())
                text = await self._line(_field_prompt(name, about, optional=optional))
                if text or (about.get("type") == "string" and not optional and "default" not in about):
                    form[name] = _value(text, about)
                elif "default" in about:
                    form[name] = about["default"]
            try:
                return fit(question, form)
            except UsageError as error:
                self._refuse(error)

    def _refuse(self, error: UsageError) -> None:
        self.tell(printable(error.message))
        if error.hint:
            self.tell(f"  {printable(error.hint)}")

    async def _line(self, prompt: str) -> str:
        """The next line that is typed. Raises EOFError at the end, OSError if the terminal is gone."""
        self._env.stderr.write(prompt)
        self._env.stderr.flush()
        while "\n" not in self._typed:
            more = await self._read()
            if not more:
                self.tell("")
                raise EOFError
            self._typed += more
        line, _, self._typed = self._typed.partition("\n")
        return line

    async def _read(self) -> str:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        try:
            descriptor = self._env.stdin.fileno()
            loop.add_reader(descriptor, _arrived, ready)
        except (NotImplementedError, OSError, ValueError):  # no file that can be waited for: not on this system, or not this one
            line: str = await in_thread(self._env.stdin.readline)
            return line
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        data = os.read(descriptor, 65536)
        return self._decoder.decode(data, final=not data)


def _arrived(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


_PROMPTS: Final[Mapping[str, str]] = {
    "approve": "yes or no, and a comment if you like: ",
    "choose": "one of these, or its number: ",
    "form": "in JSON: ",
    "text": "> ",
}


def _fields(question: Question) -> dict[str, Mapping[str, Any]] | None:
    """The fields of a form that can be asked for one by one; None if it has others."""
    schema = question.schema or {}
    fields: Any = schema.get("properties")
    if question.kind != "form" or schema.get("type", "object") != "object" or not isinstance(fields, Mapping) or not fields:
        return None
    simple = all(isinstance(each, Mapping) and (each.get("type") in _SIMPLE or "enum" in each) for each in fields.values())
    return dict(fields) if simple else None


def _field_prompt(name: str, about: Mapping[str, Any], *, optional: bool) -> str:
    words = [f"one of {', '.join(map(shown, about['enum']))}" if "enum" in about else str(about["type"])]
    if about.get("type") == "boolean":
        words = ["true or false"]
    if "default" in about:
        words.append(f"{shown(about['default'])} if left empty")
    elif optional:
        words.append("may be left empty")
    described = f", {about['description']}" if isinstance(about.get("description"), str) else ""
    return printable(f"  {name}{described} ({'; '.join(words)}): ")


def _value(text: str, about: Mapping[str, Any]) -> Value:
    if about.get("type") == "string" or text in about.get("enum", ()):
        return text
    if about.get("type") == "boolean" and text.lower() in ("yes", "y", "no", "n"):
        return text.lower().startswith("y")
    try:
        value: Value = json.loads(text)
    except ValueError:
        return text
    return value
