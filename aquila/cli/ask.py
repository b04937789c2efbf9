"""`aquila ask` and `aquila stream`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias

import anyio
import msgspec
import typer

from aquila.client import stream as start_stream
from aquila.events import Chunk, Done, Event
from aquila.response import Response
from aquila.sink.printable import printable
from aquila.streams import Stream

PromptArgument: TypeAlias = Annotated[
    str | None, typer.Argument(help="What to ask; text on stdin is put behind it. '-' reads stdin alone.")
]
Model: TypeAlias = Annotated[
    str | None,
    typer.Option("--model", "-m", help="The model; 'local' is the one on this machine and needs no key."),
]
Instructions: TypeAlias = Annotated[str | None, typer.Option("--instructions", "-i", help="The system text.")]
BaseUrl: TypeAlias = Annotated[str | None, typer.Option(help="Where the API is. Default: OPENAI_BASE_URL.")]
Temperature: TypeAlias = Annotated[float | None, typer.Option(help="0 is the least random.")]
MaxOutputTokens: TypeAlias = Annotated[int | None, typer.Option(help="The longest answer, in tokens.")]
Timeout: TypeAlias = Annotated[float | None, typer.Option(help="Seconds for everything.")]
Cassette: TypeAlias = Annotated[
    str | None, typer.Option(help="A cassette's name; AQUILA_CASSETTES says whether it records or replays.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def _command(show: Callable[[Stream, bool], Awaitable[None]], what: str) -> Callable[..., None]:
    """Make a command that asks a model; `show` prints what comes, as JSON if its second argument says so."""

    def command(
        prompt: PromptArgument = None,
        model: Model = None,
        instructions: Instructions = None,
        base_url: BaseUrl = None,
        temperature: Temperature = None,
        max_output_tokens: MaxOutputTokens = None,
        timeout: Timeout = None,
        cassette: Cassette = None,
        as_json: Json = False,
    ) -> None:
        async def main() -> None:
            stream = start_stream(
                _read_prompt(prompt),
                model=model,
                instructions=instructions,
                base_url=base_url,
                temperature=temperature,
                max_output_tokens=max_output_tokens,
                timeout=timeout,
                cassette=cassette,
            )
            await show(stream, as_json)

        anyio.run(main)

    command.__doc__ = what
    return command


async def _show_answer(stream: Stream, as_json: bool) -> None:
    response = await stream
    typer.echo(_dumps(response.to_dict()) if as_json else _shown(response.text))
    _note_cut(response)


async def _show_events(stream: Stream, as_json: bool) -> None:
    async with stream:
        async for event in stream:
            _print_event(event, as_json=as_json)


ask = _command(_show_answer, "Ask a model and print its whole answer.")
stream = _command(
    _show_events, "Ask a model and print its answer while it comes; with --json, one event a line."
)


def _read_prompt(prompt: str | None) -> str:
    """Join the argument and what is piped in.

    Raises:
        typer.BadParameter: There is neither.
    """
    if prompt is not None and prompt != "-" and not _is_piped():
        return _checked(prompt)
    if prompt is None and (sys.stdin is None or sys.stdin.isatty()):
        raise typer.BadParameter("give a prompt, or pipe one in")
    text = "\n\n".join(part for part in (prompt if prompt != "-" else None, _read_stdin()) if part)
    if not text:
        raise typer.BadParameter("the prompt is empty; give one, or pipe one in")
    return _checked(text)


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").strip() if sys.stdin is not None else ""
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"stdin is no UTF-8 text (byte {error.start:,}); convert it first") from None


def _checked(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise typer.BadParameter("the prompt is no UTF-8 text; convert it first") from None
    return text


def _is_piped() -> bool:
    # A terminal, /dev/null or a closed stdin has nothing to add; only a pipe or a file has.
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _print_event(event: Event, *, as_json: bool) -> None:
    if as_json:
        typer.echo(_dumps(event.to_dict()))
    elif isinstance(event, Chunk):
        typer.echo(_shown(event.text), nl=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    elif isinstance(event, Done):
        typer.echo()
        _note_cut(event.response)


def _shown(text: str) -> str:
    # A model must not be able to move the cursor, but a file gets exactly what it said.
    return printable(text) if sys.stdout is not None and sys.stdout.isatty() else text


def _note_cut(response: Response) -> None:
    if response.status == "incomplete":
        typer.echo(f"(the answer was cut: {response.finish_reason})", err=True)


def _dumps(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
