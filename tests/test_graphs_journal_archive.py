"""Archives: what goes into one comes out of it, and nothing of a damaged one is taken in."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import msgpack
import pytest

from graphs.errors import JournalError, UsageError
from graphs.journal import Journal, new_run_id
from graphs.journal.archive import MAGIC, export_run, import_run
from graphs.journal.reader import graph_address
from graphs.records import End, EndStatus, Frame, Record, Result, Submit, encode

GRAPH, INNER = b"\x80", b"\x81\xa1a\x01"
HASH = graph_address(GRAPH)
WORKER = b"a worker"
LARGE = random.Random(7).randbytes(2_500_000)
NAME = hashlib.sha256(LARGE).digest()


def keep(journal: Journal, *, status: str = "completed") -> bytes:
    """A root run with a child run, a graph inside, another writer's log and a body."""
    run, child = new_run_id(), new_run_id()
    journal.create_run(run, role="root", graph_hash=HASH, graph=GRAPH, name="g.yaml", source="text", started=5)
    journal.create_run(child, role="child", graph_hash=HASH, name="", started=6, parent=run)
    own: list[Record] = [
        Submit("", HASH, {}, {}),
        Frame("rows[0]", graph_address(INNER), {}, {}),
        *(Result(f"n{number}", 1, 0, {"v": "x" * number}, 7, {}) for number in range(300)),
    ]
    for each in own:
        journal.append(run, encode(each))
    journal.put_graph(graph_address(INNER), INNER)
    theirs: list[Record] = [Result("far", 1, 0, 1, 8, {}), End(EndStatus.COMPLETED, 9, {})]
    for seq, each in enumerate(theirs, 1):
        journal.accept(child, WORKER, seq, encode(each))
    journal.body_files.keep("own", NAME, LARGE)
    journal.pin_body(run, "own", NAME, len(LARGE), own=True)
    journal.finish_run(run, status, ended=10, exit_info={"why": status})
    journal.finish_run(child, "completed", ended=9)
    journal.flush()
    return run


def content(journal: Journal, run: bytes) -> object:
    """All that a run is."""
    rows = [journal.run(run), *journal.children(run)]
    heads = [journal.heads(row.run) for row in rows]
    entries = [list(journal.entries(head.run, head.writer)) for each in heads for head in each]
    graphs = [journal.graph(HASH), journal.graph(graph_address(INNER))]
    bodies = [(body, journal.body_files.load(body.scope, body.name)) for body in journal.bodies(run)]
    return rows, heads, entries, graphs, bodies


def exported(journal: Journal, run: bytes) -> io.BytesIO:
    file = io.BytesIO()
    export_run(journal, run, file)
    return file


def test_a_run_comes_back_as_it_was_here_and_elsewhere(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as journal, Journal.open(tmp_path / "b" / "b.db") as other:
        run = keep(journal)
        before = content(journal, run)
        file = io.BytesIO()
        archived = export_run(journal, run, file)
        assert (archived.runs, archived.records, archived.bodies) == (2, 304, len(LARGE))

        assert import_run(other, file).records == 304
        assert content(other, run) == before

        with pytest.raises(UsageError, match="is here already"):
            import_run(journal, file)
        for each in (run, *(child.run for child in journal.children(run))):
            journal.remove_run(each)
        journal.flush()
        journal.body_files.sweep((), float("inf"))
        assert journal.body_files.load("own", NAME) is None
        import_run(journal, file)
        assert content(journal, run) == before


def test_a_damaged_archive_is_refused_and_nothing_of_it_is_taken_in(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as journal, Journal.open(tmp_path / "b.db") as other:
        whole = exported(journal, keep(journal)).getvalue()
        seed = random.randrange(2**32)
        print("seed", seed)
        dice = random.Random(seed)
        for _ in range(60):
            at = dice.randrange(len(whole))
            damaged = bytearray(whole)
            damaged[at] ^= 1 << dice.randrange(8)
            for each in (bytes(damaged), whole[:at]):
                with pytest.raises(UsageError, match=r"damaged|no file that"):
                    import_run(other, io.BytesIO(each))
        assert other.runs() == []
        assert other.bodies() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: [entry[0], {**entry[1], "role": "child"}] if entry[0] == 0 else entry,
        lambda entry: [entry[0], {**entry[1], "run": b"x"}] if entry[0] == 0 else entry,
        lambda entry: [entry[0], 5] if entry[0] == 0 else entry,
        lambda entry: [entry[0], bytes(32), *entry[2:]] if entry[0] == 1 else entry,
        lambda entry: [entry[0], bytes(16), entry[2]] if entry[0] == 2 else entry,
        lambda entry: [*entry[:3], entry[3] + b"\x01", entry[4]] if entry[0] == 3 else entry,
        lambda entry: [*entry[:3], 5, entry[4]] if entry[0] == 3 else entry,
        lambda entry: [entry[0], entry[1], "../own", *entry[3:]] if entry[0] == 4 else entry,
        lambda entry: [entry[0], entry[1][::-1]] if entry[0] == 5 else entry,
        lambda entry: "x" if entry[0] == 3 else entry,
    ],
)
def test_an_archive_whose_parts_do_not_fit_is_refused_though_its_checksum_holds(tmp_path: Path, change: object) -> None:
    with Journal.open(tmp_path / "a.db") as journal, Journal.open(tmp_path / "b.db") as other:
        whole = exported(journal, keep(journal)).getvalue()
        unpacker = msgpack.Unpacker()
        unpacker.feed(whole[len(MAGIC) : -32])
        forged = MAGIC + b"".join(msgpack.packb(change(entry)) for entry in unpacker)  # type: ignore[operator]
        with pytest.raises(UsageError, match="damaged"):
            import_run(other, io.BytesIO(forged + hashlib.sha256(forged).digest()))
        assert other.runs() == []


