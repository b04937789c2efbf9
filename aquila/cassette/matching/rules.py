"""What a project adds to the defaults: what does not count when requests are compared, and what is not written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, cast

from aquila.cassette.body.json_path import IGNORED, JsonPath, parse_path
from aquila.cassette.secrets.secret_names import TEXT_FIELDS, normal
from aquila.errors import ConfigError

#: A matcher of vcrpy: takes the request that is sent and a recorded one, both `vcr.request.Request`. It returns False
#: or raises AssertionError when they do not match.
Matcher = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Checked rules. Make them with `Rules.of`; `Rules()` are the defaults."""

    #: Fields of JSON bodies, and of forms, that do not count.
    ignore: tuple[JsonPath, ...] = ()
    #: What they find inside texts of a body does not count.
    ignore_text: tuple[re.Pattern[str], ...] = ()
    #: Names, in lower case, of further headers, query parameters and fields whose values are replaced.
    redact: frozenset[str] = frozenset()
    #: Further values that must not be written.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    #: Texts that are no secrets, although they look like it.
    allow: tuple[str, ...] = ()
    #: Asked, in the manner of vcrpy, when no recorded request is equal.
    match_on: tuple[Matcher, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        ignore: Iterable[str] = (),
        ignore_text: Iterable[str | re.Pattern[str]] = (),
        redact: Iterable[str] = (),
        secrets: Iterable[str] = (),
        allow: Iterable[str] = (),
        match_on: Iterable[Matcher] = (),
    ) -> Rules:
        """Check and read rules.

        Args:
            ignore: JSON paths such as `$.metadata.run_id`.
            ignore_text: Regular expressions, for example of dates.
            redact: Names; their case does not count. None of those that hold the texts of prompts and answers.
            secrets: Values; an empty one counts as unset.
            allow: Texts, whole keys and tokens, that may be written; an empty one counts as unset.
            match_on: Matchers of vcrpy; all must agree. They only add matches to those of equal requests.

        Raises:
            ConfigError: A path, an expression, a name or a type is wrong.
        """
        return cls(
            ignore=_unique(parse_path(text) for text in _texts("ignore", ignore)),
            ignore_text=_unique(map(_pattern, _listed("ignore_text", ignore_text))),
            redact=frozenset(map(_name, _texts("redact", redact))),
            secrets=_unique(filter(None, _texts("secrets", secrets))),
            allow=_unique(filter(None, _texts("allow", allow))),
            match_on=_unique(map(_matcher, _listed("match_on", match_on))),
        )

    @property
    def changes_keys(self) -> bool:
        """Whether requests are compared otherwise than by default."""
        return bool(self.ignore or self.ignore_text or self.redact)

    def merged(self, other: Rules) -> Rules:
        """Give the rules that do what both do."""
        names = (item.name for item in fields(self) if item.name != "redact")
        both = {name: _unique((*getattr(self, name), *getattr(other, name))) for name in names}
        return Rules(redact=self.redact | other.redact, **both)


#: The defaults.
DEFAULT_RULES = Rules()


def ignored_spans(text: str, patterns: Iterable[re.Pattern[str]]) -> list[tuple[int, int]]:
    """Find what does not count in a text: beginnings and ends, in order, overlapping ones as one."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(found.span() for pattern in patterns for found in pattern.finditer(text)):
        if spans and start < spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        elif start < end:
            spans.append((start, end))
    return spans


def counting_text(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    """Give a text with `[ignored]` in the place of what does not count."""
    parts, at = [], 0
    for start, end in ignored_spans(text, patterns):
        parts += [text[at:start], IGNORED]
        at = end
    return "".join([*parts, text[at:]])


def _listed(name: str, values: Iterable[Any]) -> Iterator[Any]:
    # A single text is a list of characters to Python, and never what was meant.
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ConfigError(f"{name} is {_kind(values)}; give a list")
    yield from values


def _texts(name: str, values: Iterable[Any]) -> Iterator[str]:
    for value in _listed(name, values):
        if not isinstance(value, str):
            raise ConfigError(f"{name} holds {_kind(value)}; give texts")
        yield value


def _kind(value: object) -> str:
    return "one text" if isinstance(value, str) else f"a value of type {type(value).__name__}"


def _pattern(value: Any) -> re.Pattern[str]:
    text = value.pattern if isinstance(value, re.Pattern) else value
    if not isinstance(text, str):
        raise ConfigError(f"ignore_text holds {_kind(text)}; give regular expressions such as {_EXAMPLE}")
    try:
        return value if isinstance(value, re.Pattern) else re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"ignore_text: {text!r} is not a regular expression ({error}); write one such as {_EXAMPLE}"
        ) from None


def _name(name: str) -> str:
    if not name.strip():
        raise ConfigError(
            "redact holds an empty name; give the names of headers, query parameters or JSON fields"
        )
    if normal(name.strip()) in TEXT_FIELDS:
        raise ConfigError(
            f"redact holds {name.strip()!r}, which would blank every text of that name; put a placeholder into the prompt "
            "instead, or name the field with the secret"
        )
    return name.strip().lower()


def _matcher(value: Any) -> Matcher:
    if not callable(value):
        raise ConfigError(
            f"match_on holds {value!r}, which is no function of two requests; give one such as vcr.matchers.path"
        )
    return cast("Matcher", value)


def _unique(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


_EXAMPLE = r"'\d{4}-\d\d-\d\d'"
