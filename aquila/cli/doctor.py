"""`aquila doctor`: what is installed, reachable and configured, in words."""

from __future__ import annotations

import os
import platform
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec

import anyio
import typer

from aquila import __version__, transport
from aquila.checks import Check
from aquila.endpoint import status_error
from aquila.errors import AquilaError, ConfigError
from aquila.local.model import installed_model
from aquila.scrub import scrub
from aquila.servers import make_server
from aquila.settings import DEFAULT_BASE_URL, Settings, read_settings

_EXTRAS = {
    "local": ("xllamacpp",),
    "cassettes": ("yaml", "vcr"),
    "jobs": ("dramatiq", "redis", "sqlalchemy", "alembic"),
    "web": ("starlette",),
    "metrics": ("prometheus_client",),
    "otel": ("opentelemetry",),
}
#: Seconds an API gets to show that it is there.
_SECONDS = 10.0
_SIGNS = {"ok": "ok     ", "off": "off    ", "problem": "PROBLEM"}


def doctor() -> None:
    """Say what is installed, reachable and configured; exit code 1 if something is wrong."""  # noqa: DOC501
    findings = [*_own_checks(), *_checks_of_others()]
    width = max(len(check.name) for check in findings)
    for check in findings:
        typer.echo(f"{_SIGNS[check.state]}  {check.name:<{width}}  {check.detail}")
        if check.remedy:
            typer.echo(f"{'':<{width + 11}}-> {check.remedy}")
    problems = sum(check.state == "problem" for check in findings)
    typer.echo(
        f"\n{problems} problem{'' if problems == 1 else 's'} found." if problems else "\nNo problem found."
    )
    if problems:
        raise typer.Exit(1)


def _own_checks() -> Iterator[Check]:
    yield Check(
        name="aquila", state="ok", detail=f"version {__version__} on Python {platform.python_version()}"
    )
    try:
        settings = read_settings()
    except ConfigError as error:
        yield Check(name="settings", state="problem", detail=str(error))
        return
    yield from _extras()
    yield _state_dir(settings)
    yield _api(settings)
    yield _local_model(settings)
    yield _cassettes(settings)


def _extras() -> Iterator[Check]:
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            yield Check(name=f"extra {extra}", state="off", detail=f"{', '.join(missing)} not installed",
                        remedy=f"pip install 'aquila-llm[{extra}]'")  # fmt: skip
        else:
            yield Check(name=f"extra {extra}", state="ok", detail="installed")


def _state_dir(settings: Settings) -> Check:
    name, path = "state folder", settings.state_dir
    # Looking must not make a folder where somebody only looks.
    nearest = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Check(name=name, state="problem", detail=f"{path} cannot be used: {nearest} is no folder to write to",
                     remedy="set AQUILA_STATE_DIR to a folder you may write to")  # fmt: skip
    return Check(
        name=name, state="ok", detail=str(path) if nearest == path else f"{path} is made at the first use"
    )


def _api(settings: Settings) -> Check:
    name = "API"
    if settings.api_key is None and settings.base_url == DEFAULT_BASE_URL:
        return Check(name=name, state="off", detail="no OPENAI_API_KEY; the model 'local' needs none",
                     remedy="set OPENAI_API_KEY, or OPENAI_BASE_URL for another server")  # fmt: skip
    try:
        anyio.run(_within, _SECONDS, _list_models, settings)
    except AquilaError as error:
        return Check(name=name, state="problem", detail=str(error))
    except TimeoutError:
        return Check(
            name=name, state="problem", detail=f"{settings.base_url} accepts connections and does not answer"
        )
    return Check(name=name, state="ok", detail=f"{settings.base_url} answers; model {settings.model}")


async def _within(seconds: float, check: Callable[[Settings], Awaitable[None]], settings: Settings) -> None:
    with anyio.fail_after(seconds):
        await check(settings)


async def _list_models(settings: Settings) -> None:
    # The list of models costs nothing and shows whether the key is good.
    destination = make_server(settings.model, {}, settings).destination
    request = destination.request("GET", "/models")
    response = await transport.openai_transport().send(request)
    try:
        body = b"".join([chunk async for chunk in response.chunks])
    finally:
        await response.aclose()
    if response.status >= 400:  # noqa: PLR2004 - the first error status
        raise scrub(status_error(response.status, body, url=request.url), destination.secrets)


def _local_model(settings: Settings) -> Check:
    try:
        path = installed_model(settings)
    except AquilaError as error:
        return Check(name="local model", state="off", detail=str(error))
    return Check(name="local model", state="ok", detail=str(path))


def _cassettes(settings: Settings) -> Check:
    count = sum(1 for _ in settings.cassette_dir.rglob("*.yaml")) if settings.cassette_dir.is_dir() else 0
    mode = settings.cassettes or ("none" if settings.testing else "off")
    return Check(name="cassettes", state="ok", detail=f"{count} in {settings.cassette_dir}, mode {mode}")


def _checks_of_others() -> Iterator[Check]:
    for entry_point in entry_points(group="aquila.checks"):
        try:
            checks: Callable[[], list[Check]] = entry_point.load()
            yield from checks()
        except ModuleNotFoundError as error:
            yield Check(name=entry_point.name, state="off", detail=f"{error.name} is not installed")
        except AquilaError as error:
            yield Check(name=entry_point.name, state="problem", detail=str(error))
