"""What requests and answers cost in US dollars, by the price table of the extra `prices`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from aquila.errors import ConfigError
from aquila.prices import cost_of
from aquila.response import Response, Usage
from aquila.transport import LOCAL_MODEL
from jobs.token_count import TokenCount

#: Tokens whose price tells that of one.
_SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens of one model cost."""

    model: str
    #: A base URL; None goes by the model's name.
    provider: str | None
    service_tier: str | None
    #: US dollars for a token of a prompt, and of an answer.
    prompt: float
    answer: float

    def running(self, count: TokenCount) -> float:
        """Give about what a request costs so far; cheap enough to be asked at every fragment."""
        return self.prompt * count.input + self.answer * count.output

    def final(self, count: TokenCount) -> float:
        """Give what a request cost: by the provider's own count if there is one, cached tokens as such."""
        if count.reported is None or count.guessed:
            return self.running(count)
        exact = _cost(count.reported, self.model, self.provider, self.service_tier)
        return self.running(count) if exact is None else exact


def has_prices() -> bool:
    """Say whether the price table is installed."""
    return find_spec("genai_prices") is not None


@lru_cache(maxsize=1024)
def price_of(model: str, base_url: str, service_tier: str | None = None) -> Price | None:
    """Give the price of a model; None if it is not known. The first call loads the table, which takes a moment.

    A server that the table does not know, such as a gateway, is taken to charge what the model's maker charges. The
    local model costs nothing.

    Args:
        model: Its name.
        base_url: The server.
        service_tier: The tier that is asked for; None for the standard one.
    """
    if model == LOCAL_MODEL:
        return Price(model, None, None, 0.0, 0.0)
    for provider in (base_url, None):
        prompt = _cost(Usage(input_tokens=_SAMPLE, output_tokens=0), model, provider, service_tier)
        answer = _cost(Usage(input_tokens=0, output_tokens=_SAMPLE), model, provider, service_tier)
        if prompt is not None and answer is not None:
            return Price(model, provider, service_tier, prompt / _SAMPLE, answer / _SAMPLE)
    return None


def add_cost(total: float | None, response: Response, *, model: str | None = None) -> float | None:
    """Add what an answer cost to what is known so far; as it was if no price is known.

    Args:
        total: US dollars so far; None if no price was known.
        response: The answer.
        model: Its model; None takes the one that the answer names.
    """
    usage, name = response.usage, model or response.model
    cost = _cost(usage, name, None, None) if usage is not None and name else None
    if cost is None:
        return total
    return cost if total is None else total + cost


def _cost(usage: Usage, model: str, provider: str | None, tier: str | None) -> float | None:
    try:
        cost = cost_of(usage, model=model, provider=provider, service_tier=tier)
    except ConfigError:
        # Without the table no price is known.
        return None
    return None if cost is None else float(cost)
