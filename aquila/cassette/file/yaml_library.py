"""PyYAML, or one sentence that says how to get it."""

from __future__ import annotations

from aquila.errors import ConfigError

try:
    import yaml
except ImportError as _error:
    raise ConfigError("cassettes need PyYAML; pip install 'aquila-llm[cassettes]'") from _error

__all__ = ["yaml"]
