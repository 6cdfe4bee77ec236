"""Drawing a graph: `draw` is the door; a `picture` is laid out and written as text, SVG, Mermaid or Graphviz. Pure."""
