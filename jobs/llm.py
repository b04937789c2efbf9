"""Actors that come with the package: a streamed prompt and an executive summary, both durable and live."""

from __future__ import annotations

import logging

import aquila
from jobs.actors import actor
from jobs.collecting import collect
from jobs.context import current

logger = logging.getLogger("jobs")

#: A provider that asks for a longer wait gets it from the row, where it holds no slot and outlives the worker.
RETRY = aquila.Retry(max_retry_after=5.0)
#: Tokens a summary may have.
SUMMARY_TOKENS = 200


@actor(queue_name="llm", max_attempts=5, cassette="jobs/stream_prompt")
async def stream_prompt(
    prompt: str,
    model: str | None = None,
    *,
    instructions: str | None = None,
    temperature: float | None = None,
    max_output_tokens: int | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - between two events, not for the whole
) -> str:
    """Stream a prompt's answer; the text is the job's output, its chunks are the job's live stream.

    Args:
        prompt: The user's text.
        model: The model; None means `AQUILA_MODEL`, else the client's default.
        instructions: The system text.
        temperature: The sampling temperature; None leaves it to the provider.
        max_output_tokens: The longest answer, in tokens.
        timeout: Seconds to wait for each event.

    Raises:
        AquilaError: The run failed, or was silent for too long.
    """
    job = current()
    stream = aquila.stream(
        prompt,
        model=model,
        instructions=instructions,
        temperature=temperature,
        max_output_tokens=max_output_tokens,
        metadata={"job_id": job.id},
        retry=RETRY,
    )
    response = await collect(stream, timeout=timeout)
    logger.info(
        "prompt_streamed job_id=%s model=%s finish_reason=%s", job.id, response.model, response.finish_reason
    )
    return response.text


@actor(queue_name="llm", max_attempts=5, cassette="jobs/generate_summary")
async def generate_summary(
    text: str,
    document_id: str | None = None,
    model: str | None = None,
    *,
    timeout: float = 30.0,  # noqa: ASYNC109 - between two events, not for the whole
) -> str:
    """Write a concise executive summary of a text; the summary is the job's output.

    Args:
        text: The document.
        document_id: The caller's name for it, kept in the run's metadata.
        model: The model; None means `AQUILA_MODEL`, else the client's default.
        timeout: Seconds to wait for each event.

    Raises:
        AquilaError: The run failed, or was silent for too long.
    """
    job = current()
    metadata = {"job_id": job.id} if document_id is None else {"job_id": job.id, "document_id": document_id}
    stream = aquila.stream(
        f"Summarise the following:\n\n{text}",
        model=model,
        instructions="Write a concise executive summary.",
        max_output_tokens=SUMMARY_TOKENS,
        temperature=0.0,
        metadata=metadata,
        retry=RETRY,
    )
    response = await collect(stream, timeout=timeout)
    logger.info("summary_generated job_id=%s document_id=%s", job.id, document_id)
    return response.text
