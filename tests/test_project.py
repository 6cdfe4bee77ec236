"""What holds for the project as a whole: its packaging, its import rules, and that its documents keep up with it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from conftest import CommandLine
from graphferry import __version__
from graphferry.cli import COMMANDS, PLANNED
from graphferry.layers import LAYERS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("graphferry", *LAYERS)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

LINES_OF_A_FILE = 450

PURE = [
    *(f"protocol.{name}" for name in ("codec", "errors", "messages", "session")),
    *(f"graphs.{name}" for name in ("drawing", "engine", "errors", "paths", "records", "values", "running.ports")),
    *(f"graphs.language.{name}" for name in ("check", "cut", "refs", "schema", "spec")),
    "edge.placement",
    "cloud.scheduler",
]
"""Modules and packages that docs/architecture.md promises to be pure, whether they are built yet or not."""


def sources() -> Iterator[Path]:
    for package in (*PACKAGES, "tests"):
        yield from (ROOT / package).rglob("*.py")


def targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_carries_its_types_and_is_in_the_wheel(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    assert package in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert package in PYPROJECT["tool"]["importlinter"]["root_packages"]
    assert package in PYPROJECT["tool"]["mypy"]["files"]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_says_whose_it_is_and_imports_nothing(layer: str) -> None:
    assert import_module(layer).__distribution__ == "graphferry"
    assert "import" not in re.sub(r'""".*?"""', "", (ROOT / layer / "__init__.py").read_text(), flags=re.DOTALL)


def test_no_file_holds_more_than_one_concept_can_fill() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > LINES_OF_A_FILE} == {}


def test_every_module_lists_its_public_names_and_says_what_it_owns() -> None:
    for path in sources():
        text = path.read_text()
        if "tests" in path.parts or path.name in ("__init__.py", "__main__.py"):
            continue
        assert text.startswith(('"""', "r'''", "'''", 'r"""')), f"{path} has no docstring"
        assert "\n__all__ = " in text, f"{path} has no __all__"


def test_the_version_is_in_the_changelog() -> None:
    assert re.search(rf"^## \[?{re.escape(__version__)}\]?", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_tools_are_pinned_and_llama_is_exact() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert [name for name in extras["dev"] if "==" not in name] == ["types-PyYAML"]
    (llama,) = extras["llama"]
    assert re.fullmatch(r"llama-cpp-python==[\d.]+", llama)


def test_the_import_rules_hold() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
            "--no-logo",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pure_module_that_exists_stands_in_the_contract() -> None:
    (contract,) = [each for each in PYPROJECT["tool"]["importlinter"]["contracts"] if each["name"].startswith("Pure")]
    places = {name: ROOT / name.replace(".", "/") for name in PURE}
    existing = [name for name, place in places.items() if place.is_dir() or place.with_suffix(".py").exists()]
    assert sorted(set(existing) - set(contract["source_modules"])) == []


def test_every_make_target_is_explained() -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    assert [target for target in targets() if f"make {target}" not in text] == []
    assert {"demo", "test", "lint", "bench", "clean", "help"} <= set(targets())


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"graphferry {name}" not in text] == []


def test_no_document_shows_a_command_that_does_not_exist() -> None:
    """Planned ones may be named in running text, where the text says so; a code block is something to type."""
    for path in DOCUMENTS:
        for block in re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
            for name in re.findall(r"(?:^|[$/ ])graphferry ([a-z]+)", block, re.MULTILINE):
                assert name in COMMANDS, f"{path.name} shows `graphferry {name}`"
    assert not set(COMMANDS) & PLANNED


def test_links_between_documents_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_graph_in_the_readme_is_valid(cli: CommandLine, tmp_path: Path) -> None:
    graphs = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert graphs
    for graph in graphs:
        (tmp_path / "example.yaml").write_text(graph)
        outcome = cli("check", "example.yaml")
        assert outcome.status == 0, outcome.stderr
