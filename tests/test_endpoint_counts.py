from __future__ import annotations

from typing import Any

import pytest

from aquila.endpoint.counts import read_usage
from aquila.response import Usage


@pytest.mark.parametrize(("inputs", "outputs"), [("prompt", "completion"), ("input", "output")])
def test_counts_are_read_by_the_api_s_own_names(inputs: str, outputs: str) -> None:
    wire = {
        f"{inputs}_tokens": 7,
        f"{outputs}_tokens": 5,
        "total_tokens": 12,
        f"{inputs}_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        f"{outputs}_tokens_details": {"reasoning_tokens": 2},
    }

    assert read_usage(wire, inputs=inputs, outputs=outputs) == Usage(
        input_tokens=7,
        output_tokens=5,
        total_tokens=12,
        cached_tokens=3,
        cache_write_tokens=1,
        reasoning_tokens=2,
    )


@pytest.mark.parametrize(
    "wire", [None, [], "7", {}, {"input_tokens": None}, {"input_tokens": True}, {"other": 1}]
)
def test_what_counts_nothing_is_no_usage(wire: Any) -> None:
    assert read_usage(wire, inputs="input", outputs="output") is None


def test_a_count_of_zero_is_a_count() -> None:
    usage = read_usage({"input_tokens": 0}, inputs="input", outputs="output")

    assert usage == Usage(input_tokens=0)
