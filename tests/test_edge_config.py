from __future__ import annotations

import io
from pathlib import Path

import pytest

from edge.config import load_config
from edge.pairings import Pairing, Pairings
from edge.placing.wishes import Wishes
from graphs.environment import Environment
from graphs.errors import UsageError
from graphs.models.openai.servers import Server


def environment(home: Path, **variables: str) -> Environment:
    return Environment(io.StringIO(), io.StringIO(), io.StringIO(), {"GRAPHFERRY_HOME": str(home), **variables}, home)


def write(home: Path, text: str) -> None:
    (home / "edge").mkdir(parents=True, exist_ok=True)
    (home / "edge" / "config.yaml").write_text(text, encoding="utf-8")


def test_without_a_file_everything_has_a_default(own_home: Path) -> None:
    config = load_config(environment(own_home))
    assert (config.url, dict(config.models), config.offline, config.token) == (None, {}, False, None)
    assert config.journal == own_home / "edge" / "journal.db"
    assert not (own_home / "edge").exists(), "looking changes nothing"


def test_the_file_is_read(own_home: Path) -> None:
    write(
        own_home,
        "cloud: {url: ws://127.0.0.1:1/v1/link}\nmodels: {small: tiny, large: huge}\noffline: true\nmemory: {budget: 1GB}\n",
    )
    config = load_config(environment(own_home))
    assert config.memory.budget == 10**9
    assert (config.url, dict(config.models), config.offline) == (
        "ws://127.0.0.1:1/v1/link",
        {"small": "tiny", "large": "huge"},
        True,
    )


def test_what_nodes_do_offline_is_one_of_three_words(own_home: Path) -> None:
    for said in ("wait", "local", "fail"):
        write(own_home, f"when_offline: {said}\n")
        assert load_config(environment(own_home)).when_offline == said
    for wrong in ("later", "true", "[wait]"):
        write(own_home, f"when_offline: {wrong}\n")
        with pytest.raises(UsageError, match="`when_offline` is wait, local or fail"):
            load_config(environment(own_home))


def test_what_nodes_are_placed_for_is_one_of_three_words_and_may_have_a_budget(own_home: Path) -> None:
    assert load_config(environment(own_home)).wishes == Wishes()
    write(own_home, "placement: {minimise: cost, budget: 0.05}\n")
    assert load_config(environment(own_home)).wishes == Wishes("cost", budget=0.05)
    for wrong in ("{minimise: speed}", "{budget: lots}", "{budget: -1}", "fast", "{best: cost}"):
        write(own_home, f"placement: {wrong}\n")
        with pytest.raises(UsageError, match="placement"):
            load_config(environment(own_home))


def test_a_model_may_be_behind_a_server(own_home: Path) -> None:
    write(own_home, "models: {small: tiny, large: {url: 'http://127.0.0.1:1/v1', model: big, key: {secret: K}}}\n")
    config = load_config(environment(own_home))
    assert dict(config.models) == {"small": "tiny"}
    assert dict(config.servers) == {"large": Server("http://127.0.0.1:1/v1", "big", "K")}


def test_an_empty_file_is_no_mistake(own_home: Path) -> None:
    write(own_home, "# nothing yet\n")
    assert load_config(environment(own_home)).url is None


def test_variables_win_over_the_file(own_home: Path) -> None:
    write(own_home, "cloud: {url: ws://127.0.0.1:1/v1/link}\n")
    config = load_config(environment(own_home, GRAPHFERRY_CLOUD="ws://127.0.0.1:2/v1/link", GRAPHFERRY_TOKEN="secret"))
    assert (config.url, config.token) == ("ws://127.0.0.1:2/v1/link", "secret")
    assert "secret" not in repr(config)


def test_the_worker_that_was_paired_last_is_used_unless_another_is_named(own_home: Path) -> None:
    for host in ("one", "two"):
        Pairings(own_home / "edge").put(Pairing(f"wss://{host}:1/v1/link", "secret", None, "default", 1))
    assert load_config(environment(own_home)).url == "wss://two:1/v1/link"
    write(own_home, "cloud: {url: ws://worker:1/v1/link, plain: true}\n")
    config = load_config(environment(own_home))
    assert (config.url, config.plain) == ("ws://worker:1/v1/link", True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clod: {url: x}\n", "unknown entry 'clod'; known are cloud, files, link, memory, models, offline"),
        ("cloud: ws://127.0.0.1/\n", "`cloud` is a map with `url`"),
        ("cloud: {url: 7}\n", "`cloud` is a map with `url`"),
        ("memory: {budget: lots}\n", "memory.budget is a share"),
        ("cloud: {uri: x}\n", "`cloud` is a map with `url`"),
        ("cloud: {plain: please}\n", "`cloud.plain` is true or false"),
        ("models: [small]\n", "`models` is a map of tier or name to a model's name"),
        ("models: {small: 7}\n", "`models` is a map of tier or name to a model's name"),
        ("models: {small: {model: x}}\n", "or to a server with `url`"),
        ("models: {large: {url: ftp://h}}\n", "models.large: `url` is the address of a server"),
        ("models: {large: {url: 'http://h', key: sk-1}}\n", "models.large: a key is written as the name of a secret"),
        ("link: {metered: never}\n", "link.metered is wait or go"),
        ("offline: sometimes\n", "`offline` is true or false"),
        ("- cloud\n", "expected a map of entries, got list"),
        ("cloud: {url: [\n", "line 2"),
    ],
)
def test_a_mistake_names_the_file_and_the_entry(own_home: Path, text: str, told: str) -> None:
    write(own_home, text)
    with pytest.raises(UsageError) as caught:
        load_config(environment(own_home))
    assert str(own_home / "edge" / "config.yaml") in str(caught.value)
    assert told in str(caught.value)


def test_a_file_that_is_no_text_is_a_mistake(own_home: Path) -> None:
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(environment(own_home))
