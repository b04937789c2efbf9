"""One value of a cassette file, read as what it must be, or refused with the line it stands on and the remedy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from aquila.cassette.file.yamlplace import Path, line_of
from aquila.errors import CassetteError

#: What helps against most that can be wrong with a file.
REMEDY = "correct it, restore the file from git or record it again"
#: A hundred days: a longer time is a mistake, and clocks cannot sleep for any number.
LATEST_MS = 100 * 24 * 60 * 60 * 1000
#: Python refuses to write numbers that are somewhat longer. Absurd ones are read: a provider may have sent them.
_MOST_DIGITS = 4000
_LARGEST = 10**_MOST_DIGITS


@dataclass(frozen=True, slots=True)
class Field:
    """A value of the file and where it stands."""

    name: str
    text: str = field(repr=False)
    path: Path
    value: Any

    @property
    def place(self) -> str:
        """The path in words; interactions count from 1."""
        match self.path:
            case ():
                return "the file"
            case ("interactions", int(index), *rest):
                within = ".".join(map(str, rest))
                return f"interaction {index + 1}, {within}" if within else f"interaction {index + 1}"
        return ".".join(map(str, self.path))

    def refuse(self, problem: str, remedy: str = REMEDY, *, line: int | None = None) -> NoReturn:
        """Say what is wrong with it.

        Raises:
            CassetteError: Always.
        """
        line = line or line_of(self.text, self.path)
        raise CassetteError(f"{self.name}, line {line}: {self.place} {problem}; {remedy}")

    def child(self, key: str) -> Field:
        """Give a value of a mapping, which must be there."""
        if key not in self.mapping():
            self.refuse(f"has no `{key}`")
        return self.optional(key)

    def optional(self, key: str) -> Field:
        """Give a value of a mapping; None in it if it is not there."""
        return replace(self, path=(*self.path, key), value=self.mapping().get(key))

    def mapping(self) -> dict[str, Any]:
        """Read it as a mapping."""
        if not isinstance(self.value, dict):
            self.refuse("is not a mapping")
        return self.value

    def string(self) -> str:
        """Read it as a text."""
        if not isinstance(self.value, str):
            self.refuse("is not a text")
        return self.value

    def integer(self) -> int:
        """Read it as a whole number."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.refuse("is not a whole number")
        if abs(self.value) >= _LARGEST:
            self.refuse(f"has more than {_MOST_DIGITS:,} digits")
        return self.value

    def milliseconds(self) -> int:
        """Read it as a time since the request was sent."""
        if not 0 <= self.integer() <= LATEST_MS:
            self.refuse(f"is not a time between 0 and {LATEST_MS:,} milliseconds")
        return self.integer()

    def seconds(self) -> float:
        """Read it as a time limit."""
        if not 0 <= self.value <= LATEST_MS:
            self.refuse(f"is not a time between 0 and {LATEST_MS:,} seconds")
        return float(self.value)

    def amount(self) -> Decimal:
        """Read it as an amount of money, exactly as it is written."""
        number = self.integer() if isinstance(self.value, int) else self.value
        try:
            amount = Decimal(str(number))
        except InvalidOperation:
            self.refuse("is not an amount")
        if not amount.is_finite() or amount < 0:
            self.refuse("is not an amount")
        if max(abs(int(amount.as_tuple().exponent)), abs(amount.adjusted())) > _MOST_DIGITS:
            self.refuse(f"has more than {_MOST_DIGITS:,} digits when written out")
        return amount

    def counts(self) -> dict[str, int]:
        """Read it as a mapping to whole numbers."""
        return {name: self.child(name).integer() for name in self.mapping()}

    def octets(self) -> bytes:
        """Read it as a body."""
        if self.value is None:
            return b""
        if isinstance(self.value, str):
            return self.value.encode(errors="surrogatepass")
        if not isinstance(self.value, bytes):
            self.refuse("is neither text nor bytes")
        return self.value

    def headers(self) -> dict[str, str]:
        """Read it as headers, with lower-case names; a list is joined as HTTP joins it."""
        values = {} if self.value is None else self.mapping()
        return {str(name).lower(): self._header(name) for name in values}

    def _header(self, name: str) -> str:
        header = self.optional(name)
        values = header.value if isinstance(header.value, list) else [header.value]
        for value in values:
            if value is None or isinstance(value, bool | dict | list):
                header.refuse("is not a text", "put it in quotes")
        return ", ".join(
            value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values
        )
