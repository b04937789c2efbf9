"""One run of the running job: with its id, its patience, and waits that are the row's."""

from __future__ import annotations

import aquila
from aquila.options import Options
from aquila.prompt import Prompt
from aquila.response import Response
from jobs.collecting import collect
from jobs.context import current

#: A provider that asks for a longer wait gets it from the row, where it holds no slot and outlives the worker.
RETRY = aquila.Retry(max_retry_after=5.0)


async def ask(prompt: Prompt | None, options: Options, *, timeout: float) -> Response:  # noqa: ASYNC109 - not the whole
    """Send a prompt and read the answer to its end.

    Args:
        prompt: The prompt; None when the options' `messages` say it all.
        options: Options of `aquila.stream`. The job's id joins their metadata.
        timeout: Seconds to wait for each event.

    Raises:
        AquilaError: The run failed, or was silent for too long.
    """
    metadata = {"job_id": current().id, **(options.get("metadata") or {})}
    whole: Options = {**options, "metadata": metadata, "retry": RETRY}
    return await collect(aquila.stream(prompt, **whole), timeout=timeout)
