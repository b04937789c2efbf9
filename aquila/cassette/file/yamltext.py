"""YAML for people who review it: long texts as literal blocks, everything else as PyYAML writes it.

The writer of libyaml puts a text in quotes as soon as it holds an emoji. So PyYAML writes the structure with a tagged
name in each literal's place, and the blocks go in afterwards; every reader of YAML understands the result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

from aquila.cassette.file import yamlguard
from aquila.cassette.file.yaml_library import yaml
from aquila.errors import CassetteError

_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_PLACEHOLDER = re.compile(r"^( *)(\S+): !literal '(\d+)'$", re.MULTILINE)
#: What every reader gives back unchanged from a literal block: no control characters, no line breaks but LF.
_LITERAL = re.compile(
    "[\n\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]+"
)
_CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: |$)", re.MULTILINE)
_MARKS = ("<" * 7, ">" * 7, "|" * 7)
_UNLIMITED = 2**31 - 1


class Flow(dict[str, Any]):
    """A mapping written on one line."""


class FlowList(list[Any]):
    """A list written on one line."""


class Literal(str):
    """A text written as a literal block where that is exact."""

    __slots__ = ()


class Amount(Decimal):
    """An amount of money, written as a plain number where every reader gets exactly that from it."""

    __slots__ = ()


class _Dumper(_BaseDumper):  # type: ignore[misc] # with or without libyaml
    def ignore_aliases(self, data: object) -> bool:
        return True


class _Placeholder(str):
    __slots__ = ()


def _amount(dumper: Any, amount: Amount) -> Any:
    text = f"{amount:f}"
    text = text.rstrip("0").removesuffix(".") if "." in text else text
    if Decimal(repr(float(text))) != amount:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'")
    return dumper.represent_scalar(f"tag:yaml.org,2002:{'float' if '.' in text else 'int'}", text)


def _text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"' if "\n" in text else None)


_Dumper.add_representer(
    Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True)
)
_Dumper.add_representer(
    FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True)
)
_Dumper.add_representer(
    _Placeholder, lambda dumper, text: dumper.represent_scalar("!literal", str(text), style="'")
)
_Dumper.add_representer(Amount, _amount)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(Literal, _text)
_Dumper.add_representer(
    datetime, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:timestamp", data.isoformat())
)


def dump_item(item: Mapping[str, Any]) -> str:
    """Write one item of a list of mappings, as block YAML that starts with a dash."""
    literals: list[str] = []
    document = _with_placeholders(item, literals)
    text: str = yaml.dump(
        [document],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_UNLIMITED,
        default_flow_style=False,
    )
    return _PLACEHOLDER.sub(lambda match: _block(match[1], match[2], literals[int(match[3])]), text)


def load_document(text: str, name: str) -> Any:
    """Read a YAML or JSON document, safely: no tag constructs anything but plain data, and nothing grows without bound.

    Args:
        text: The document.
        name: The file's name, for errors.

    Raises:
        CassetteError: It is neither, or it has marks of an unresolved merge; names the line.
    """
    # Looking for the marks first is ten times faster than the expression.
    conflict = _CONFLICT.search(text) if any(mark in text for mark in _MARKS) else None
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise CassetteError(
            f"{name}, line {line}: unresolved merge conflict; resolve it or restore the file from git"
        )
    if text.lstrip()[:1] == "{":
        # JSON is almost YAML, but PyYAML reads its escapes of characters beyond U+FFFF as two. What is no JSON may be a
        # flow mapping of YAML, whose reader names the line if it is nothing at all.
        with suppress(ValueError, RecursionError):
            return json.loads(text, object_pairs_hook=_without_twins)
    try:
        return yamlguard.load(text)
    except yaml.constructor.ConstructorError as error:
        return _load_legacy(text, name, error)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _refuse(text, name, error)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _load_legacy(text: str, name: str, error: yaml.MarkedYAMLError) -> Any:
    try:
        # vcrpy takes 0.4 s to import, and only its own old files have these tags.
        from vcr.serializers import yamlserializer  # noqa: PLC0415
    except ImportError:
        _refuse(text, name, error)
    try:
        return yamlserializer.deserialize(text)
    except (yaml.YAMLError, ValueError, RecursionError) as second:
        _refuse(text, name, second)


def _refuse(text: str, name: str, error: Exception) -> NoReturn:
    place = ", line 1"
    problem = " ".join(str(error).split())
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        place = f", line {error.problem_mark.line + 1}"
        problem = error.problem or "cannot be parsed"
    elif isinstance(error, yaml.reader.ReaderError):
        place = f", line {_line_of_unreadable(text, error.position)}"
        problem = error.reason
    raise CassetteError(
        f"{name}{place}: not valid YAML ({problem}); restore the file from git or record it again"
    ) from error


def _line_of_unreadable(text: str, position: int) -> int:
    # libyaml counts bytes, and in their place PyYAML characters.
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    return text.count("\n", 0, position if found is None else found.start()) + 1


def _with_placeholders(value: Any, literals: list[str]) -> Any:
    if isinstance(value, Literal) and is_literal_safe(value):
        literals.append(str(value))
        return _Placeholder(len(literals) - 1)
    if isinstance(value, dict):
        return type(value)((name, _with_placeholders(child, literals)) for name, child in value.items())
    return value


def is_literal_safe(text: str) -> bool:
    """Tell whether a literal block gives the text back exactly, without an indentation mark."""
    return text[:1] not in {"", " ", "\t", "\n"} and _LITERAL.fullmatch(text) is not None


def _block(indent: str, key: str, text: str) -> str:
    chomp = "-" if not text.endswith("\n") else "+" if text.endswith("\n\n") else ""
    lines = text.removesuffix("\n").split("\n")
    return "\n".join([f"{indent}{key}: |{chomp}", *_indented(lines, indent + "  ")])


def _indented(lines: list[str], indent: str) -> Iterator[str]:
    return (indent + line if line else "" for line in lines)
