from __future__ import annotations

from pathlib import Path

import pytest

from aquila.errors import ConfigError
from jobs.settings import parse_queues, read_jobs_settings, sync_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://h/db", "postgresql+psycopg://h/db"),
        ("postgresql+asyncpg://h/db", "postgresql+psycopg://h/db"),
        ("sqlite+aiosqlite:///x.db", "sqlite:///x.db"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_every_spelling_leads_to_the_synchronous_driver(given: str, expected: str) -> None:
    assert sync_url(given) == expected


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no-url"])
def test_a_database_that_no_worker_could_share_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        sync_url(url)


def test_the_environment_fills_in_what_was_not_chosen(tmp_path: Path) -> None:
    settings = read_jobs_settings(environ={"AQUILA_STATE_DIR": str(tmp_path), "REDIS_URL": "redis://h"})

    assert settings.database_url == f"sqlite:///{tmp_path / 'aquila.db'}"
    assert settings.own_database
    assert settings.redis_url == "redis://h"
    assert settings.queues == {"default": 10, "llm": 10}
    assert settings.lease == 15.0


def test_our_own_names_win_and_an_empty_variable_is_unset() -> None:
    environ = {"AQUILA_DATABASE_URL": "sqlite:///a.db", "DATABASE_URL": "sqlite:///b.db"}
    environ |= {"AQUILA_REDIS_URL": "", "REDIS_URL": ""}

    settings = read_jobs_settings(environ=environ)

    assert settings.database_url == "sqlite:///a.db"
    assert not settings.own_database
    assert settings.redis_url is None


def test_a_schema_is_chosen_in_code_or_in_the_environment() -> None:
    environ = {"AQUILA_DATABASE_URL": "postgresql://h/db", "AQUILA_DATABASE_SCHEMA": "ours"}

    assert read_jobs_settings(environ=environ).schema == "ours"
    assert read_jobs_settings(schema="Mine_2", environ=environ).schema == "Mine_2"
    assert read_jobs_settings(environ={**environ, "AQUILA_DATABASE_SCHEMA": ""}).schema is None


@pytest.mark.parametrize("name", ["no spaces", 'a"; DROP', "2nd", "pg_own", "n" * 64, "ä", "a-b", 7])
def test_a_schema_that_cannot_be_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=r"AQUILA_DATABASE_SCHEMA\) may hold up to 63 letters"):
        read_jobs_settings(schema=name, environ={"DATABASE_URL": "postgresql://h/db"})


@pytest.mark.parametrize("environ", [{}, {"DATABASE_URL": "sqlite+aiosqlite:///a.db"}])
def test_a_schema_in_a_file_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"schema='ours' .*needs PostgreSQL, SQLite has no schemas"):
        read_jobs_settings(schema="ours", environ=environ)


def test_queues_are_read_as_the_command_line_writes_them() -> None:
    assert parse_queues("llm=3, default") == {"llm": 3, "default": 10}


@pytest.mark.parametrize("text", ["", "llm=many", "llm=0", "l l m=1", "llm.1=2"])
def test_queues_that_cannot_be_are_named(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_queues(text)


def test_a_queue_without_a_number_has_the_limit_that_was_declared_for_it() -> None:
    assert parse_queues("mail,llm,other=3", {"mail": 20, "other": 7}) == {"mail": 20, "llm": 10, "other": 3}
