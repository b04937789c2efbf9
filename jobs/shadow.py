"""Notices a host's own top-level package called `jobs`: only one of the two can be imported."""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path


def our_package() -> Path:
    """Give the folder this package is in."""
    return Path(__file__).resolve().parent


def foreign_package(folder: Path) -> Path | None:
    """Give the package or module called `jobs` in a folder, if it is another one than ours."""
    spec = PathFinder.find_spec("jobs", [str(folder)])
    if spec is None:
        return None
    found = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    if found is None:
        return None
    place = Path(found).resolve()
    place = place.parent if place.name == "__init__.py" else place
    return None if place == our_package() else place
