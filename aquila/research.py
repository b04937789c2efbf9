"""Deep research: runs of many minutes, which go on at the provider whether or not anybody listens.

`create` starts one and returns at once, `fetch`, `wait` and `cancel` go by its id, and `stream` follows a new one or one
that runs already.
"""

from __future__ import annotations

from typing import Any, Unpack

from aquila.options import Options
from aquila.prompt import Prompt
from aquila.request_options import RequestOptions
from aquila.researching import Research
from aquila.response import Response
from aquila.streams import Stream


async def create(prompt: Prompt | None = None, **options: Unpack[Options]) -> Response:
    """Start a run in the background and give it as it is then: queued, with its `response_id`.

    Args:
        prompt: Text, content parts, a message, or a list of messages; None when `messages` says it all.
        options: See `Options`. The model is `o3-deep-research` unless one is named, the API is always Responses, and a web
            search is added unless `tools` has something to search in. Functions are only declared: nobody is there to run them. What is about
            following a run (`sink`, `fallback`) has no effect.

    Raises:
        ConfigError: An option's value cannot be used.
        AquilaError: The request failed.
        TypeError: An option is unknown.
    """
    return await Research().create(prompt, **options)


def stream(
    prompt: Prompt | None = None,
    *,
    response_id: str | None = None,
    starting_after: int | None = None,
    **options: Unpack[Options],
) -> Stream[Any]:
    """Prepare to follow a run, a new one or one that runs already; nothing is sent until the Stream is used.

    A lost connection is picked up again. Leaving the Stream leaves the run at the provider, which goes on and bills:
    `cancel` ends it.

    Args:
        prompt: As for `create`; with `response_id` only what was asked, for `Response.messages`.
        response_id: The run to follow; None starts one.
        starting_after: The number of the last event that is known (`Resumed.sequence_number`); None gives all of them.
        options: As for `create`. The clocks allow any silence, and two hours in all; a number is the total.

    Raises:
        ConfigError: An option's value cannot be used.
        TypeError: An option is unknown.
    """
    return Research().stream(prompt, response_id=response_id, starting_after=starting_after, **options)


async def fetch(response_id: str, *, model: str | None = None, **options: Unpack[RequestOptions]) -> Response:
    """Fetch a run as it is now; the same as `aquila.retrieve_response`.

    Args:
        response_id: The run's id.
        model: Which model's server to ask, where a transport chooses by model; None for `o3-deep-research`'s.
        options: See `RequestOptions`.

    Raises:
        ConfigError: The id or an option's value cannot be used.
        NotFoundError: There is no such run, or it is kept no longer.
        AquilaError: The request failed.
        TypeError: An option is unknown.
    """
    return await Research().fetch(response_id, model=model, **options)


async def cancel(
    response_id: str, *, model: str | None = None, **options: Unpack[RequestOptions]
) -> Response:
    """End a run at the provider, and give it as it is then; the same as `aquila.cancel_response`.

    Args:
        response_id: The run's id.
        model: Which model's server to ask, where a transport chooses by model; None for `o3-deep-research`'s.
        options: See `RequestOptions`.

    Raises:
        ConfigError: The id or an option's value cannot be used.
        NotFoundError: There is no such run.
        AquilaError: The request failed.
        TypeError: An option is unknown.
    """
    return await Research().cancel(response_id, model=model, **options)


async def wait(
    response_id: str,
    *,
    model: str | None = None,
    pause: float | None = None,
    **options: Unpack[RequestOptions],
) -> Response:
    """Ask for a run again and again until it has ended, and give it; failed and cancelled runs too.

    Args:
        response_id: The run's id.
        model: Which model's server to ask, where a transport chooses by model; None for `o3-deep-research`'s.
        pause: Seconds between two questions; None begins with 1 and grows to 15.
        options: See `RequestOptions`; `timeout=` as a number bounds all of it, and is two hours unless named.

    Raises:
        ConfigError: The id or an option's value cannot be used.
        NotFoundError: There is no such run, or it is kept no longer.
        TotalTimeout: It has not ended in time; `error.partial` is the run as it was.
        AquilaError: A request failed.
        TypeError: An option is unknown.
    """
    return await Research().wait(response_id, model=model, pause=pause, **options)
