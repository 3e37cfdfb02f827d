"""Parameters of requests: each is declared once, and by that read, refused in words, and described."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Generic, TypeVar

from pyrtr.logs import printable
from pyrtr.payload.origin import Network
from pyrtr.payload.values import MAX_ASN
from pyrtr.web.api.errors import ProblemError

if TYPE_CHECKING:  # the lookup process and the tools read parameters, too, and do without HTTP
    from fastapi import Request

# What is told of a value that is refused.
_TOLD = 80
ASN_TEXT = re.compile(r"(?:AS)?([0-9]{1,10})", re.IGNORECASE | re.ASCII)
# No netmask, and no zone id.
_PREFIX = re.compile(r"([0-9a-f:.]{2,45})(?:/([0-9]{1,3}))?", re.IGNORECASE | re.ASCII)
_LEADING_ZERO = re.compile(r"\b0[0-9]+\.|\.0[0-9]", re.ASCII)
_NUMBER = re.compile("[0-9]{1,10}", re.ASCII)

Value = TypeVar("Value")
Read = TypeVar("Read", covariant=True)
Choice = TypeVar("Choice", bound=StrEnum)


class _RefusedError(Exception):
    """A value can't be used; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Parameter(Generic[Read]):
    """One of them.

    Attributes:
        name: in the query, or in the path.
        description: of what it does, for people.
        schema: of its values, for OpenAPI.
        example: a value.
        read: makes a value of a text.
        is_in_path: where it stands.
        is_required: whether it has to be given; in a path it has.
    """

    name: str
    description: str
    schema: Mapping[str, object]
    example: object
    read: Callable[[str], Read]
    is_in_path: bool = False
    is_required: bool = False

    def of(self, text: str) -> Read:
        """The value of a text.

        Raises:
            ProblemError: it is none.
        """
        try:
            return self.read(text)
        except _RefusedError as error:
            told = printable(text if len(text) <= _TOLD else f"{text[:_TOLD]}…")
            raise ProblemError(400, f'{self.name} is "{told}": expected {error}', self.name) from None


class Query:
    """The query of a request, of which every parameter is known.

    Raises:
        ProblemError: one is not, or is there twice, and would be ignored otherwise.
    """

    def __init__(self, request: Request, *known: Parameter[object]) -> None:
        self._given: dict[str, str] = {}
        names = {parameter.name for parameter in known}
        for name, text in request.query_params.multi_items():
            if name not in names:
                expected = ", ".join(parameter.name for parameter in known) or "none"
                raise ProblemError(400, f'"{printable(name[:_TOLD])}" is no parameter of this: expected {expected}')
            if name in self._given:
                raise ProblemError(400, f"{name} is given twice: expected it once", name)
            self._given[name] = text

    def get(self, parameter: Parameter[Value]) -> Value | None:
        """The value of a parameter; None where it is not given.

        Raises:
            ProblemError: it is none that the parameter can have.
        """
        text = self._given.get(parameter.name)
        return None if text is None else parameter.of(text)

    def first(self, *parameters: Parameter[object]) -> str | None:
        """The first of some parameters that is given."""
        return next((parameter.name for parameter in parameters if parameter.name in self._given), None)

    def need(self, parameter: Parameter[Value]) -> Value:
        """The same of a parameter that has to be given."""
        value = self.get(parameter)
        if value is None:
            raise ProblemError(400, f"{parameter.name} is missing: {parameter.description}", parameter.name)
        return value


def asn(
    name: str, description: str, *, is_in_path: bool = False, is_required: bool = False, lowest: int = 0
) -> Parameter[int]:
    """An autonomous system number: "64496" or "AS64496"."""

    def read(text: str) -> int:
        match = ASN_TEXT.fullmatch(text)
        if match is None or not lowest <= int(match[1]) <= MAX_ASN:
            raise _RefusedError(f"an ASN from {lowest} to {MAX_ASN}, with or without AS before it")
        return int(match[1])

    schema = {"type": "string", "format": "asn" if lowest == 0 else "asn-above-0"}
    return Parameter(name, description, schema, "AS64496", read, is_in_path, is_required)


def read_prefix(text: str) -> Network:
    """The prefix of a text; an address is a prefix of its whole length.

    Raises:
        ValueError: it is none; the message says what is expected.
    """
    match = _PREFIX.fullmatch(text)
    if match is None:
        raise ValueError("a prefix such as 192.0.2.0/24 or 2001:db8::/32")
    try:
        address = ip_address(match[1])
    except ValueError:
        if _LEADING_ZERO.search(match[1]):
            raise ValueError("numbers without leading zeros, which some programs take for octal") from None
        raise ValueError("a valid IPv4 or IPv6 address, as in 192.0.2.0/24 or 2001:db8::/32") from None
    length = address.max_prefixlen if match[2] is None else int(match[2])
    if length > address.max_prefixlen:
        raise ValueError(f"a length of at most {address.max_prefixlen}")
    prefix = ip_network((address, length), strict=False)
    if prefix.network_address != address:
        raise ValueError(f"no host bits: ask for {prefix}")
    return prefix


def prefix(name: str, description: str, *, is_in_path: bool = False, is_required: bool = False) -> Parameter[Network]:
    """A prefix."""

    def read(text: str) -> Network:
        try:
            return read_prefix(text)
        except ValueError as error:
            raise _RefusedError(str(error)) from None

    schema = {"type": "string", "format": "prefix"}
    return Parameter(name, description, schema, "192.0.2.0/24", read, is_in_path, is_required)


def number(
    name: str,
    description: str,
    lowest: int,
    highest: int,
    example: int,
    *,
    is_in_path: bool = False,
    is_required: bool = False,
) -> Parameter[int]:
    """A whole number."""

    def read(text: str) -> int:
        if _NUMBER.fullmatch(text) is None or not lowest <= int(text) <= highest:
            raise _RefusedError(f"a number from {lowest} to {highest}")
        return int(text)

    schema = {"type": "integer", "minimum": lowest, "maximum": highest}
    return Parameter(name, description, schema, example, read, is_in_path, is_required)


def choice(name: str, description: str, values: type[Choice], default: Choice | None = None) -> Parameter[Choice]:
    """One of a few words."""

    def read(text: str) -> Choice:
        try:
            return values(text)
        except ValueError:
            raise _RefusedError(" or ".join(values)) from None

    schema: dict[str, object] = {"type": "string", "enum": [value.value for value in values]}
    if default is not None:
        schema["default"] = default.value
    return Parameter(name, description, schema, next(iter(values)).value, read)


def flag(name: str, description: str) -> Parameter[bool]:
    """Whether or not."""
    words = {"true": True, "false": False}

    def read(text: str) -> bool:
        if text not in words:
            raise _RefusedError("true or false")
        return words[text]

    return Parameter(name, description, {"type": "boolean"}, True, read)


def text(name: str, description: str, pattern: str, example: str, expected: str) -> Parameter[str]:
    """A text of some form."""

    def read(given: str) -> str:
        if re.fullmatch(pattern, given, re.ASCII) is None:
            raise _RefusedError(expected)
        return given

    return Parameter(name, description, {"type": "string", "pattern": f"^{pattern}$"}, example, read)


def without(given: Sequence[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    """The parameters of a query but one."""
    return [(key, value) for key, value in given if key != name]
