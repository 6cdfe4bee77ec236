"""Drawing: every node and line of a graph is in its picture, in words too, and nothing an author wrote breaks out of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings, strategies as st

from graphs.drawing.draw import FORMATS, SUFFIXES, Format, draw
from graphs.language.load import load_file
from graphs.language.spec import Graph

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "graphs" / "examples").glob("*.yaml"))
SVG = "{http://www.w3.org/2000/svg}"

PLACES = {
    "ask": ("edge", "small is here"),
    "think": ("cloud", "needs large"),
    "many": ("cloud", "needs large"),
    "out": ("edge", ""),
}
GRAPH: dict[str, Any] = {
    "version": 0.5,
    "concurrency": 2,
    "loop": {"while": ":topic"},
    "nodes": {
        "topic": {"value": "the tide", "update": ":out.text"},
        "secret": {"value": "4711", "sensitivity": ["private", "pii"]},
        "ask": {"agent": "llmAgent", "model": "small", "inputs": {"prompt": ":topic"}},
        "think": {"agent": "llmAgent", "model": "large", "inputs": {"prompt": ":ask.text"}, "if": ":secret"},
        "many": {
            "agent": "mapAgent",
            "inputs": {"rows": ":think.list"},
            "graph": {"nodes": {"inner": {"agent": "copyAgent", "inputs": {"v": ":row"}, "isResult": True}}},
        },
        "later": {"agent": "nestedAgent", "graph": ":think.graph"},
        "out": {"agent": "copyAgent", "inputs": {"a": [":many", "${:ask.text}"]}, "unless": ":later", "isResult": True},
    },
}


def drawn(format: Format = "text", document: dict[str, Any] = GRAPH, **options: Any) -> str:
    return draw(Graph(document), format, title="g.yaml", **options)


def test_text_shows_rails_from_each_value_to_its_readers() -> None:
    assert drawn(places=PLACES) == (
        """\
g.yaml · runs in turns while :topic · at most 2 at once

○        topic    the tide                            next turn :out.text
│
●        ask      llmAgent · small             edge
│ ○      secret   private, pii
│ │
├─●      think    llmAgent · large             cloud  if :secret
│ ├─▣    many     mapAgent                     cloud
│ │ │ ◌    row    given by the node around it
│ │ │ │
│ │ │ ●    inner  copyAgent                    cloud  result
│ │ │
│ ▣ │    later    nestedAgent                         graph from :think.graph, at run time
●─┴─╯    out      copyAgent                    edge   result, unless :later

