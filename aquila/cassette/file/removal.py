"""Interactions taken out of a file. Those that stay keep their bytes: a review shows what went and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.parse import decode, load
from aquila.cassette.file.yaml_library import yaml
from aquila.cassette.file.yamlplace import item_lines
from aquila.cassette.interaction import Interaction
from aquila.errors import CassetteError


def without(data: bytes, name: str, positions: Collection[int]) -> bytes:
    """Give a file without some of its interactions.

    Args:
        data: The file's bytes.
        name: The file's name, for errors.
        positions: The interactions to take out, from 0.

    Raises:
        CassetteError: The file is broken.
    """
    before = load(data, name)
    kept = [item for number, item in enumerate(before) if number not in positions]
    if kept:
        shorter = _cut_out(data, name, positions)
        if shorter is not None and _same(shorter, name, kept):
            return shorter
    # Interactions that share lines cannot be cut apart; they are written anew.
    return assemble(map(render, kept)).encode()


def _cut_out(data: bytes, name: str, positions: Collection[int]) -> bytes | None:
    text = decode(data, name)
    try:
        places = item_lines(text)
    except (yaml.YAMLError, RecursionError):
        return None
    if places is None:
        return None
    gone = {line for number in positions if number < len(places) for line in range(*places[number])}
    lines = text.split("\n")
    return "\n".join(line for number, line in enumerate(lines) if number not in gone).encode()


def _same(data: bytes, name: str, kept: Iterable[Interaction]) -> bool:
    try:
        found = load(data, name)
    except CassetteError:
        return False
    return [replace(item, document=None) for item in found] == [replace(item, document=None) for item in kept]
