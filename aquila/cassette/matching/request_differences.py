"""What differs between two requests: method, URL and body, and what of it does not count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aquila.cassette.body.json_path import path_text, value_at, without
from aquila.cassette.body.jsonbody import leaves
from aquila.cassette.matching.content import Content, read_content
from aquila.cassette.matching.differences import Differences
from aquila.cassette.matching.match import normal_url
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules, ignored_spans
from aquila.cassette.matching.wording import LONGEST_CHANGE, shown, text_changes
from aquila.transport.base import Request

#: Stands for a value that is not there, and equals no other.
_ABSENT = b"\0absent"


def differences(recorded: Request, sent: Request, rules: Rules = DEFAULT_RULES) -> list[str]:
    """List what differs between two requests, one line for each JSON path.

    A changed text is shown as `[-recorded-]{+sent+}` with its words around it and the character where it begins.

    Args:
        recorded: As a cassette has it.
        sent: As a cassette would have it.
        rules: What does not count.
    """
    lines = goal_differences(recorded, sent, rules)
    try:
        return [*lines, *_bodies(_counted(recorded, rules), _counted(sent, rules), rules)]
    except RecursionError:
        # It is nested so deeply that it can be read and not compared.
        before, after = (request.body.decode(errors="replace") for request in (recorded, sent))
        return [*lines, *Differences().lines(before, after, "body")]


def goal_differences(recorded: Request, sent: Request, rules: Rules = DEFAULT_RULES) -> list[str]:
    """List in what method and URL differ."""
    lines = []
    if recorded.method.upper() != sent.method.upper():
        lines.append(f"method: {recorded.method.upper()} -> {sent.method.upper()}")
    urls = normal_url(recorded.url, rules), normal_url(sent.url, rules)
    if urls[0] != urls[1]:
        short = max(map(len, urls)) <= LONGEST_CHANGE
        lines.append(f"url: {' -> '.join(urls) if short else '; '.join(text_changes(*urls))}")
    return lines


def ignored_differences(recorded: Request, sent: Request, rules: Rules) -> list[str]:
    """List what differs between two requests and does not count: `$.metadata.run_id`, `text in $.input`."""
    try:
        before, after = (read_content(each.body, each.headers) for each in (recorded, sent))
        return list(
            dict.fromkeys([*_ignored_fields(before, after, rules), *_ignored_texts(before, after, rules)])
        )
    except RecursionError:
        return []


def _counted(request: Request, rules: Rules) -> Content:
    content = read_content(request.body, request.headers)
    return Content(content.kind, without(content.document, rules.ignore))


def _bodies(before: Content, after: Content, rules: Rules) -> list[str]:
    if before.document == "" != after.document:
        return [f"body: not recorded, now {after.kind} {shown(after.document)}"]
    if after.document == "" != before.document:
        return [f"body: recorded as {before.kind} {shown(before.document)}, now absent"]
    if before.kind == after.kind:
        return Differences(rules.ignore_text).lines(before.document, after.document, before.root)
    return [f"body: {before.kind} {shown(before.document)} -> {after.kind} {shown(after.document)}"]


def _ignored_fields(before: Content, after: Content, rules: Rules) -> Iterator[str]:
    compared = Differences()
    for path in rules.ignore:
        for place in dict.fromkeys([*path.locations(before.document), *path.locations(after.document)]):
            if not compared.equal(_found(before.document, place), _found(after.document, place)):
                yield path_text(place)


def _found(document: Any, place: tuple[str | int, ...]) -> Any:
    try:
        return value_at(document, place)
    except (KeyError, IndexError, TypeError):
        return _ABSENT


def _ignored_texts(before: Content, after: Content, rules: Rules) -> Iterator[str]:
    if not rules.ignore_text:
        return
    recorded = dict(leaves(before.document, before.root))
    for path, now in leaves(after.document, after.root):
        was = recorded.get(path)
        if isinstance(was, str) and isinstance(now, str) and _ignored(was, rules) != _ignored(now, rules):
            yield f"text in {path}"


def _ignored(text: str, rules: Rules) -> list[str]:
    return [text[start:end] for start, end in ignored_spans(text, rules.ignore_text)]
