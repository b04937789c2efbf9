"""A YAML loader for files from anywhere: bounded in depth and in size, and strict about keys that stand twice.

libyaml's composer recurses without a limit of its own, aliases let a hundred bytes stand for gigabytes, and of two equal
keys PyYAML keeps the last in silence, which is how half of a badly merged file disappears.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

from aquila.cassette.file.yaml_library import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Deeper than any request or schema, and far from the end of the stack.
DEEPEST = 200
#: How many nodes and characters a document with aliases may stand for, unless it is larger itself.
LARGEST = 16 * 1024 * 1024

# It begins with a literal, which the engine finds fast, and looks back from there.
_ANCHOR = re.compile(r"&(?<![^\s,\[\]{}:?'\"-]&)[^\s,\[\]{}]")


class _Loader(_Base):  # type: ignore[misc] # with or without libyaml
    _depth = 0

    def descend_resolver(self, node: Any, index: Any) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(
                problem=f"nested more than {DEEPEST} levels deep", problem_mark=node.start_mark
            )

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        own = node.value
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            _refuse_twins(own)
        return mapping


def load(text: str) -> Any:
    """Read one document as plain data.

    Raises:
        YAMLError: It is no YAML, is nested too deep, has a key twice, or its aliases stand for too much.
    """
    return _run(text, construct=True)


def compose(text: str) -> Any:
    """Give the document's nodes, which know their lines; None for an empty one.

    Raises:
        YAMLError: It is no YAML, or is nested too deep.
    """
    return _run(text, construct=False)


def _run(text: str, *, construct: bool) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None or not construct:
            return node
        if _ANCHOR.search(text):
            _bound(node, max(LARGEST, len(text)), {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _bound(node: Any, most: int, known: dict[int, int]) -> int:
    # What a node stands for when each alias is written out; negative while it is being counted.
    size = known.get(id(node), 0)
    if size < 0:
        raise yaml.composer.ComposerError(
            problem="an alias stands inside what it names", problem_mark=node.start_mark
        )
    if size == 0:
        known[id(node)] = -1
        size = known[id(node)] = 1 + _content(node, most, known)
    if size > most:
        raise yaml.composer.ComposerError(
            problem=f"its aliases stand for more than {most:,} characters", problem_mark=node.start_mark
        )
    return size


def _content(node: Any, most: int, known: dict[int, int]) -> int:
    if isinstance(node, yaml.ScalarNode):
        return len(node.value)
    children = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
    return sum(_bound(child, most, known) for child in children)


def _refuse_twins(pairs: list[tuple[Any, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if isinstance(key.value, str):
            if (key.tag, key.value) in seen:
                raise yaml.composer.ComposerError(
                    problem=f"the key {key.value[:60]!r} stands twice", problem_mark=key.start_mark
                )
            seen.add((key.tag, key.value))
