from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import graphferry
from graphferry.layers import LAYERS, require_own_layers


def test_each_export_is_the_object_of_its_layer() -> None:
    for name, module in graphferry._EXPORTS.items():
        assert getattr(graphferry, name) is getattr(import_module(module), name)


def test_the_three_lists_of_exports_agree() -> None:
    """What type checkers see, what is looked up at run time, and what `import *` gives."""
    tree = ast.parse(Path(graphferry.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname or alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == graphferry._EXPORTS
    assert sorted(graphferry.__all__) == sorted(["__version__", *typed])
    assert len(set(graphferry.__all__)) == len(graphferry.__all__)


def test_exports_are_public_in_their_module() -> None:
    for name, module in graphferry._EXPORTS.items():
        assert name in import_module(module).__all__


def test_unknown_names_are_attribute_errors_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'graphferry' has no attribute 'runn'"):
        graphferry.runn  # type: ignore[attr-defined]  # noqa: B018


def test_dir_lists_the_exports() -> None:
    assert set(graphferry.__all__) <= set(dir(graphferry))


def test_importing_the_facade_imports_no_layer() -> None:
    code = "import sys, graphferry; print([name for name in sys.modules if name.split('.')[0] in " + repr(LAYERS) + "])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("graphs.running.runtime", ("graphs.records", "graphs.questions", "graphs.language.labels", "sqlite3")),
        (
            "edge.commands.resume",
            (
                *("protocol.session", "protocol.handshake", "protocol.store", "edge.ferrying.delegate"),
                *("edge.placing.search", "edge.placing.schedule", "edge.planning.estimates", "edge.planning.plan"),
                *("websockets", "httpx", "numpy", "rich", "llama_cpp", "yaml"),
            ),
        ),
    ],
)
def test_what_a_run_of_this_device_has_no_use_for_is_not_imported(module: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_layers_here_are_our_own() -> None:
    require_own_layers()


def test_a_layer_of_someone_else_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("graphs")
    other.__file__ = "/elsewhere/graphs.py"
    monkeypatch.setitem(sys.modules, "graphs", other)
    with pytest.raises(ImportError, match=r"another package named 'graphs' at /elsewhere/graphs\.py"):
        require_own_layers()


def test_a_namespace_folder_of_that_name_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    code = "import sys; sys.modules.pop('edge', None); import types; m = types.ModuleType('edge'); m.__file__ = None; "
    code += f"m.__path__ = [{str(tmp_path)!r}]; sys.modules['edge'] = m; import graphferry; graphferry.MISSING"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"another package named 'edge' at {tmp_path}" in done.stderr


def test_a_missing_layer_says_install_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphferry.layers, "LAYERS", ("graphs", "no_such_layer"))
    with pytest.raises(ImportError, match="its package 'no_such_layer' is missing"):
        require_own_layers()


def test_a_layer_that_lacks_one_of_its_dependencies_says_that_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'msgpack'", name="msgpack")

    monkeypatch.setattr(graphferry.layers, "import_module", lacking)
    with pytest.raises(ModuleNotFoundError, match="msgpack"):
        require_own_layers()


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "graphferry", "rum"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean `graphferry run`?" in done.stderr