○ value  ● agent  ▣ graph inside  ◌ from outside
"""
    )


def test_a_chain_is_one_rail() -> None:
    read = {"agent": "x", "inputs": {"v": ":a"}}
    chain = {"nodes": {"a": {"value": 1}, "b": read, "c": {**read, "inputs": {"v": ":b"}}}}
    assert drawn(document=chain).splitlines()[2:7] == ["○  a  1", "│", "●  b  x", "│", "●  c  x"]


def test_rails_touch_end_pass_and_go_on() -> None:
    nodes: dict[str, Any] = {name: {"value": 0} for name in "abc"}
    nodes["d"] = {"agent": "x", "inputs": {"v": [":a", ":c"]}}
    nodes["e"] = {"agent": "x", "inputs": {"v": [":a", ":b", ":c", ":d"]}}
    text = drawn(document={"nodes": nodes})
    assert [line[:9].rstrip() for line in text.splitlines()[2:7]] == ["○", "│ ○", "├─┼─●", "│ │ │ ○", "●─┴─┴─╯"]
    assert [line.split()[-2] for line in text.splitlines()[2:7]] == ["a", "c", "d", "b", "e"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_read_stands_above_its_reader_in_text(path: Path) -> None:
    graph = Graph(load_file(path).data)
    lines = draw(graph, title="").splitlines()
    row = {name: next(number for number, line in enumerate(lines) if re.match(rf"\W*  {name}  ", line)) for name in graph.nodes}
    for name, spec in graph.nodes.items():
        if "agent" in spec:
            assert all(row[source] < row[name] for source in re.findall(r":(\w+)", str(spec.get("inputs"))) if source in row)


def test_the_three_kinds_of_nodes_differ_and_are_explained() -> None:
    text = drawn()
    assert re.search(r"○ +topic", text)
    assert re.search(r"● +ask", text.replace("│", " "))
    assert re.search(r"▣ +many", text.replace("│", " ").replace("─", " "))
    assert text.splitlines()[-1] == "○ value  ● agent  ▣ graph inside  ◌ from outside"


def test_places_are_words_and_colours_only_add_to_them() -> None:
    plain, coloured = drawn(places=PLACES), drawn(places=PLACES, colour=True)
    assert re.sub("\x1b\\[[0-9]*m", "", coloured) == plain
    assert "\x1b[34m" in coloured
    assert re.search(r"think .* cloud", plain)
    assert re.search(r"ask .* edge", plain)


def test_without_places_those_of_the_graph_itself_are_shown() -> None:
    document = {
        "place": "cloud",
        "nodes": {"a": {"agent": "x"}, "b": {"agent": "x", "place": {"at": "edge"}}, "c": {"agent": "x", "place": "auto"}},
    }
    assert [line.split()[2:] for line in drawn(document=document).splitlines()[2:5]] == [
        ["x", "cloud"],
        ["x", "edge"],
        ["x", "cloud"],
    ]


def test_text_is_as_narrow_as_asked_and_ascii_if_asked() -> None:
    long = {"nodes": {"a": {"value": "x" * 300}, "b": {"agent": "y" * 300, "inputs": {"v": ":a"}}}}
    assert max(map(len, drawn(document=long, width=60).splitlines())) <= 60
    assert drawn(ascii=True).isascii()
    assert len(drawn(ascii=True).splitlines()) == len(drawn().splitlines())


@pytest.mark.parametrize("format", FORMATS)
def test_values_with_a_sensitivity_are_in_no_picture(format: Format) -> None:
    assert "4711" not in drawn(format)
    assert "private" in drawn(format)


@pytest.mark.parametrize("format", FORMATS)
def test_everything_is_in_every_picture(format: Format) -> None:
    picture = drawn(format, places=PLACES)
    for word in (
        "topic",
        "the tide",
        "ask",
        "llmAgent",
        "large",
        "many",
        "mapAgent",
        "inner",
        "row",
        "later",
        "out",
        "edge",
        "cloud",
        "result",
    ):
        assert word in picture, word
    assert "at run time" in picture
    folded = drawn(format, fold=True)
    assert "inner" not in folded
    assert "1 nodes inside" in folded


def test_svg_is_one_well_formed_file_without_scripts_or_links() -> None:
    root = ET.fromstring(drawn("svg", places=PLACES))
    assert root.tag == f"{SVG}svg"
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {"svg", "title", "style", "rect", "text", "g", "path"}
    assert not [name for each in root.iter() for name in each.attrib if "href" in name or name.startswith("on")]
    assert "url(" not in drawn("svg")
    assert "@import" not in drawn("svg")


def boxes(root: ET.Element) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right, bottom of each node's box, by name."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        if title is not None and title.text and rect is not None:
            x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            found[title.text.split("\n")[0]] = (x, y, x + width, y + height)
    return found


def test_svg_says_places_and_reasons_and_dashes_conditions() -> None:
    root = ET.fromstring(drawn("svg", places=PLACES))
    titles = {title.text.split("\n")[0]: title.text for title in root.iter(f"{SVG}title") if title.text}
    assert "cloud: needs large" in titles["think"]
    classes = [each.attrib["class"] for each in root.iter(f"{SVG}path")]
    assert classes.count("gf-line gf-condition") == 2 + 1  # with the one in the legend
    assert classes.count("gf-line gf-update") == 1 + 1
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"edge", "cloud", "edge · result", "condition", "next turn"} <= set(texts)


def test_svg_boxes_do_not_overlap_and_nested_ones_are_inside() -> None:
    found = boxes(ET.fromstring(drawn("svg")))
    outer = found["many"]
    for name in ("inner", "row"):
        left, top, right, bottom = found.pop(name)
        assert outer[0] < left < right < outer[2]
        assert outer[1] < top < bottom < outer[3]
    assert not overlapping(found)
    assert found["ask"][3] < found["think"][1]
    assert found["topic"][3] < found["ask"][1]


def overlapping(found: dict[str, tuple[float, float, float, float]]) -> list[tuple[str, str]]:
    return [
        (one, other)
        for one, a in found.items()
        for other, b in found.items()
        if one < other and a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


def test_mermaid_and_dot_name_every_line_once() -> None:
    mermaid, dot = drawn("mermaid"), drawn("dot")
    assert mermaid.startswith('---\ntitle: "g.yaml"\n---\nflowchart TD\n')
    assert len(re.findall(r"^ *n\d+(?:_\d+)? (?:-->|-\.)", mermaid, re.MULTILINE)) == 10
    assert len(re.findall(r"->", dot)) == 10
    assert dot.count("{") == dot.count("}")
    assert "subgraph cluster_n4 {" in dot
    assert "-.->|if|" in mermaid


def test_the_names_of_files_ask_for_every_format() -> None:
    assert set(SUFFIXES.values()) == set(FORMATS)


HOSTILE = [
    '"]; evil [label="', "</text><script>alert(1)</script>", "]]><!--", "a\nb", "\x1b[31mred", "\x00", "#quot;", '"]:::x', "end", "`", "\\",
    "\\N", "%%{init: {}}%%", "-->", "|x|", "<b>", "&amp;", "😀", "\u202e", "subgraph", ";", "click n0 href", "\ufffe", "ä",
]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_an_author_wrote_breaks_out(format: Format) -> None:
    for text in HOSTILE:
        nodes = {text: {"value": text}, "n": {"agent": text, "model": text, "inputs": {"v": f":{text}"}, "if": f":{text}"}}
        picture = draw(Graph({"nodes": nodes}), format, title=text)
        assert not [each for each in picture if each != "\n" and not each.isprintable()]
        if format == "svg":
            root = ET.fromstring(picture)
            assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {"svg", "title", "style", "rect", "text", "g", "path"}
        elif format == "dot":
            bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', picture)
            assert "evil" not in bare
            assert bare.count('"') % 2 == 0
        elif format == "mermaid":
            for line in picture.splitlines()[4:]:
                assert re.fullmatch(
                    r' *(n\d+(\(\[|\[\[|\[)"[^"<>`]*(<br>[^"<>`]*)*"(\]\)|\]\]|\])|class n\d+ \w+|n\d+ \S+ n\d+|classDef .*)',
                    line,
                ), line


@pytest.mark.parametrize(
    "graph", [[], {}, {"nodes": []}, {"nodes": {"x": None}}, {"nodes": {"x": {"agent": 1}}, "inputs": 3}, 1, "x"]
)
def test_a_nested_graph_that_is_none_is_said_to_be(graph: Any) -> None:
    document = {"nodes": {"a": {"agent": "nestedAgent", "graph": graph}}}
    for each in FORMATS:
        assert "nestedAgent" in draw(Graph(document), each)


def graphs() -> st.SearchStrategy[dict[str, Any]]:
    """Graphs that may have circles, by `update` and otherwise: pictures are drawn of those, too."""
    names = [f"n{number}" for number in range(9)]
    reads = st.lists(st.sampled_from(names), max_size=3).map(
        lambda sources: {str(n): f":{name}" for n, name in enumerate(sources)}
    )
    computed = st.fixed_dictionaries(
        {"agent": st.just("x"), "inputs": reads}, optional={"if": st.sampled_from([f":{each}" for each in names])}
    )
    static = st.fixed_dictionaries({"value": st.integers()}, optional={"update": st.sampled_from([f":{each}" for each in names])})
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, computed | static)).map(lambda nodes: {"nodes": nodes})


@settings(max_examples=200)
@given(graphs())
def test_any_graph_can_be_drawn_without_two_boxes_in_one_place(document: dict[str, Any]) -> None:
    graph = Graph(document)
    for each in FORMATS:
        assert draw(graph, each) == draw(graph, each)
    found = boxes(ET.fromstring(draw(graph, "svg")))
    assert set(found) >= set(document["nodes"])
    assert not overlapping(found)
    text = draw(graph)
    assert all(f"  {name} " in text for name in document["nodes"])
