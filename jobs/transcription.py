"""A sound file as text: read where the worker is, sent, and heard in the job's live stream while it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyio import to_thread

import aquila
from aquila.errors import ConfigError
from aquila.events import Event, Status
from aquila.request_options import RequestOptions
from aquila.response import Response
from aquila.transcription import DEFAULT_MODEL
from jobs.asking import RETRY
from jobs.collecting import collect

#: Bytes that a sound may have: what OpenAI takes.
MAX_BYTES = 25 * 1024 * 1024
#: Formats with pieces, and the plain one. Subtitles come as a text that cannot be streamed.
FORMATS = ("json", "verbose_json", "diarized_json")


class Transcriber:
    """Writes down one sound in the running job."""

    def __init__(self, *, response_format: str | None = None, max_bytes: int = MAX_BYTES) -> None:
        """Prepare it.

        Args:
            response_format: One of `FORMATS`; None leaves it to the provider.
            max_bytes: The largest file.

        Raises:
            ConfigError: The format is none of these, or the size is no number of bytes.
        """
        if response_format is not None and response_format not in FORMATS:
            raise ConfigError(f"response_format={response_format!r} must be one of {', '.join(FORMATS)}")
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise ConfigError(f"max_bytes={max_bytes!r} must be a whole number from 1")
        self._format = response_format
        self._max_bytes = max_bytes
        #: Pieces of the text with their times or speakers, in the provider's own shape.
        self.segments: list[dict[str, Any]] = []

    @property
    def has_segments(self) -> bool:
        """Whether pieces were asked for."""
        return self._format not in {None, "json"}

    async def transcribe(
        self,
        audio: str,
        *,
        model: str | None,
        language: str | None,
        prompt: str | None,
        extra_body: Mapping[str, Any] | None,
        timeout: float,  # noqa: ASYNC109 - between two events, not for the whole
    ) -> Response:
        """Send a file and read what was said in it.

        Args:
            audio: The file's path.
            model: The model; None means the client's default for sounds.
            language: The language spoken; None lets the model find out.
            prompt: Names and words that may occur.
            extra_body: Further fields of the form.
            timeout: Seconds to wait for each event.

        Raises:
            ConfigError: The file cannot be read or is too large, or an argument is none.
            AquilaError: The run failed, or was silent for too long.
        """
        if not isinstance(audio, str) or not audio:
            raise ConfigError(f"audio={audio!r} must be the path of a sound file, as the worker sees it")
        if extra_body is not None and not isinstance(extra_body, Mapping):
            raise ConfigError(f"extra_body={extra_body!r} must be a dict of the form's fields")
        sound = await to_thread.run_sync(_read, audio, self._max_bytes)
        travel: RequestOptions = {"retry": RETRY}
        stream = aquila.stream_transcription(
            sound,
            model=model or DEFAULT_MODEL,
            language=language,
            prompt=prompt,
            filename=Path(audio).name,
            extra_body=_form(self._format, extra_body),
            sink=aquila.sink.callback(self._note),
            **travel,
        )
        return await collect(stream, timeout=timeout)

    def _note(self, event: Event) -> None:
        if isinstance(event, Status) and event.name == "segment":
            self.segments.append(dict(event.data))


def _form(response_format: str | None, extra_body: Mapping[str, Any] | None) -> dict[str, Any]:
    asked = {} if response_format is None else {"response_format": response_format}
    return {**asked, **(extra_body or {})}


def _read(audio: str, most: int) -> bytes:
    try:
        with Path(audio).open("rb") as file:
            sound = file.read(most + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"audio: {audio[:200]!r} cannot be read where the worker is ({why}); "
            "give a path that is the same on every machine with workers"
        ) from error
    if len(sound) > most:
        raise ConfigError(
            f"audio: {audio[:200]!r} has more than max_bytes={most:,}; send it in pieces, or compressed"
        )
    return sound
