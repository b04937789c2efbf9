"""Who listens: the application's tracer and the histograms of its meter, or nobody."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

_SCOPE = "aquila"
_SECONDS = [0.01 * 2**step for step in range(14)]
_TOKENS = [4**step for step in range(14)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """The histograms of one meter provider."""

    duration: Histogram
    first_chunk: Histogram
    output_chunk: Histogram
    tokens: Histogram
    tool: Histogram


def find_tracer() -> Tracer | None:
    """Give the application's tracer; None when it has set up none."""
    if not _is_wanted("opentelemetry.trace", "OTEL_PYTHON_TRACER_PROVIDER"):
        return None
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra, of use only to those who set it up
    except ImportError:
        return None
    provider = trace.get_tracer_provider()
    return None if _is_idle(provider, "opentelemetry.trace") else _tracer(provider)


def find_instruments() -> Instruments | None:
    """Give the histograms of the application's meter provider; None when it has set up none."""
    if not _is_wanted("opentelemetry.metrics", "OTEL_PYTHON_METER_PROVIDER"):
        return None
    try:
        from opentelemetry import metrics  # noqa: PLC0415 - see find_tracer
    except ImportError:
        return None
    provider = metrics.get_meter_provider()
    return None if _is_idle(provider, "opentelemetry.metrics") else _instruments(provider)


def _is_wanted(module: str, variable: str) -> bool:
    # Whoever sets up a provider loads the API, or has the environment name a provider for the API to load.
    return module in sys.modules or bool(os.environ.get(variable))


def _is_idle(provider: object, module: str) -> bool:
    # The providers that come with the API itself record nothing.
    return type(provider).__module__.startswith(module)


@lru_cache(maxsize=4)
def _tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer(_SCOPE)


@lru_cache(maxsize=4)
def _instruments(provider: MeterProvider) -> Instruments:
    meter = provider.get_meter(_SCOPE)

    def seconds(name: str, description: str) -> Histogram:
        return meter.create_histogram(
            name, unit="s", description=description, explicit_bucket_boundaries_advisory=_SECONDS
        )

    return Instruments(
        duration=seconds(
            "gen_ai.client.operation.duration", "Duration of a run, retries and rounds included."
        ),
        first_chunk=seconds(
            "gen_ai.client.operation.time_to_first_chunk", "From the start of a run to its first chunk."
        ),
        output_chunk=seconds(
            "gen_ai.client.operation.time_per_output_chunk", "From one chunk of a run to the next."
        ),
        tokens=meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of a run, by kind.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        ),
        tool=seconds("gen_ai.execute_tool.duration", "Duration of a tool call."),
    )
