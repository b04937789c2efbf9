"""Reads Google-style docstrings: the description, and what each argument is. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from inspect import cleandoc

_HEADING = re.compile(r"(Args|Arguments|Parameters|Raises):\s*")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Docs:
    """A docstring, taken apart."""

    #: Everything but the sections on arguments and exceptions.
    description: str = ""
    #: What the docstring says of each argument.
    arguments: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docs:
    """Take a docstring apart; None counts as an empty one."""
    kept: list[str] = []
    entries: list[str] = []
    section: list[str] | None = None
    for line in cleandoc(text or "").splitlines():
        heading = _HEADING.fullmatch(line)
        if heading:
            # The model raises nothing and catches nothing: that section only costs tokens.
            section = [] if heading[1] == "Raises" else entries
        elif section is not None and (not line.strip() or line[0].isspace()):
            section.append(line)
        else:
            section = None
            kept.append(line)
    return Docs(description=_joined(kept), arguments=_arguments(entries))


def _joined(lines: list[str]) -> str:
    # A section that was cut out leaves its blank lines behind.
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _arguments(lines: list[str]) -> dict[str, str]:
    filled = [line for line in lines if line.strip()]
    found: dict[str, list[str]] = {}
    words: list[str] = []
    indent = min((_indent(line) for line in filled), default=0)
    for line in filled:
        entry = _ENTRY.match(line.strip()) if _indent(line) == indent else None
        if entry:
            words = found.setdefault(entry[1], [])
            words.append(entry[2] or "")
        else:
            words.append(line.strip())
    return {name: " ".join(parts).strip() for name, parts in found.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
