"""Bodies with a value planted under a secret name, at some depth of objects, lists and texts of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from aquila.cassette.secrets.secret_names import SECRET_FIELDS

PLANTED = 'pl4nted-Secret/"quoted" \\ ü value\n'
HARMLESS = st.sampled_from(
    [
        "",
        "a",
        '"',
        "\\",
        '\\"',
        "\n",
        "ü🦅",
        "password",
        ': "',
        '","',
        "[redacted]",
        "token",
        "headers",
        "\\u0022",
    ]
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | HARMLESS | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | HARMLESS.map(lambda text: f"{text}x"), inner, max_size=3)
    ),
    max_leaves=6,
)
SPELLINGS = st.sampled_from(
    [str, str.upper, str.title, lambda name: name.replace("_", "-"), lambda name: name.replace("_", "")]
)
LAYOUTS = st.sampled_from([
    {"ensure_ascii": True},
    {"ensure_ascii": False},
    {"indent": 2},
    {"separators": (",", ":")},
])  # fmt: skip


@st.composite
def planting(draw: Any) -> Callable[[str], bytes]:
    """Give what writes a body with a value under a secret name, at some depth of objects, lists and texts of JSON."""
    name = draw(SPELLINGS)(draw(st.sampled_from(sorted(SECRET_FIELDS))))
    times = draw(st.sampled_from([0, 1, 3]))
    before, after = draw(DOCUMENTS), draw(DOCUMENTS)
    wraps = draw(st.lists(st.tuples(st.sampled_from("olt"), DOCUMENTS, LAYOUTS), max_size=5))
    outer = draw(LAYOUTS)

    def write(value: str) -> bytes:
        document: Any = {"a": before, name: [value] * times if times else value, "z": after}
        for kind, other, layout in wraps:
            if kind == "t":
                document = json.dumps(document, **layout)
            else:
                document = [other, document] if kind == "l" else {"b": other, "c": document}
        return json.dumps([document, after], **outer).encode()

    return write
