"""The library's low-level interface with the real model: each thing the engine builds on, one by one."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("numpy")

import numpy as np

from graphs.models.files.fetch import DEFAULT_MODEL
from graphs.models.files.store import ModelStore
from graphs.models.llama.api import PINNED, Aborted, Broken, Llama, NoRoom, quantise

real = pytest.mark.real_model


@pytest.fixture
def llama(home_with_model: Path) -> Iterator[Llama]:
    import llama_cpp

    path = str(ModelStore().find(DEFAULT_MODEL).path)
    llama = Llama(llama_cpp, path, context=512, threads=1, sequences=6, batch=64)
    yield llama
    llama.close()


def rows(tokens: list[int], sequence: int, start: int = 0) -> list[tuple[int, int, int, bool]]:
    return [(token, start + at, sequence, at == len(tokens) - 1) for at, token in enumerate(tokens)]


def test_the_version_is_the_one_in_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert project["project"]["optional-dependencies"]["llama"] == [f"llama-cpp-python=={PINNED}"]


def test_another_version_is_refused() -> None:
    with pytest.raises(Broken, match=f"0.0.1 is installed, graphferry needs {PINNED}"):
        Llama(SimpleNamespace(__version__="0.0.1"), "m.gguf", context=0, threads=1, sequences=1)


@real
def test_the_self_test_passes_and_leaves_nothing_behind(llama: Llama) -> None:
    llama.check()
    assert [llama.held(sequence) for sequence in range(3)] == [0, 0, 0]


@real
def test_the_self_test_sees_a_library_that_does_something_else(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "copy", lambda source, target, count: None)
    with pytest.raises(Broken, match="a copy holds its part"):
        llama.check()


@real
def test_a_batch_the_library_would_die_of_is_refused_before(llama: Llama) -> None:
    for count in (0, 65):
        with pytest.raises(ValueError, match=f"a batch of {count} rows"):
            llama.decode(rows([5] * count, 0))
    assert llama.held(0) == 0


@real
def test_a_full_cache_says_so_and_loses_nothing(llama: Llama) -> None:
    for start in range(0, 512, 64):
        llama.decode(rows([5] * 64, 0, start))
    with pytest.raises(NoRoom):
        llama.decode(rows([5], 1))
    assert (llama.held(0), llama.held(1)) == (512, 0)
    llama.cut(0)
    assert llama.decode(rows([5], 1)) is not None


@real
def test_sequences_in_one_batch_do_not_see_each_other(llama: Llama) -> None:
    one, other = llama.tokenise(b"The capital of France is", begin=True), llama.tokenise(b"One two three four", begin=True)
    alone = np.array(llama.decode(rows(one, 0))[0])
    together = llama.decode(rows(one, 1) + rows(other, 2))
    assert np.abs(together[0] - alone).max() < 1
    assert np.abs(together[1] - alone).max() > 1


@real
def test_a_copy_and_a_restored_state_go_on_like_the_original(llama: Llama) -> None:
    tokens = llama.tokenise(b"The capital of France is the city of", begin=True)
    whole = np.array(llama.decode(rows(tokens, 0))[0])
    llama.copy(0, 1, len(tokens) - 1)
    copied = np.array(llama.decode(rows(tokens[-1:], 1, len(tokens) - 1))[0])
    llama.cut(0, len(tokens) - 1)
    state = llama.save(0)
    llama.clear()
    assert llama.restore(3, state)
    restored = np.array(llama.decode(rows(tokens[-1:], 3, len(tokens) - 1))[0])
    for line in (copied, restored):
        assert np.abs(line - whole).max() < 1
    assert not llama.restore(4, b"\0" * 100)
    assert llama.held(4) == 0


@real
def test_another_thread_stops_a_prompt_and_the_others_keep_what_they_have(llama: Llama) -> None:
    llama.decode(rows([5, 6, 7], 0))
    begun, stop = threading.Event(), threading.Event()

    def stopped() -> bool:
        begun.set()
        return stop.is_set()

    llama.stopped = stopped
    stopper = threading.Thread(target=lambda: stop.set() if begun.wait() else None)
    stopper.start()
    with pytest.raises(Aborted):
        llama.decode([*rows([8], 0, 3), *rows([9] * 60, 1)])
    stopper.join()
    assert (llama.held(0), llama.held(1)) == (3, 0)
    assert llama.decode(rows([8], 0, 3), stoppable=False) is not None


@real
def test_a_grammar_says_what_may_come(llama: Llama, capfd: pytest.CaptureFixture[str]) -> None:
    (yes,), (no,) = llama.tokenise(b"yes", begin=False), llama.tokenise(b"no", begin=False)
    grammar = llama.grammar('root ::= "yes"')
    assert (grammar.allows(yes), grammar.allows(no)) == (True, False)
    assert grammar.allowed(np.array([no, yes, no])).tolist() == [yes]
    grammar.accept(yes)
    ends = [token for token in grammar.allowed(np.arange(llama.words)).tolist() if llama.ends(token)]
    assert ends
    assert not grammar.allows(yes)
    grammar.close()
    with pytest.raises(ValueError, match="cannot parse"):
        llama.grammar("root ::= (")


@real
def test_vectors_have_length_one_and_like_texts_are_near(llama: Llama) -> None:
    context = llama.embedding_context()
    texts = [b"A cat sleeps on the sofa.", b"A kitten naps on the couch.", b"The stock market fell sharply today."]
    tokens = [llama.tokenise(text, begin=True) for text in texts]
    cat, kitten, market = map(np.array, context.embed(tokens))
    assert cat @ cat == pytest.approx(1)
    assert cat @ kitten > cat @ market
    (alone,) = context.embed(tokens[:1])
    assert cat @ np.array(alone) == pytest.approx(1, abs=1e-3)
    wrongs: list[list[list[int]]] = [[], [[]], [[5]] * 33, [[5] * (context.batch + 1)]]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="do not fit a batch"):
            context.embed(wrong)
    context.close()


@real
def test_words_are_bytes_and_control_tokens_none(llama: Llama) -> None:
    text = "größe 🦆 漢字"
    assert b"".join(map(llama.piece, llama.tokenise(text.encode(), begin=False))).decode() == text
    (end,) = llama.tokenise(llama.end.encode(), begin=False)
    assert (llama.ends(end), llama.piece(end)) == (True, b"")
    assert "messages" in (llama.template or "")
    assert (llama.context, llama.trained, llama.shares) == (512, 8192, True)


@real
def test_a_file_is_written_in_another_form_and_a_bad_one_refused(home_with_model: Path, tmp_path: Path) -> None:
    import llama_cpp

    source, target = str(ModelStore().find(DEFAULT_MODEL).path), tmp_path / "q4_0.gguf"
    quantise(llama_cpp, source, str(target), llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0)
    assert 50_000_000 < target.stat().st_size < Path(source).stat().st_size
    (tmp_path / "no.gguf").write_bytes(b"PK")
    with pytest.raises(ValueError, match="cannot load"):
        Llama(llama_cpp, str(tmp_path / "no.gguf"), context=0, threads=1, sequences=1)
    with pytest.raises(ValueError, match="cannot write"):
        quantise(llama_cpp, str(tmp_path / "no.gguf"), str(target), llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0)
