"""llama.cpp as graphferry uses it: the one file that calls its low-level interface. Used inside the child process, by one thread.

The interface moves with every version, and a struct that does not mirror its C side is silent corruption. So exactly one version
is accepted, and `Llama.check` tries what the engine builds on with the loaded model before anything is asked of it.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

__all__ = ["PINNED", "Aborted", "Broken", "EmbeddingContext", "Grammar", "Llama", "NoRoom", "Row", "quantise"]

PINNED: Final = "0.3.36"
"""The version of llama-cpp-python this file is written for; the same as in pyproject.toml."""

Row = tuple[int, int, int, bool]
"""Of a batch: token, position, sequence, whether its logits are wanted."""

_ERROR: Final = 4
_LLAMA_MEAN: Final = 1
_NO_ROOM: Final = 1
_ABORTED: Final = 2
_MAX_EMBEDDED: Final = 256
_MAX_TOGETHER: Final = 32
_TYPE: Final = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])


class Broken(Exception):
    """The library does not do what the engine builds on."""


class NoRoom(Exception):
    """A batch for which the cache has no cells left. Nothing of it was computed."""


class Aborted(Exception):
    """A batch that was stopped. What its sequences hold now says `Llama.held`."""


class Llama:
    """A loaded model with one context that many sequences share.

    `context` is the number of tokens the cache holds over all sequences, which is also the most that one may have; `batch` the
    most rows of one call; `sequences` the number of their ids, from 0; `offloads` says whether something quicker than the processor
    computes; `stopped` is asked many times in a `decode` that can be
    stopped, from within.
    """

    def __init__(self, lib: Any, path: str, *, context: int, threads: int, sequences: int, batch: int = 512) -> None:
        """Loads the file. `context` 0 means as long as the model was trained with. Raises Broken, ValueError for a file that
        cannot be loaded."""
        self.stopped: Callable[[], bool] = lambda: False
        if lib.__version__ != PINNED:
            raise Broken(f"llama-cpp-python {lib.__version__} is installed, graphferry needs {PINNED}")
        self._lib = lib
        _LOG.install(lib)
        lib.llama_backend_init()
        self._model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not self._model:
            raise ValueError(f"llama.cpp cannot load {path}")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._threads = threads
        self.batch = batch
        # Kept as an attribute: llama.cpp holds the bare address.
        self._abort = lib.ggml_abort_callback(self._is_stopped)
        self._never = type(self._abort)(0)
        self._stoppable = True
        self._context = self._new_context(n_ctx=context, n_batch=batch, n_ubatch=batch, n_seq_max=sequences, kv_unified=True)
        self._memory = lib.llama_get_memory(self._context)
        self.context: int = lib.llama_n_ctx(self._context)
        self.trained: int = lib.llama_model_n_ctx_train(self._model)
        self.words: int = lib.llama_vocab_n_tokens(self._vocab)
        self.parameters: int = lib.llama_model_n_params(self._model)
        self.offloads = bool(lib.llama_supports_gpu_offload())
        self.generates = bool(self._memory) and bool(lib.llama_model_has_decoder(self._model))
        # A recurrent state has no positions: it cannot be cut, so a part of one sequence is no beginning of another.
        self.shares = self.generates and not (lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))
        self._rows = _Rows(lib, batch)
        self._piece_buffer = ctypes.create_string_buffer(256)
        self._pieces: dict[int, bytes] = {}

    # -- words

    def tokenise(self, text: bytes, *, begin: bool) -> list[int]:
        """The tokens of a text, control tokens among them. `begin` adds the one that begins a text where the model has one."""
        room = len(text) + 8
        while True:
            tokens = (self._lib.llama_token * room)()
            count = self._lib.llama_tokenize(self._vocab, text, len(text), tokens, room, begin, True)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; none for control tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._piece(token, special=False)
        return piece

    def ends(self, token: int) -> bool:
        """Whether the token ends an answer."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    @property
    def template(self) -> str | None:
        """The chat template of the file."""
        template = self._lib.llama_model_chat_template(self._model, None)
        return template.decode("utf-8", "replace") if template else None

    @property
    def begin(self) -> str:
        """The text of the token that begins a text, '' if there is none."""
        return self._special(self._lib.llama_vocab_bos(self._vocab))

    @property
    def end(self) -> str:
        """The text of the token that ends a text, '' if there is none."""
        return self._special(self._lib.llama_vocab_eos(self._vocab))

    def _special(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _piece(self, token: int, *, special: bool) -> bytes:
        size = self._lib.llama_token_to_piece(self._vocab, token, self._piece_buffer, len(self._piece_buffer), 0, special)
        if size < 0:
            self._piece_buffer = ctypes.create_string_buffer(-size)
            return self._piece(token, special=special)
        return self._piece_buffer.raw[:size]

    # -- sequences

    def decode(self, rows: Sequence[Row], *, stoppable: bool = True) -> Any:
        """Computes a batch; the logits of the rows that want them, a line each, in the rows' order, valid until the next call.

        `stoppable` False asks nobody meanwhile, which is a few per cent quicker for a few rows.

        Raises ValueError for a batch that llama.cpp would end the process for, NoRoom, Aborted, Broken.
        """
        if not 0 < len(rows) <= self.batch:
            raise ValueError(f"a batch of {len(rows)} rows, the context takes 1 to {self.batch}")
        wanted = self._rows.fill(rows)
        if stoppable is not self._stoppable:
            self._stoppable = stoppable
            self._lib.llama_set_abort_callback(self._context, self._abort if stoppable else self._never, None)
        _LOG.quiet = False
        code = self._lib.llama_decode(self._context, self._rows.batch)
        if code == _NO_ROOM:
            raise NoRoom
        if code == _ABORTED:
            raise Aborted
        if code:
            raise Broken(f"llama_decode returned {code}")
        return np.ctypeslib.as_array(self._lib.llama_get_logits(self._context), (wanted, self.words)) if wanted else None

    def copy(self, source: int, target: int, count: int) -> None:
        """Lets the empty sequence `target` begin with the first `count` tokens of `source`. Costs next to nothing."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, 0, count)

    def cut(self, sequence: int, count: int = 0) -> None:
        """Keeps the first `count` tokens of a sequence."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, count or -1, -1)

    def held(self, sequence: int) -> int:
        """How many tokens a sequence has in the cache."""
        return int(self._lib.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def clear(self) -> None:
        """Empties all sequences."""
        self._lib.llama_memory_clear(self._memory, False)

    def save(self, sequence: int) -> bytes:
        """A sequence's state, to be put back by `restore` under the same model, version and kind of cache."""
        size = self._lib.llama_state_seq_get_size(self._context, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = self._lib.llama_state_seq_get_data(self._context, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def restore(self, sequence: int, state: bytes) -> bool:
        """Fills an empty sequence with a state. False, and the sequence empty, if there is no room or it is no such state."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if self._lib.llama_state_seq_set_data(self._context, buffer, len(state), sequence):
            return True
        self.cut(sequence)
        return False

    def close(self) -> None:
        """Frees the context and the model; nothing may be asked afterwards. A process that ends need not."""
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)

    # -- grammars and embeddings

    def grammar(self, rules: str) -> Grammar:
        """A grammar at its beginning. Raises ValueError if llama.cpp cannot parse the rules."""
        return Grammar(self._lib, self._vocab, rules)

    def embedding_context(self) -> EmbeddingContext:
        """A context of its own for embeddings; it exists besides the other one from then on."""
        size = min(self.trained, _MAX_EMBEDDED)
        context = self._new_context(
            n_ctx=size, n_batch=size, n_ubatch=size, n_seq_max=_MAX_TOGETHER, kv_unified=True, embeddings=True,
            pooling_type=_LLAMA_MEAN,
        )  # fmt: skip
        return EmbeddingContext(self._lib, context, size, int(self._lib.llama_model_n_embd_out(self._model)))

    def _is_stopped(self, _: object) -> bool:
        stopped = self.stopped()
        _LOG.quiet = _LOG.quiet or stopped
        return stopped

    def _new_context(self, **settings: Any) -> Any:
        params = self._lib.llama_context_default_params()
        params.n_threads = params.n_threads_batch = self._threads
        params.no_perf = True
        params.abort_callback = self._abort
        for name, value in settings.items():
            setattr(params, name, value)
        context = self._lib.llama_init_from_model(self._model, params)
        if not context:
            raise ValueError("llama.cpp has no memory for the context")
        return context

    # -- the self-test

    def check(self) -> None:
        """Tries on the empty context what the engine builds on, and empties it again. Raises Broken: what was found instead."""
        if not self.generates:
            return
        tokens = [token % self.words for token in (1, 2, 3)]
        whole = [(token, place, 0, place == len(tokens) - 1) for place, token in enumerate(tokens)]
        alone = np.array(self.decode(whole)[0])
        _expect("logits are numbers", bool(np.isfinite(alone).all()) and float(alone.max()) > float(alone.min()))
        _expect("a sequence holds what was decoded", self.held(0) == len(tokens))
        state = self.save(0)
        if self.shares:
            self.copy(0, 1, 2)
            _expect("a copy holds its part", (self.held(1), self.held(0)) == (2, 3))
            shared = np.array(self.decode([(tokens[2], 2, 1, True)])[0])
            _expect("a copied beginning is the beginning", bool(np.abs(shared - alone).max() < np.ptp(alone) / 10))
            self.cut(0, 1)
            _expect("a sequence can be cut", (self.held(0), self.held(1)) == (1, 3))
        self.cut(0)
        _expect("an empty sequence holds nothing", self.held(0) == 0)
        _expect("a state can be put back", self.restore(0, state) and self.held(0) == len(tokens))
        self.stopped = lambda: True
        try:
            self.decode([(tokens[0], len(tokens), 0, True)])
        except Aborted:
            _expect("what was stopped was not kept", self.held(0) == len(tokens) or not self.shares)
        else:
            raise Broken("a decode is not stopped")
        finally:
            self.stopped = lambda: False
            self.clear()
        _expect("the context is empty", self.held(0) == 0)


class _Log:
    """Errors of llama.cpp on standard error. It calls one such function for the whole process, for as long as that lives.

    What it says of a computation that was stopped, as it should be, is no error: `quiet`.
    """

    def __init__(self) -> None:
        self.quiet = False
        self._callback: Any = None

    def install(self, lib: Any) -> None:
        if self._callback is None:
            self._callback = lib.llama_log_callback(self._write)
        lib.llama_log_set(self._callback, None)

    def _write(self, level: int, text: bytes, _: object) -> None:
        if level == _ERROR and not self.quiet:
            sys.stderr.write(text.decode("utf-8", "replace"))
            sys.stderr.flush()


_LOG: Final = _Log()


class _Rows:
    """The arrays of one llama_batch, filled without a call for each row."""

    def __init__(self, lib: Any, size: int) -> None:
        self._token: Any = np.zeros(size, np.int32)
        self._pos: Any = np.zeros(size, np.int32)
        self._sequence: Any = np.zeros(size, np.int32)
        self._count: Any = np.ones(size, np.int32)
        self._wanted: Any = np.zeros(size, np.int8)
        stride = self._sequence.itemsize
        base = self._sequence.ctypes.data
        self._sequences = (ctypes.POINTER(lib.llama_seq_id) * size)(
            *(ctypes.cast(base + place * stride, ctypes.POINTER(lib.llama_seq_id)) for place in range(size))
        )
        self.batch = lib.llama_batch(
            0,
            self._token.ctypes.data_as(ctypes.POINTER(lib.llama_token)),
            None,
            self._pos.ctypes.data_as(ctypes.POINTER(lib.llama_pos)),
            self._count.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            self._sequences,
            self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, rows: Sequence[Row]) -> int:
        """Writes the rows; how many want logits."""
        count = len(rows)
        tokens, positions, sequences, wanted = zip(*rows, strict=True)
        self._token[:count], self._pos[:count], self._sequence[:count] = tokens, positions, sequences
        self._wanted[:count] = wanted
        self.batch.n_tokens = count
        return sum(wanted)


class Grammar:
    """Where one answer stands in a grammar."""

    def __init__(self, lib: Any, vocab: Any, rules: str) -> None:
        self._lib = lib
        self._sampler = lib.llama_sampler_init_grammar(vocab, rules.encode(), b"root")
        if not self._sampler:
            raise ValueError("its schema becomes a grammar that llama.cpp cannot parse")
        self._one = (lib.llama_token_data * 1)()
        self._array = lib.llama_token_data_array(self._one, 1, -1, False)

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with that token."""
        one, array = self._one[0], self._array
        one.id, one.logit = token, 0.0
        array.size, array.selected = 1, -1
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return bool(one.logit == 0.0)

    def allowed(self, tokens: Any) -> Any:
        """Those of the tokens the answer may go on with, in their order."""
        candidates: Any = np.zeros(len(tokens), _TYPE)
        candidates["id"] = tokens
        data = candidates.ctypes.data_as(self._lib.llama_token_data_p)
        array = self._lib.llama_token_data_array(data, len(candidates), -1, False)
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(array))
        kept = candidates[: array.size]
        return kept["id"][kept["logit"] == 0.0]

    def accept(self, token: int) -> None:
        """Goes on with a token that is allowed."""
        self._lib.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        """Frees it; it is of no use afterwards."""
        self._lib.llama_sampler_free(self._sampler)


class EmbeddingContext:
    """Vectors for texts. `batch` is the most tokens of a text, and of all texts of one call; `together` the most texts."""

    def __init__(self, lib: Any, context: Any, batch: int, dimensions: int) -> None:
        self._lib = lib
        self._context = context
        self._rows = _Rows(lib, batch)
        self._dimensions = dimensions
        self.batch = batch
        self.together = _MAX_TOGETHER

    def close(self) -> None:
        """Frees the context."""
        self._lib.llama_free(self._context)

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """A vector of length 1 for each text's tokens, of which there is at least one. Raises ValueError, Aborted, Broken."""
        rows = [(token, place, number, True) for number, text in enumerate(texts) for place, token in enumerate(text)]
        if not (0 < len(texts) <= self.together and len(rows) <= self.batch and all(texts)):
            raise ValueError(f"{len(texts)} texts of {len(rows)} tokens do not fit a batch of {self.batch}")
        memory = self._lib.llama_get_memory(self._context)
        if memory:
            self._lib.llama_memory_clear(memory, False)
        self._rows.fill(rows)
        code = (self._lib.llama_decode if memory else self._lib.llama_encode)(self._context, self._rows.batch)
        if code:
            raise Aborted if code == _ABORTED else Broken(f"llama.cpp returned {code} for texts to embed")
        return [self._vector(number) for number in range(len(texts))]

    def _vector(self, number: int) -> list[float]:
        found = self._lib.llama_get_embeddings_seq(self._context, number)
        if not found:
            raise Broken("llama.cpp gave no embedding for a text")
        vector = np.ctypeslib.as_array(found, (self._dimensions,)).astype(np.float64)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise Broken("llama.cpp gave an embedding without a direction")
        unit: list[float] = (vector / length).tolist()
        return unit


def quantise(lib: Any, source: str, target: str, kind: int, *, threads: int = 1) -> None:
    """Writes a model file with its weights in another form; `kind` is one of the library's LLAMA_FTYPE. Raises ValueError."""
    params = lib.llama_model_quantize_default_params()
    params.allow_requantize, params.ftype, params.nthread = True, kind, threads
    if code := lib.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)):
        raise ValueError(f"llama.cpp cannot write {source} in another form: llama_model_quantize returned {code}")


def _expect(promise: str, kept: bool) -> None:
    if not kept:
        raise Broken(f"this build of llama.cpp does not hold that {promise}")
