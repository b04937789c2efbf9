from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aquila.tools.docstring import Docs, read_docstring


def test_sections_on_arguments_and_exceptions_leave_the_description() -> None:
    docs = read_docstring("""Find a flight.

        Only direct ones.

        Args:
            origin (str): Where from: an airport.
            to (dict[str, tuple(int)], optional): Where
                to.

                Also a city.
            *rest: More.

        Returns:
            A list.

        Raises:
            ValueError: No.
    """)

    assert docs.description == "Find a flight.\n\nOnly direct ones.\n\nReturns:\n    A list."
    assert docs.arguments == {
        "origin": "Where from: an airport.",
        "to": "Where to. Also a city.",
        "rest": "More.",
    }


def test_no_docstring_says_nothing() -> None:
    assert read_docstring(None) == Docs()


@given(st.text(alphabet="Args: \n\tx(y)*"))
def test_no_docstring_is_too_odd(text: str) -> None:
    assert isinstance(read_docstring(text), Docs)
