"""Tests of code that sends jobs: without Redis, without a worker, and without a trace left behind.

```python
with jobs.testing.sandbox():
    handle = explain.send("OTP")
    jobs.testing.assert_enqueued(explain, args=("OTP",))
    assert jobs.testing.drain_queue().completed == 1
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.testing.draining import Drained, adrain_queue, drain_queue
    from jobs.testing.enqueued import (
        aall_enqueued,
        aassert_enqueued,
        all_enqueued,
        arefute_enqueued,
        assert_enqueued,
        refute_enqueued,
    )
    from jobs.testing.performing import aperform_job, perform_job
    from jobs.testing.sandboxing import Sandbox, sandbox

__all__ = [
    "Drained",
    "Sandbox",
    "aall_enqueued",
    "aassert_enqueued",
    "adrain_queue",
    "all_enqueued",
    "aperform_job",
    "arefute_enqueued",
    "assert_enqueued",
    "drain_queue",
    "perform_job",
    "refute_enqueued",
    "sandbox",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that the plugin for pytest costs nothing in a project that tests no jobs.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {
        "draining": ("Drained", "adrain_queue", "drain_queue"),
        "performing": ("aperform_job", "perform_job"),
        "sandboxing": ("Sandbox", "sandbox"),
    }
    home = next((module for module, names in homes.items() if name in names), "enqueued")
    return getattr(import_module(f"jobs.testing.{home}"), name)


def __dir__() -> list[str]:
    return __all__
