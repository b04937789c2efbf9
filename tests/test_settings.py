from __future__ import annotations

from pathlib import Path

import pytest

from aquila.errors import ConfigError
from aquila.settings import ensure_state_dir, read_settings


def test_empty_means_unset() -> None:
    settings = read_settings(
        {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "AQUILA_MODEL": "", "AQUILA_CASSETTES": ""}
    )

    assert (settings.api_key, settings.base_url) == (None, "https://api.openai.com/v1")
    assert (settings.model, settings.cassettes) == ("gpt-4o-mini", None)


def test_the_state_folder_stands_beside_the_nearest_project_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)

    settings = read_settings({}, cwd=deep)

    assert settings.state_dir == tmp_path / ".aquila"
    assert settings.cassette_dir == tmp_path / "cassettes"


def test_an_unknown_cassette_mode_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="AQUILA_CASSETTES='replay' is unknown; use one of off, none, once"):
        read_settings({"AQUILA_CASSETTES": "replay"})


@pytest.mark.parametrize("name", ["CI", "PYTEST_VERSION"])
def test_a_test_run_is_recognised(name: str) -> None:
    assert read_settings({name: "1"}).testing


def test_the_state_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert ensure_state_dir(tmp_path / "x" / "y").stat().st_mode & 0o777 == 0o700


def test_a_state_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        ConfigError, match=r"state folder .*file/x cannot be made \(Not a directory\); set AQUILA_STATE"
    ):
        ensure_state_dir(tmp_path / "file" / "x")


def test_a_new_state_folder_stays_out_of_git_and_an_old_one_is_left_alone(tmp_path: Path) -> None:
    ensure_state_dir(tmp_path / "new")
    ensure_state_dir(tmp_path)

    assert (tmp_path / "new" / ".gitignore").read_text() == "*\n"
    assert not (tmp_path / ".gitignore").exists()


def test_an_unknown_endpoint_is_told_by_the_variable_s_name() -> None:
    with pytest.raises(
        ConfigError, match="AQUILA_ENDPOINT='zz' is unknown; use one of auto, chat, responses"
    ):
        read_settings({"AQUILA_ENDPOINT": "zz"})
