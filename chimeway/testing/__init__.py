"""Tests of code that notifies: without a provider, without a worker, at a time that the test says.

```python
def test_a_mention_escalates(chimeway_sandbox):
    Mention.trigger("ada", {"who": "Bo"})
    chimeway_sandbox.drain(until=timedelta(hours=2))
    chimeway_sandbox.assert_delivered("mention", "ada", channel="email")
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chimeway.testing.adapter_contract import AdapterContract
    from chimeway.testing.capturing import Captured, capture
    from chimeway.testing.fake_adapter import TestAdapter
    from chimeway.testing.fake_clock import FakeClock

__all__ = ["AdapterContract", "Captured", "FakeClock", "TestAdapter", "capture"]


def __getattr__(name: str) -> Any:
    # Lazy, so that the plugin for pytest costs nothing in a project that tests no notifications.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {"AdapterContract": "adapter_contract", "FakeClock": "fake_clock", "TestAdapter": "fake_adapter"}
    return getattr(import_module(f"chimeway.testing.{homes.get(name, 'capturing')}"), name)


def __dir__() -> list[str]:
    return __all__
