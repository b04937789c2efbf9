"""Secrets out of what is shown: whole documents are cleaned before they are compared, as a comparison cuts them up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aquila.cassette.body.jsonbody import leaves, parse
from aquila.cassette.secrets.key_shapes import KEY_SHAPES
from aquila.cassette.secrets.leaks import Leak, find_leak, octets
from aquila.cassette.secrets.redact import REDACTED
from aquila.cassette.secrets.secret import Secret
from aquila.transport.base import Request


class Hider:
    """Puts `[redacted]` in the place of known secrets and of what looks like a key.

    Args:
        secrets: The values that are known.
        allow: Texts that are no secrets, although they look like it.
    """

    def __init__(self, secrets: Iterable[Secret], allow: Iterable[str] = ()) -> None:
        # The longest first: a shorter one may be a part of it.
        self._secrets = tuple(sorted(secrets, key=lambda secret: -len(secret.value)))
        self._allow = tuple(allow)

    def leak(self, text: str) -> Leak | None:
        """Give the secret that is in a text."""
        return find_leak([("text", octets(text))], self._secrets, self._allow)

    def text(self, text: str) -> str:
        """Give a text without its secrets. One that holds them in another form than plain goes as a whole."""
        if self.leak(text) is None:
            return text
        for secret in self._secrets:
            text = text.replace(secret.value, REDACTED) if secret.value not in self._allow else text
        data = octets(text)
        for shape in KEY_SHAPES:
            for start, end in reversed([*shape.spans(data)]):
                data = data[:start] + REDACTED.encode() + data[end:]
        clean = data.decode(errors="surrogateescape")
        leak = self.leak(clean)
        return clean if leak is None else f"[holds {leak.kind}]"

    def request(self, request: Request) -> Request:
        """Give a request without the secrets of its URL and its body."""
        return replace(request, url=self.text(request.url), body=self._body(request.body))

    def _body(self, body: bytes) -> bytes:
        document = parse(body)
        # What is nested so deeply that it can be read and not written again is a text.
        with suppress(RecursionError):
            if document is not None:
                return body if self._is_clean(document) else json.dumps(self._value(document)).encode()
        return octets(self.text(body.decode(errors="surrogateescape")))

    def _is_clean(self, document: Any) -> bool:
        paths = "\n".join(f"{path}\n{leaf}" for path, leaf in leaves(document))
        return self.leak(paths) is None

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(name): self._value(child) for name, child in value.items()}
        if isinstance(value, list):
            return list(map(self._value, value))
        return self.text(value) if isinstance(value, str) else value
