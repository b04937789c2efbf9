"""JSON paths, as far as rules need them: `$.metadata.run_id`, `$.messages[*].name`, `$..timestamp`, `$["odd name"]`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from aquila.errors import ConfigError

#: What stands in the place of what is ignored.
IGNORED = "[ignored]"

#: The keys that lead from a document to one of its values.
Location = tuple[str | int, ...]

_STEP = re.compile(
    r"""(?P<deep>\.\.)?
        (?: \[ (?P<position>\d+) \]
          | \[ (?P<quoted>"(?:[^"\\]|\\.)*" | '[^'\\]*') \]
          | \[\*\]
          | (?(deep)|\.) (?: \* | (?P<name>[\w-]+) ) )""",
    re.VERBOSE,
)
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")
_ALLOWED = '$.metadata.run_id, $.messages[*].name, $.messages[0].content, $..timestamp or $["odd name"]'


class _Step(NamedTuple):
    #: A name, a position, or None for each of them.
    key: str | int | None
    #: Whether it looks at every depth.
    deep: bool


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path that may point at several values of a document."""

    #: As it was written.
    text: str
    steps: tuple[_Step, ...]

    def __str__(self) -> str:
        return self.text

    def locations(self, document: Any) -> Iterator[Location]:
        """Find the places of a document that the path points at.

        Yields:
            Places that exist; the same one twice where `..` reaches it on two ways.
        """
        yield from _locations(document, self.steps, ())


def parse_path(text: str) -> JsonPath:
    """Read a path.

    Raises:
        ConfigError: It is none, or says something that rules do not know.
    """
    steps: list[_Step] = []
    position = 1 if text.startswith("$") else 0
    while 0 < position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            break
        steps.append(_Step(_key(found), found["deep"] is not None))
        position = found.end()
    if not steps or position < len(text):
        raise ConfigError(f"{text!r} is not a JSON path that can be ignored; write for example {_ALLOWED}")
    return JsonPath(text, tuple(steps))


def without(document: Any, paths: Iterable[JsonPath]) -> Any:
    """Take out of a document what the paths point at, in place, and give the document back.

    A field goes. An item of a list leaves a mark, so that the others keep their positions.
    """
    doomed = {location for path in paths for location in path.locations(document)}
    for location in sorted(doomed, key=len, reverse=True):
        container = value_at(document, location[:-1])
        if isinstance(container, list):
            container[int(location[-1])] = IGNORED
        else:
            del container[location[-1]]
    return document


def value_at(document: Any, location: Iterable[Any]) -> Any:
    """Give the value at a place that exists."""
    for key in location:
        document = document[key]
    return document


def path_text(location: Iterable[str | int]) -> str:
    """Write a place as a path: `$.messages[0]["odd name"]`."""
    return "$" + "".join(map(path_step, location))


def path_step(key: str | int) -> str:
    """Write one step of a path: `.name`, `["odd name"]` or `[0]`."""
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if _PLAIN_NAME.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def _key(found: re.Match[str]) -> str | int | None:
    if found["position"] is not None:
        return int(found["position"])
    quoted = found["quoted"]
    if quoted is None:
        return found["name"]
    try:
        return str(json.loads(quoted)) if quoted.startswith('"') else quoted[1:-1]
    except ValueError:
        raise ConfigError(f"{quoted} is not a JSON text; write the name as in {_ALLOWED}") from None


def _locations(value: Any, steps: tuple[_Step, ...], at: Location) -> Iterator[Location]:
    if not steps:
        yield at
        return
    step = steps[0]
    for key, child in _children(value):
        if step.key in {None, key}:
            yield from _locations(child, steps[1:], (*at, key))
        if step.deep:
            yield from _locations(child, steps, (*at, key))


def _children(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()
