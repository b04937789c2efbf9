"""What an answer cost, by the price table of `genai-prices`.

The table is the one installed with that package: nothing is fetched, neither here nor by it, unless the application
itself starts its updater. A newer table comes with a newer `genai-prices`.
"""

from __future__ import annotations

from decimal import Decimal

from aquila.errors import ConfigError
from aquila.response import Response, Usage


def cost_of(
    answer: Response | Usage,
    *,
    model: str | None = None,
    provider: str | None = None,
    service_tier: str | None = None,
) -> Decimal | None:
    """Compute the price of an answer in US dollars, at today's prices.

    Input read from or written to a cache is charged as such, and reasoning as output, each token once.

    Args:
        answer: The answer, or its usage.
        model: Its model; None takes the one the answer names.
        provider: Who sells it: a name such as `openai`, or a base URL; None goes by the model's name.
        service_tier: `flex`, `priority`, ... where the provider has a price of its own for it; None is the standard.

    Returns:
        None when the price is not known: the provider sent no usage, or counts that contradict each other, or the
        table has no such model or provider. A known price of nothing is zero.

    Raises:
        ConfigError: `genai-prices` is not installed.
    """
    usage = answer.usage if isinstance(answer, Response) else answer
    if model is None and isinstance(answer, Response):
        model = answer.model
    if not model or usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    try:
        import genai_prices  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise ConfigError(
            "the price of an answer needs the package genai-prices; run pip install 'aquila-llm[prices]'"
        ) from error
    try:
        counts = genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens or 0,
            cache_write_tokens=usage.cache_write_tokens or 0,
            output_reasoning_tokens=usage.reasoning_tokens or 0,
        )
        context = {"service_tier": service_tier} if service_tier else None
        if provider is not None and "://" in provider:
            return genai_prices.calc_price(
                counts, model, provider_api_url=provider, price_context=context
            ).total_price
        return genai_prices.calc_price(counts, model, provider_id=provider, price_context=context).total_price
    except (LookupError, ValueError):
        # Not in the table, or more cached tokens than tokens: a guess would look like a bill.
        return None
