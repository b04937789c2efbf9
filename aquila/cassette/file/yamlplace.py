"""Where a field stands in the text of a YAML file. Only asked when something is wrong with it: it reads the text again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aquila.cassette.file.yaml_library import yaml
from aquila.cassette.file.yamlguard import compose

#: The keys and indexes that lead to a field: `("interactions", 0, "request", "uri")`.
Path = tuple[str | int, ...]


def line_of(text: str, path: Path) -> int:
    """Give the line, from 1, of a field or of the nearest thing around it that exists."""
    return lines_of(text, [path])[path]


def lines_of(text: str, paths: Iterable[Path]) -> dict[Path, int]:
    """Give the line of each field."""
    try:
        root = compose(text)
    except (yaml.YAMLError, RecursionError):
        root = None
    return {path: 1 + _line(root, path) for path in paths}


def item_lines(text: str) -> list[tuple[int, int]] | None:
    """Give the lines, from 0 and half-open, of each interaction; None where interactions share lines.

    Raises:
        YAMLError: It is no YAML.
    """
    items = _child(compose(text), "interactions")[1]
    if not isinstance(items, yaml.SequenceNode) or items.flow_style:
        return None
    starts = [item.start_mark.line for item in items.value]
    # A block ends where the next token begins: at column 0 for a key behind it, or at the end of the file.
    end = items.end_mark.line + (items.end_mark.column > 0)
    return list(zip(starts, [*starts[1:], end], strict=True))


def _line(root: Any, path: Path) -> int:
    line, node = 0, root
    for step in path:
        place, node = _child(node, step)
        if place is None:
            return line
        line = place.start_mark.line
    return line


def _child(node: Any, step: str | int) -> tuple[Any, Any]:
    if isinstance(node, yaml.MappingNode):
        found = [pair for pair in node.value if pair[0].value == step]
        return found[-1] if found else (None, None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None, None
