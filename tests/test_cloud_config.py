from __future__ import annotations

from pathlib import Path

import pytest

from cloud.config import load_worker_config
from graphs.bounds import UNTRUSTED
from graphs.errors import UsageError
from graphs.models.openai.servers import Server
from graphs.models.prices import Price


def written(folder: Path, text: str) -> Path:
    path = folder / "worker.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_a_worker_has_no_models_of_its_own_and_grants_no_files() -> None:
    config = load_worker_config(None, agents=("mine.py",), token="secret")
    assert (dict(config.files), dict(config.aliases), config.scripted, config.agents, config.folder) == (
        {},
        {},
        (),
        ("mine.py",),
        None,
    )
    assert config.token == "secret"
    assert "secret" not in repr(config)


def test_everything_in_the_file_is_taken_with_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "big.gguf").write_bytes(b"GGUF")
    text = "models: {a: {file: big.gguf}, b: {model: smollm2-135m}, c: {scripted: true}, d: {url: 'http://h', model: e}}\n"
    text += "agents: [one, two.py]\nfiles: data\n"
    config = load_worker_config(written(tmp_path, text), agents=("three",))
    assert dict(config.files) == {"a": tmp_path / "big.gguf"}
    assert dict(config.aliases) == {"b": "smollm2-135m"}
    assert config.scripted == ("c",)
    assert dict(config.servers) == {"d": Server("http://h/v1", "e")}
    assert config.agents == ("one", "two.py", "three")
    assert config.folder == tmp_path / "data"
    assert set(config.accounts) == {"default"}


def test_models_of_any_kind_may_have_a_price(tmp_path: Path) -> None:
    price = "price: {input: 0.2, output: 0.8}"
    text = f"models: {{b: {{model: small, {price}}}, c: {{scripted: true, {price}}}, d: {{url: 'http://h', {price}}}, e: {{scripted: true}}}}\n"
    assert dict(load_worker_config(written(tmp_path, text)).prices) == dict.fromkeys("bcd", Price(0.2, 0.8))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {c: {scripted: true, price: 1}}", "models.c: `price` is dollars"),
        ("model: {}\n", "unknown entry 'model'; known are accounts, agents, allow, files, limits, memory, models, network"),
        ("models: [large]\n", "`models` is a map of names"),
        ("models: {large: big.gguf}\n", "models.large: expected {file: PATH}, {url: URL}, {model: NAME} or {scripted: true}"),
        ("models: {large: {}}\n", "models.large: expected"),
        ("models: {large: {url: 'http://h', key: sk-1}}\n", "models.large: a key is written as the name of a secret"),
        ("models: {large: {scripted: false}}\n", "models.large: expected"),
        ("models: {large: {file: nowhere.gguf}}\n", "models.large: there is no file"),
        ("agents: mine.py\n", "`agents` is a list of modules"),
        ("agents: [7]\n", "`agents` is a list of modules"),
        ("memory: {pin: a}\n", "memory.pin is a list"),
        ("files: [a]\n", "`files` is a folder"),
        ("accounts: [alice]\n", "`accounts` is a map of names"),
        ("accounts: {alice: {quota: {runs: many}}}\n", "accounts.alice.quota.runs"),
        ("- models\n", "expected a map of entries, got list"),
        ("models: {\n", "line 2"),
    ],
)
def test_a_mistake_names_the_file_and_the_entry(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_worker_config(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_worker_config(tmp_path / "worker.yaml")


def test_limits_agents_and_the_network_are_granted_there(tmp_path: Path) -> None:
    text = "limits: {turns: 7, rows: null}\nallow: [copyAgent]\nnetwork: true\n"
    config = load_worker_config(written(tmp_path, text), limits=("turns=9",))
    assert (config.bounds.turns, config.bounds.rows, config.bounds.nodes) == (9, None, UNTRUSTED.nodes)
    assert (config.allow, config.network) == (frozenset({"copyAgent"}), True)


def test_without_a_word_a_worker_has_limits_and_no_network() -> None:
    config = load_worker_config(None)
    assert (config.bounds, config.network, config.allow) == (UNTRUSTED, False, None)


@pytest.mark.parametrize("text", ["limits: {turn: 1}\n", "limits: 7\n", "allow: copyAgent\n", "network: maybe\n"])
def test_what_is_no_grant_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        load_worker_config(written(tmp_path, text))
