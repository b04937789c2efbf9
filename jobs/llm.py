"""Actors that come with the package: prompts, summaries, batches and transcripts, durable and live."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import aquila
from aquila.errors import ConfigError
from aquila.options import Options
from aquila.settings import read_settings
from jobs.actors import actor
from jobs.asking import ask
from jobs.batch import Batch
from jobs.context import current
from jobs.registry import is_seconds
from jobs.summary import Summariser
from jobs.transcription import MAX_BYTES, Transcriber

logger = logging.getLogger("jobs")

#: What a summary is asked for with.
INSTRUCTIONS = "Write a concise executive summary."
#: Tokens a summary may have.
SUMMARY_TOKENS = 200
#: Tokens of text in a prompt of a summary, and prompts at the same time.
CHUNK_TOKENS, CHUNKS_AT_ONCE = 12_000, 4
#: The same where the model on this machine does it: its context is small, and it reads two prompts no faster than one.
LOCAL_CHUNK_TOKENS, LOCAL_CHUNKS_AT_ONCE = 2_000, 1


@actor(queue_name="llm", max_attempts=5, cassette="jobs/stream_prompt")
async def stream_prompt(
    prompt: str | None = None,
    model: str | None = None,
    *,
    instructions: str | None = None,
    messages: Sequence[dict[str, Any]] | None = None,
    temperature: float | None = None,
    max_output_tokens: int | None = None,
    reasoning: str | dict[str, Any] | None = None,
    endpoint: Literal["auto", "chat", "responses"] | None = None,
    background: bool | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - between two events, not for the whole
) -> str:
    """Stream a prompt's answer; the text is the job's output, its chunks are the job's live stream.

    Args:
        prompt: The user's text; None when `messages` says it all.
        model: The model; None means `AQUILA_MODEL`, else the client's default.
        instructions: The system text.
        messages: The conversation so far; the prompt is appended to it.
        temperature: The sampling temperature; None leaves it to the provider.
        max_output_tokens: The longest answer, in tokens.
        reasoning: How much the model thinks: `low`, `high`, ..., or the provider's own object.
        endpoint: The API; None means `AQUILA_ENDPOINT`, else `auto`.
        background: True lets the provider go on when the worker dies; the next attempt reads that answer. Responses only.
        timeout: Seconds to wait for each event.

    Raises:
        AquilaError: The run failed, or was silent for too long.
        ConfigError: A value cannot be used.
    """
    _check_timeout(timeout)
    options: Options = {
        "model": model,
        "instructions": instructions,
        "messages": messages,
        "temperature": temperature,
        "max_output_tokens": max_output_tokens,
        "reasoning": reasoning,
        "endpoint": endpoint,
        "background": background,
    }
    response = await ask(prompt, options, timeout=timeout)
    logger.info(
        "prompt_streamed job_id=%s model=%s finish_reason=%s",
        current().id,
        response.model,
        response.finish_reason,
    )
    return response.text


@actor(queue_name="llm", max_attempts=5, cassette="jobs/generate_summary")
async def generate_summary(
    text: str,
    document_id: str | None = None,
    model: str | None = None,
    *,
    instructions: str | None = None,
    max_output_tokens: int = SUMMARY_TOKENS,
    chunk_tokens: int | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - between two events, not for the whole
) -> str:
    """Write a concise executive summary of a text; the summary is the job's output, its chunks are the live stream.

    A text that is too long for one prompt is read in parts, each of them once for the job.

    Args:
        text: The document.
        document_id: The caller's name for it, kept in the run's metadata.
        model: The model; None means `AQUILA_MODEL`, else the client's default.
        instructions: The system text, for the parts as well; None asks for a concise executive summary.
        max_output_tokens: The longest summary, in tokens, also of a part.
        chunk_tokens: Tokens of text in one prompt, four bytes each; None means 12,000, and 2,000 for the local model.
        timeout: Seconds to wait for each event.

    Raises:
        AquilaError: The run failed, or was silent for too long.
        ConfigError: A value cannot be used.
    """
    _check_timeout(timeout)
    usual, at_once = _chunking(model)
    most = usual if chunk_tokens is None else chunk_tokens
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ConfigError(f"chunk_tokens={chunk_tokens!r} must be a whole number from 1, or None")
    options: Options = {
        "model": model,
        "instructions": INSTRUCTIONS if instructions is None else instructions,
        "max_output_tokens": max_output_tokens,
        "temperature": 0.0,
        "metadata": {} if document_id is None else {"document_id": document_id},
    }
    summariser = Summariser(partial(ask, options=options, timeout=timeout), most, at_once=at_once)
    summary = await summariser.summarise(text)
    logger.info(
        "summary_generated job_id=%s document_id=%s model=%s chunks=%d finish_reason=%s",
        current().id,
        document_id,
        summary.response.model,
        summary.chunks,
        summary.response.finish_reason,
    )
    return summary.response.text


@actor(queue_name="llm", max_attempts=5, cassette="jobs/run_batch")
async def run_batch(
    prompts: Sequence[str | Sequence[dict[str, Any]]],
    *,
    model: str | None = None,
    instructions: str | None = None,
    temperature: float | None = None,
    max_output_tokens: int | None = None,
    concurrency: int = 10,
    stop_on_error: bool = False,
    timeout: float = 30.0,  # noqa: ASYNC109 - between two events, not for the whole
) -> list[dict[str, Any]]:
    """Answer many prompts; another attempt asks only what is not answered yet.

    Args:
        prompts: Texts, or lists of messages.
        model: The model; None means `AQUILA_MODEL`, else the client's default.
        instructions: The system text.
        temperature: The sampling temperature; None leaves it to the provider.
        max_output_tokens: The longest answer, in tokens.
        concurrency: How many are asked at the same time.
        stop_on_error: Whether the first prompt that fails ends the attempt.
        timeout: Seconds to wait for each event of an answer.

    Returns:
        For each prompt, in their order, `text`, `finish_reason`, `usage` and `error`, of which the last is None or has
        `type` and `message`.

    Raises:
        AquilaError: Every prompt would fail, none was answered, or one failed and `stop_on_error` is set.
        ConfigError: A value cannot be used.
    """
    _check_timeout(timeout)
    options: Options = {
        "model": model,
        "instructions": instructions,
        "temperature": temperature,
        "max_output_tokens": max_output_tokens,
    }
    batch = Batch(
        partial(ask, options=options, timeout=timeout),
        prompts,
        concurrency=concurrency,
        stop_on_error=stop_on_error,
        plan=lambda prompt: aquila.stream(prompt, **options),
    )
    answers = await batch.run()
    counts = batch.counts
    logger.info(
        "batch_answered job_id=%s prompts=%d failed=%d", current().id, counts["total"], counts["failed"]
    )
    return answers


@actor(queue_name="llm", max_attempts=5, cassette="jobs/transcribe")
async def transcribe(
    audio: str,
    model: str | None = None,
    *,
    language: str | None = None,
    prompt: str | None = None,
    response_format: Literal["json", "verbose_json", "diarized_json"] | None = None,
    extra_body: dict[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
    timeout: float = 300.0,  # noqa: ASYNC109 - between two events, not for the whole
) -> str | dict[str, Any]:
    """Write down what is said in a sound file; the text is the job's output, and comes live where the model streams.

    Args:
        audio: The file's path, as the worker sees it.
        model: The model; None means the client's default for sounds.
        language: The language spoken, as `en`; None lets the model find out.
        prompt: Names and words that may occur, or the text before.
        response_format: `verbose_json` for pieces with times, `diarized_json` for pieces with speakers, as far as the
            model can; None and `json` for the text alone.
        extra_body: Further fields of the form.
        max_bytes: The largest file; OpenAI takes 25 MB.
        timeout: Seconds to wait for each event. A model that does not stream gives one, at its end.

    Returns:
        The text; with pieces asked for, `text` and `segments`.

    Raises:
        AquilaError: The run failed, or was silent for too long.
        ConfigError: The file cannot be read or is too large, or a value cannot be used.
    """
    _check_timeout(timeout)
    scribe = Transcriber(response_format=response_format, max_bytes=max_bytes)
    response = await scribe.transcribe(
        audio, model=model, language=language, prompt=prompt, extra_body=extra_body, timeout=timeout
    )
    logger.info(
        "sound_transcribed job_id=%s characters=%d segments=%d",
        current().id,
        len(response.text),
        len(scribe.segments),
    )
    return {"text": response.text, "segments": scribe.segments} if scribe.has_segments else response.text


def _check_timeout(timeout: object) -> None:
    # None waits for ever, as it does in aquila.
    if timeout is not None and not (is_seconds(timeout) and timeout):
        raise ConfigError(f"timeout={timeout!r} must be seconds above zero")


def _chunking(model: str | None) -> tuple[int, int]:
    if (model or read_settings().model) == "local":
        return LOCAL_CHUNK_TOKENS, LOCAL_CHUNKS_AT_ONCE
    return CHUNK_TOKENS, CHUNKS_AT_ONCE
