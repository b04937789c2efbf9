from __future__ import annotations

import subprocess
import sys

import pytest

import aquila.output


def test_importing_the_package_loads_no_pydantic() -> None:
    check = "import sys, aquila.output; sys.exit('pydantic' in sys.modules or 'msgspec' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_name_is_there_in_order() -> None:
    assert sorted(aquila.output.__all__) == aquila.output.__all__
    assert all(hasattr(aquila.output, name) for name in aquila.output.__all__)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'shapes'"):
        _ = aquila.output.shapes
