"""Aquila for synchronous callers: Django, Flask, scripts.

```python
from aquila import sync

answer = sync.ask("Hello")
with sync.stream("Hello") as s:
    for text in s.text:
        print(text, end="")
```

One event loop, in a daemon thread of its own, serves all threads of the process. It starts with the first call, and
anew in a forked child.
"""

from __future__ import annotations

from aquila.sync.calls import ask, results, stream
from aquila.sync.streams import SyncStream

__all__ = ["SyncStream", "ask", "results", "stream"]
