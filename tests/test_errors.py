from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from aquila import errors
from aquila.errors import AquilaError
from aquila.response import Response
from aquila.tool_call import ToolCall

TREE = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, AquilaError)]
FACTS: dict[str, Any] = {
    "status_code": 418,
    "seconds": 1.5,
    "state": {"ref": "r"},
    "calls": (ToolCall("c", "f", {}),),
}


def make(kind: type[AquilaError]) -> AquilaError:
    wanted = {name for base in kind.__mro__ for name in inspect.signature(base.__init__).parameters}
    facts = {name: value for name, value in FACTS.items() if name in wanted}
    return kind("it broke", partial=Response(text="Hel"), request_id="req_1", attempts=2, **facts)


@pytest.mark.parametrize("kind", TREE)
def test_every_error_pickles_with_its_facts(kind: type[AquilaError]) -> None:
    error = make(kind)

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(copy) is kind
    assert (str(copy), copy.__dict__) == (str(error), error.__dict__)
    assert (copy.request_id, copy.attempts, copy.partial.text) == ("req_1", 2, "Hel")


@pytest.mark.parametrize("kind", TREE)
def test_the_drawing_names_every_error(kind: type[AquilaError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_only_what_may_succeed_the_next_time_is_retryable() -> None:
    assert {kind.__name__ for kind in TREE if make(kind).retryable} == {
        "ConnectTimeout", "ConnectionFailed", "EmptyStream", "InternalServerError", "OverloadedError",
        "ProviderStreamError", "RateLimitError", "StreamError", "StreamTruncated",
    }  # fmt: skip
