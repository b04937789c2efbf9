"""Readable and safe cassettes for plain vcrpy and pytest-recording, which go on with their patching and their tests.

The serializer writes YAML in our style: a line of a body is a line of the file. The persister writes a file whole or not
at all, always in UTF-8, and never takes a broken file for an empty one. What they write, plain vcrpy reads back byte for
byte, but for two things: JSON in a request is laid out anew, which vcrpy's `body` matcher does not see (`raw_body` does),
and headers that carry credentials, such as `authorization` and `set-cookie`, have `[redacted]` for values. vcrpy compares
no headers unless `match_on` has them. Bodies and URLs are not redacted, because vcrpy compares them: that is for its own
`filter_query_parameters`, `filter_post_data_parameters` and `before_record` hooks.

Example:
    ```python
    my_vcr = vcr.VCR(serializer="aquila")
    my_vcr.register_serializer("aquila", aquila.cassette.vcr.serializer)
    my_vcr.register_persister(aquila.cassette.vcr.persister)


    def pytest_recording_configure(config, vcr):  # in conftest.py, for pytest-recording
        aquila.cassette.vcr.configure(vcr)
    ```
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aquila.cassette.file.disk import make_folder, write
from aquila.cassette.file.format import assemble
from aquila.cassette.file.yaml_library import yaml
from aquila.cassette.file.yamltext import dump_item, load_document
from aquila.cassette.opened import OpenedByHand, note_opened
from aquila.cassette.vcr_headers import without_credentials
from aquila.cassette.vcr_style import plain, styled
from aquila.errors import CassetteError, ConfigError

_NAME = "the cassette"
_REMEDY = "restore it from git, or delete it to record it again"


def serialize(cassette_dict: Mapping[str, Any]) -> str:
    """Write a cassette as YAML for people who review it, without the credentials of its headers.

    Secrets in bodies and in URLs stay, as vcrpy finds interactions by them; keep them out with vcrpy's own filters.

    Args:
        cassette_dict: `version` and `interactions`, as vcrpy hands them over.

    Raises:
        CassetteError: It holds Python objects that cannot be read back safely.
    """
    items = cassette_dict.get("interactions", ())
    more = {name: value for name, value in cassette_dict.items() if name not in {"version", "interactions"}}
    try:
        text = assemble(dump_item(styled(without_credentials(plain(item)))) for item in items)
        return text + (yaml.safe_dump(plain(more), sort_keys=False, allow_unicode=True) if more else "")
    except yaml.representer.RepresenterError as error:
        raise CassetteError(
            f"{_NAME} was not saved: it holds a Python object, {type(error.args[-1]).__name__}, that no reader gives "
            "back; keep to texts, bytes, numbers, lists and mappings in before_record hooks"
        ) from error


def deserialize(text: str) -> dict[str, Any]:
    """Read a cassette: ours, vcrpy's, or one with the tags of old vcrpy.

    Args:
        text: The file.

    Raises:
        CassetteError: It is no cassette; names the line or the field.
    """
    document = load_document(text, _NAME)
    interactions = document.get("interactions") if isinstance(document, dict) else None
    if not isinstance(interactions, list):
        raise CassetteError(f"{_NAME}: it has no list of `interactions`; {_REMEDY}")
    return {**document, "interactions": interactions}


#: For `my_vcr.register_serializer("aquila", serializer)`.
serializer = SimpleNamespace(serialize=serialize, deserialize=deserialize)


class Persister:
    """Keeps cassettes in files, for `my_vcr.register_persister`.

    Args:
        extra: Further cassettes that are read beside each, as pytest-recording has them, and never written.
    """

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        self._extra = extra

    def load_cassette(self, cassette_path: str | Path, serializer: Any) -> tuple[Any, ...]:
        """Read a cassette: requests, responses and, if there are any, its metadata.

        Args:
            cassette_path: The file.
            serializer: Any serializer of vcrpy.

        Raises:
            CassetteNotFoundError: vcrpy's word for a missing file.
            CassetteError: The file cannot be read, or it is broken.
        """
        from vcr.persisters.filesystem import CassetteNotFoundError  # noqa: PLC0415 - it takes 0.4 s

        paths = dict.fromkeys(map(str, (cassette_path, *self._extra)))
        loaded = [found for path in paths if (found := _load(Path(path), serializer)) is not None]
        if not loaded:
            raise CassetteNotFoundError(f"cassette {cassette_path} does not exist")
        if len(loaded) == 1:
            return loaded[0]
        requests, responses = ([item for found in loaded for item in found[part]] for part in (0, 1))
        return requests, responses

    def save_cassette(
        self, cassette_path: str | Path, cassette_dict: Mapping[str, Any], serializer: Any
    ) -> None:
        """Replace a cassette; readers see the old file or the new one, and a failure leaves the old one.

        Args:
            cassette_path: The file; its folder is made.
            cassette_dict: vcrpy's requests and responses.
            serializer: Any serializer of vcrpy.

        Raises:
            CassetteError: The file cannot be written.
        """
        from vcr.serialize import serialize as serialize_cassette  # noqa: PLC0415 - it takes 0.4 s

        path = Path(cassette_path)
        # vcrpy turns the bodies of what it is given into texts, and the cassette may still be played.
        text = serialize_cassette(copy.deepcopy(dict(cassette_dict)), serializer)
        make_folder(path)
        write(path, text)
        # There was nothing to load of a new one.
        note_opened(OpenedByHand(path))


#: For `my_vcr.register_persister(persister)`.
persister = Persister()


def configure(my_vcr: Any) -> None:
    """Give serializer and persister to a VCR, in the place of its own.

    The serializer answers to `aquila` and to `yaml`, so that files keep their suffix. For the hook
    `pytest_recording_configure`, whose further cassettes (`@pytest.mark.vcr("other.yaml")`) go on being read.

    Args:
        my_vcr: The `vcr.VCR`.

    Raises:
        ConfigError: It is none.
    """
    if not hasattr(my_vcr, "register_serializer"):
        raise ConfigError(f"{type(my_vcr).__name__} is no vcr.VCR; give the one whose cassettes are meant")
    for name in ("aquila", "yaml"):
        my_vcr.register_serializer(name, serializer)
    extra = getattr(my_vcr.persister, "extra_paths", ())
    my_vcr.register_persister(Persister(tuple(extra)))


def _load(path: Path, serializer: Any) -> tuple[Any, ...] | None:
    from vcr.serialize import deserialize as deserialize_cassette  # noqa: PLC0415 - it takes 0.4 s

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CassetteError(f"cassette {path} is not UTF-8; {_REMEDY}") from error
    except OSError as error:
        raise CassetteError(f"cassette {path} cannot be read ({error.strerror}); {_REMEDY}") from error
    if not text.strip():
        raise CassetteError(f"cassette {path} is empty; {_REMEDY}")
    try:
        found: tuple[Any, ...] = deserialize_cassette(text, serializer)
    except CassetteError as error:
        raise CassetteError(f"cassette {path}{str(error).removeprefix(_NAME)}") from error
    # Nobody is to take it for one that no test uses.
    note_opened(OpenedByHand(path))
    return found
