"""What is wrong with a cassette file that a reviewer should know before it is committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from aquila.cassette.answer import is_event_stream, is_finished
from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.parse import decode, read_document
from aquila.cassette.file.yamlplace import Path, lines_of
from aquila.cassette.file.yamltext import load_document
from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.match import request_key
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules
from aquila.cassette.secrets.leaks import Leak, find_leak, octets, written_fields
from aquila.cassette.secrets.secret import Secret
from aquila.errors import CassetteError

#: Their ends lead to bodies.
_BODIES = (("request", "body"), ("body", "string"))
_TABLE = "under [tool.aquila.cassettes] in pyproject.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    #: From 1.
    line: int
    what: str
    remedy: str
    #: True when the cassette replays all the same.
    is_warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a cassette is held against."""

    #: The time of day, aware.
    now: datetime
    #: Older recordings are a problem; None for no limit.
    max_age: timedelta | None = None
    #: Values that must not be inside.
    secrets: tuple[Secret, ...] = ()
    #: Those of the project.
    rules: Rules = DEFAULT_RULES


@dataclass(frozen=True, slots=True)
class _Problem:
    path: Path
    what: str
    remedy: str
    is_warning: bool = False
    is_leak: bool = False


def verify(data: bytes, name: str, terms: Terms) -> tuple[Finding, ...]:
    """Find what is wrong with a cassette file, in the order of its lines.

    Args:
        data: The file's bytes.
        name: The file's name, for the commands that mend it.
        terms: What it is held against.
    """
    try:
        text = decode(data, name)
        document = load_document(text, name)
        interactions = read_document(document, name, text)
    except CassetteError as error:
        return (_unreadable(str(error), name),)
    further = tuple(Secret("a secret of the rules", value) for value in terms.rules.secrets)
    terms = replace(terms, secrets=(*terms.secrets, *further))
    problems = [
        problem
        for index, item in enumerate(interactions)
        for problem in _check(item, ("interactions", index), name, terms)
    ]
    if not any(problem.is_leak for problem in problems):
        # What nobody reads is committed too.
        problems += _leaks_elsewhere(document, data, name, terms)
    lines = lines_of(text, {problem.path for problem in problems}) if problems else {}
    findings = [
        Finding(
            line=lines[problem.path], what=problem.what, remedy=problem.remedy, is_warning=problem.is_warning
        )
        for problem in problems
    ]
    if not problems:
        findings += _uncanonical(text, interactions, name)
    return tuple(sorted(findings, key=lambda finding: finding.line))


def _unreadable(message: str, name: str) -> Finding:
    line, _, problem = message.removeprefix(f"{name}, line ").partition(": ")
    what, _, remedy = problem.rpartition("; ")
    return Finding(line=int(line), what=what, remedy=remedy)


def _check(item: Interaction, path: Path, name: str, terms: Terms) -> Iterator[_Problem]:
    answer = (*path, "response")
    extras = (*answer, "aquila")
    if item.edited:
        yield _Problem(
            (*answer, "body"),
            "the answer's body was changed by hand: its checksum is another",
            f"undo it, or accept it: aquila cassette import --in-place {name}",
        )
    yield from _edited_request(item, (*path, "request"), name, terms.rules)
    yield from _leak(path, _leak_in(written_fields(item), terms), name)
    yield from _age(item, (*extras, "recorded_at"), terms)
    if item.end in {"cut", "abandoned"}:
        how = (
            "was cut: its reader stopped" if item.end == "cut" else "was abandoned: nobody read it to its end"
        )
        yield _Problem((*extras, "end"), f"the answer {how}", "record it again", is_warning=True)
    elif _is_unfinished(item):
        yield _Problem(
            (*answer, "body"), "the stream ends without a last event", "record it again", is_warning=True
        )


