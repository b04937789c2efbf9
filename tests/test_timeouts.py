from __future__ import annotations

from typing import Any

import pytest

from aquila.errors import ConfigError
from aquila.timeouts import Timeouts


def test_a_number_means_the_total() -> None:
    assert Timeouts.of(5) == Timeouts(total=5)
    assert Timeouts.of(5, Timeouts(idle=1)) == Timeouts(idle=1, total=5)
    assert Timeouts.of(None) == Timeouts()


@pytest.mark.parametrize("value", [0, -1, "5", True])
def test_a_limit_that_is_none_is_named(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"timeout: idle=.* must be a number of seconds above 0"):
        Timeouts(idle=value)
