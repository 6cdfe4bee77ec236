from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graphs.errors import LinkCondition, ModelMissing, UsageError
from graphs.models.openai.servers import Server, ServerModels, read_server
from graphs.secrets import Secrets

URL = "http://127.0.0.1:11434/v1"


def test_an_entry_says_what_there_is_to_know() -> None:
    entry = {"url": URL + "/", "model": "qwen2.5:7b", "key": {"secret": "MY_KEY"}, "context": 8192, "on_device": True}
    server = read_server("large", entry, "config.yaml: models.large")
    assert server == Server(URL, "qwen2.5:7b", "MY_KEY", 8192, True)
    assert server.backend == "openai http://127.0.0.1:11434"
    assert server.is_loopback


def test_what_is_left_out_has_a_default() -> None:
    server = read_server("gpt-x", {"url": "https://models.example"}, "here")
    assert server == Server("https://models.example/v1", "gpt-x", None, None, False)
    assert not server.is_loopback


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({}, "`url` is the address"),
        ({"url": 7}, "`url` is the address"),
        ({"url": "ftp://h/v1"}, "`url` is the address"),
        ({"url": "http://"}, "`url` is the address"),
        ({"url": "http://h:99999/"}, "`url` is the address"),
        ({"url": "http://user:sk-1@h/v1"}, "neither a user nor a query"),
        ({"url": "http://h/v1?key=sk-1"}, "neither a user nor a query"),
        ({"url": URL, "model": ""}, "`model` is what"),
        ({"url": URL, "key": "sk-1"}, "never as the key itself"),
        ({"url": URL, "key": {"secret": "a b"}}, "never as the key itself"),
        ({"url": URL, "key": {"secret": "A", "x": 1}}, "never as the key itself"),
        ({"url": URL, "context": "8k"}, "number of tokens"),
        ({"url": URL, "context": True}, "number of tokens"),
        ({"url": URL, "on_device": 1}, "`on_device` is true or false"),
        ({"url": "http://elsewhere/v1", "on_device": True}, "true only for a server at"),
        ({"url": URL, "keys": 1}, "unknown entry 'keys'; known are context, key, model, on_device, price, url"),
    ],
)
def test_a_mistake_is_named_and_never_repeats_a_key(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_server("large", entry, "config.yaml: models.large")
    assert str(caught.value).startswith("config.yaml: models.large: ")
    assert told in str(caught.value)
    assert "sk-1" not in str(caught.value)


def test_models_are_found_by_the_names_of_the_configuration() -> None:
    async def main() -> None:
        models = ServerModels({"large": Server(URL, "qwen", context=99)}, Secrets({}))
        assert models.names() == ["large"]
        info = models.describe("large")
        assert (info.name, info.context, info.digest) == ("qwen", 99, None)
        assert await models.get("large") is await models.get("large")
        with pytest.raises(ModelMissing, match="Did you mean large"):
            models.describe("larg")
        with pytest.raises(ModelMissing, match="in the configuration"):
            await models.get("larg")
        await models.close()
        with pytest.raises(LinkCondition, match="being closed"):
            await models.get("large")

    asyncio.run(main())
