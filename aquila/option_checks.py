"""Checks what a call says before anything is sent, so that a mistake costs nothing and is told by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isclass
from math import isfinite
from typing import Any

from aquila.errors import ConfigError


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _has(*methods: str) -> Callable[[Any], bool]:
    return lambda value: not isclass(value) and all(callable(getattr(value, name, None)) for name in methods)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


#: What an option's value must be, in words, and the test for it.
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        (
            "model",
            "instructions",
            "endpoint",
            "service_tier",
            "base_url",
            "api_key",
            "cassette",
            "previous_response_id",
        ),
        ("text", _is_text),
    ),
    **dict.fromkeys(("temperature", "top_p"), ("a finite number", _is_number)),
    **dict.fromkeys(("metadata", "extra_body"), ("a dict with text as keys", _is_mapping)),
    "extra_headers": (
        "a dict of text to text that a header can carry",
        lambda value: (
            _is_mapping(value) and all(is_header(name) and is_header(value[name]) for name in value)
        ),
    ),
    "max_output_tokens": ("a whole number of tokens above 0, or None", _is_count),
    **dict.fromkeys(("store", "background", "parallel_tool_calls"), ("True or False", _is_flag)),
    **dict.fromkeys(("max_rounds", "parallel_tools"), ("a whole number above 0", _is_count)),
    "on_max_rounds": ("'answer' or 'raise'", lambda value: value in ("answer", "raise")),
    **dict.fromkeys(
        ("tool_choice", "reasoning"), ("text or a dict", lambda value: _is_text(value) or _is_mapping(value))
    ),
    **dict.fromkeys(("tools", "fallback"), ("a list", lambda value: isinstance(value, list | tuple))),
    "sink": ("a sink: aquila.sink.callback(function), aquila.sink.collector()", _has("emit", "aclose")),
    "transport": ("a transport", _has("send", "aclose")),
}


#: Options that go to the provider as they are.
_SENT = ("extra_body", "reasoning", "tool_choice")


def check_values(options: Mapping[str, Any]) -> None:
    """Refuse a value of the wrong kind.

    Raises:
        ConfigError: Names the option, its value and what it must be.
    """
    for name, (wanted, is_right) in _RULES.items():
        value = options.get(name)
        if value is not None and not is_right(value):
            # A key's value must not stand in an error, nor may a header's.
            shown = "" if name in {"api_key", "extra_headers"} else f"={value!r}"
            raise ConfigError(f"{name}{shown} must be {wanted}")
    for name in _SENT:
        _check_json(name, options.get(name))


def _check_json(path: str, value: Any) -> None:
    """Refuse what JSON has no form for, and what an encoder would quietly make something else of.

    Raises:
        ConfigError: Names the place, the value and the remedy.
    """
    match value:
        case None | bool() | int() | str():
            return
        case float() if isfinite(value):
            return
        case Mapping() if _is_mapping(value):
            for name, item in value.items():
                _check_json(f"{path}.{name}", item)
        case list() | tuple():
            for place, item in enumerate(value):
                _check_json(f"{path}.{place}", item)
        case _:
            raise ConfigError(
                f"{path}={value!r} ({type(value).__name__}) has no form in JSON; "
                "give text, finite numbers, lists and dicts with text as keys"
            )


def is_header(value: Any) -> bool:
    """Say whether a header can carry a value as it is."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip()