def _edited_request(item: Interaction, path: Path, name: str, rules: Rules) -> Iterator[_Problem]:
    extras = (item.document or {}).get("response", {}).get("aquila") or {}
    stored = extras.get("key")
    if stored in {None, item.key} or (rules.changes_keys and stored == request_key(item.request, rules)):
        return
    # Rules of one call alone are not known here, and they change keys too.
    yield _Problem(
        path,
        "the request was changed by hand: its `key` is another",
        f"undo it, or accept it: aquila cassette import --in-place {name}",
        is_warning=rules.changes_keys,
    )


def _leak(item: Path, leak: Leak | None, name: str) -> Iterator[_Problem]:
    if leak is None:
        return
    what = f"{leak.kind} is in the {leak.place}"
    remedy = f"take it out by hand, and revoke it: {_prevention(leak)}"
    match leak.place.split(" "):
        case [("request" | "response") as side, "header", header, *_]:
            path: Path = (*item, side, "headers", header)
            remedy = f"redact it, and revoke it: aquila cassette import --in-place {name}"
        case ["request", ("URL" | "URL,"), *_]:
            path = (*item, "request", "uri")
            remedy = f"redact it, and revoke it: aquila cassette import --in-place {name}"
        case [("request" | "response") as side, ("body" | "body,"), *_]:
            path = (*item, side, "body")
        case _:
            path = item
    yield _Problem(path, what, remedy, is_leak=True)


def _prevention(leak: Leak) -> str:
    if not leak.is_in_text:
        return (
            f"keep it out of what is sent, or add its field to `redact` {_TABLE}; if it is no secret, list the text in "
            "`allow` there"
        )
    change = "put a placeholder into the prompt" if leak.place.startswith("request") else "change the prompt"
    return f"{change}; if it is no secret, list the text in `allow` {_TABLE}"


def _leak_in(fields: Iterable[tuple[str, bytes]], terms: Terms) -> Leak | None:
    return find_leak(fields, terms.secrets, terms.rules.allow)


def _leaks_elsewhere(document: Any, data: bytes, name: str, terms: Terms) -> Iterator[_Problem]:
    texts = list(_texts(document, ()))
    # All at once, as there is nothing in most files.
    if _leak_in([("file", octets("\n".join(text for _, text, _ in texts)))], terms) is not None:
        for path, text, place in texts:
            leak = _leak_in([(place, octets(text))], terms)
            if leak is not None:
                yield from _leak(path, leak, name)
                return
    yield from _leak((), _leak_in([("file", data)], terms), name)


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Give the names and the values of a document with their paths and places.

    Yields:
        All but the bodies, which are searched as what they are.
    """
    if isinstance(value, dict):
        for name, child in value.items():
            yield (*path, name), str(name), f"{_place(path)}, one of its names"
            yield from _texts(child, (*path, name))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from _texts(child, (*path, position))
    elif path[-2:] not in _BODIES:
        yield path, str(value), _place(path)


def _place(path: Path) -> str:
    match path:
        case ("interactions", int(number), *rest):
            return f"file, interaction {number + 1}" + (f", {'.'.join(map(str, rest))}" if rest else "")
    return "file" + (f", {'.'.join(map(str, path))}" if path else "")


def _age(item: Interaction, path: Path, terms: Terms) -> Iterator[_Problem]:
    if terms.max_age is None or item.recorded_at is None:
        return
    age = terms.now - item.recorded_at
    if age > terms.max_age:
        yield _Problem(
            path, f"it was recorded {age.days} days ago, more than {terms.max_age.days}", "record it again"
        )


def _is_unfinished(item: Interaction) -> bool:
    ok = item.status < 300 and item.failure is None  # noqa: PLR2004 - HTTP's successes
    return ok and is_event_stream(item.headers) and not is_finished(item.body, item.headers)


def _uncanonical(text: str, interactions: Iterable[Interaction], name: str) -> Iterator[Finding]:
    canonical = assemble(map(render, interactions))
    if text == canonical:
        return
    pairs = zip_longest(text.split("\n"), canonical.split("\n"))
    line = next(number for number, (one, other) in enumerate(pairs, start=1) if one != other)
    yield Finding(
        line=line,
        what="the file is not written as the recorder writes it",
        remedy=f"aquila cassette import --in-place {name} rewrites it",
        is_warning=True,
    )