def test_a_run_that_another_device_holds_is_not_taken_in_before_it_is_over(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as journal, Journal.open(tmp_path / "b.db") as other:
        run = keep(journal, status="suspended")
        file = exported(journal, run)
        with pytest.raises(UsageError, match="another device holds it"):
            import_run(other, file)
        before = content(journal, run)
        for each in (run, *(child.run for child in journal.children(run))):
            journal.remove_run(each)
        journal.flush()
        import_run(journal, file)
        assert content(journal, run) == before


def test_an_import_that_was_cut_off_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.open(tmp_path / "a.db") as journal, Journal.open(tmp_path / "b.db") as other:
        run = keep(journal)
        file = exported(journal, run)

        def power_off(*_args: object, **_kinds: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(other, "finish_run", power_off)
            with pytest.raises(KeyboardInterrupt):
                import_run(other, file)
        other.flush()
        assert other.run(run).status == "running"
        import_run(other, file)
        assert content(other, run) == content(journal, run)


def test_only_whole_runs_are_exported(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as journal:
        run = keep(journal)
        (child,) = journal.children(run)
        with pytest.raises(UsageError, match="export the run itself"):
            export_run(journal, child.run, io.BytesIO())


def test_a_damaged_body_is_not_exported(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as journal:
        run = keep(journal)
        path = journal.body_files.folder / "own" / NAME.hex()
        path.write_bytes(LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
        with pytest.raises(JournalError, match=rf"{NAME.hex()} is damaged"):
            export_run(journal, run, io.BytesIO())


def chatting(journal: Journal, turns: int) -> bytes:
    """A run in which a chat grows."""
    run = new_run_id()
    journal.create_run(run, role="root", graph_hash=HASH, graph=GRAPH, name="g.yaml", source="text", started=5)
    dice = random.Random(4)
    messages: list[str] = []
    for turn in range(turns):
        messages = [*messages, dice.randbytes(300).hex()]
        journal.append(run, encode(Result(f"chat#{turn}", 1, 0, {"messages": messages}, turn, {})))
    journal.finish_run(run, "completed", ended=10)
    journal.flush()
    return run


def test_what_is_repeated_is_in_the_file_once(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.db") as journal, Journal.open(tmp_path / "b.db") as other:
        run = chatting(journal, 100)
        file = exported(journal, run)
        assert len(file.getvalue()) < 2 * 100 * 600
        import_run(other, file)
        assert content(other, run) == content(journal, run)
        assert other.sizes() == journal.sizes()
        again = exported(other, run)
        assert again.getvalue() == file.getvalue()


@pytest.mark.parametrize("base", [0, 5, 77, -1, "x"])
def test_a_record_that_repeats_what_is_not_in_the_archive_is_refused(tmp_path: Path, base: object) -> None:
    with Journal.open(tmp_path / "a.db") as journal, Journal.open(tmp_path / "b.db") as other:
        whole = exported(journal, chatting(journal, 8)).getvalue()
        unpacker = msgpack.Unpacker()
        unpacker.feed(whole[len(MAGIC) : -32])
        entries = [[*entry[:5], base] if entry[0] == 3 and len(entry) > 5 and entry[5] == 4 else entry for entry in unpacker]
        forged = MAGIC + b"".join(msgpack.packb(entry) for entry in entries)
        with pytest.raises(UsageError, match="damaged"):
            import_run(other, io.BytesIO(forged + hashlib.sha256(forged).digest()))
        assert other.runs() == []
