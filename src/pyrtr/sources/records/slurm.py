"""SLURM files (RFC 8416; version 2 with ASPAs as in draft-ietf-sidrops-aspa-slurm-04): a strict reader.

    validationOutputFilters            locallyAddedAssertions
    prefixFilters   prefix, asn        prefixAssertions  prefix, asn, maxPrefixLength (optional)
    bgpsecFilters   asn, SKI           bgpsecAssertions  asn, SKI, routerPublicKey
    aspaFilters     customerAsn        aspaAssertions    customerAsn, providerAsns

RFC 8416 §3.1: a file that has any fault is not used at all. Nothing is guessed or skipped; in base64 alone there is a
choice, of either alphabet, with padding or without, because files of all four kinds are about.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from pyrtr.errors import PayloadError, SourceError
from pyrtr.payload.slurm import AspaFilter, KeyFilter, Network, PrefixFilter, SlurmFile, conflicts
from pyrtr.payload.values import MAX_ASN, SKI_BYTES, VRP, Aspa, RouterKey, is_der_sequence

MAX_BODY_BYTES = 2**24  # 200,000 assertions, which take seconds to read: more are no exceptions
MAX_NAMED_CONFLICTS = 3  # in one error text

_VERSION = "slurmVersion"
_VERSIONS = (1, 2)
_COMMENT = "comment"
_MAX_DIGITS = 20  # a number with more is too large for any member, and shown by its first digits
_MAX_SHOWN = 60  # characters of a value in an error text
_PREFIX = re.compile(r"[0-9A-Fa-f:.]+/(0|[1-9][0-9]{0,2})", re.ASCII)  # no netmask, no zone id
_PREFIX_FORM = "a prefix such as 192.0.2.0/24 or 2001:db8::/32"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_URL_ALPHABET = str.maketrans("-_", "+/")
# Names of earlier drafts and of other programs, and the ones that are meant.
_MEANT = {
    "customerAsid": "customerAsn",
    "customer_asid": "customerAsn",
    "providerSet": "providerAsns",
    "providers": "providerAsns",
    "maxLength": "maxPrefixLength",
    "ski": "SKI",
}


class _Top(msgspec.Struct):
    slurmVersion: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the member's own spelling
    validationOutputFilters: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    locallyAddedAssertions: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


def is_slurm(body: bytes) -> bool:
    """Whether a document means to be a SLURM file: it has one of its top members.

    Of a document that is no JSON object, whether it names one of them anywhere.
    """
    if not any(f'"{name}"'.encode() in body for name in _Top.__struct_fields__):
        return False
    try:
        top = msgspec.json.decode(body, type=_Top)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return top != _Top()


def parse_all(files: Sequence[tuple[str, bytes]]) -> tuple[SlurmFile, ...]:
    """Read files, each a name and its octets, that are to be used together.

    Raises:
        SourceError: one of them is refused, or two of them conflict (RFC 8416 §4.2).
    """
    parsed = tuple(parse(name, body) for name, body in files)
    if found := conflicts(parsed):
        more = [f"and {len(found) - MAX_NAMED_CONFLICTS} more"] if len(found) > MAX_NAMED_CONFLICTS else []
        raise SourceError("SLURM files conflict: " + "; ".join(found[:MAX_NAMED_CONFLICTS] + more))
    return parsed


def parse(name: str, body: bytes) -> SlurmFile:
    """Read one file.

    Args:
        name: of the file, as it stands in errors and counts.
        body: its octets.

    Raises:
        SourceError: the file has a fault: its name, the place in it and the reason.
    """
    try:
        return _file(name, _document(body))
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from error


def _document(body: bytes) -> object:
    """The JSON value: an object in it is the tuple of its members, so that a name that stands there twice is seen."""
    if len(body) > MAX_BODY_BYTES:
        raise SourceError(f"{len(body)} octets: a SLURM file may have {MAX_BODY_BYTES}")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise SourceError(f"line {line}: not UTF-8: save the file in that encoding") from error
    if text.startswith("\ufeff"):
        raise SourceError("line 1: begins with a byte order mark: save the file as UTF-8 without it")
    try:
        return json.loads(text, object_pairs_hook=tuple, parse_int=lambda digits: int(digits[:_MAX_DIGITS]))
    except json.JSONDecodeError as error:
        raise SourceError(f"line {error.lineno} column {error.colno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise SourceError("arrays or objects are nested too deeply") from error


def _file(name: str, document: object) -> SlurmFile:
    top = _members("", document, (_VERSION, *_SECTIONS), required=(_VERSION, *_SECTIONS))
    version = _number(_VERSION, top[_VERSION])
    if version not in _VERSIONS:
        _refuse(_VERSION, f"{version} is not known: expected 1, or 2 for files with ASPA members")
    lists: dict[str, tuple[Any, ...]] = {}
    for section, kinds in _SECTIONS.items():
        required = [list_name for list_name, kind in kinds.items() if kind.since <= version]
        members = _members(section, top[section], kinds, required=required)
        for list_name, kind in kinds.items():
            if list_name in members and list_name not in required:
                _refuse(f"{section}.{list_name}", f"needs {_VERSION} {kind.since}")
            lists[list_name] = _entries(f"{section}.{list_name}", members.get(list_name, []), kind)
    return SlurmFile(name, *lists.values())


def _entries(place: str, value: object, kind: _Kind) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _expect("an array", place, value)
    return tuple(_entry(f"{place}[{number}]", entry, kind) for number, entry in enumerate(value))


def _entry(place: str, value: object, kind: _Kind) -> Any:  # noqa: ANN401 - each list has entries of a type of its own
    members = _members(place, value, (*kind.readers, _COMMENT), required=kind.required)
    if _COMMENT in members:
        _text(f"{place}.{_COMMENT}", members.pop(_COMMENT))
    values = {member: kind.readers[member](f"{place}.{member}", text) for member, text in members.items()}
    try:
        return kind.make(values)
    except PayloadError as error:
        _refuse(place, str(error))


def _members(place: str, value: object, names: Collection[str], *, required: Collection[str]) -> dict[str, Any]:
    """The members of an object that has no others than `names`, none of them twice, and all of those required."""
    if not isinstance(value, tuple):
        _expect("an object", place, value)
    members: dict[str, Any] = {}
    for member, content in value:
        if member not in names:
            _refuse(_within(place, member), _why_unknown(member, names))
        if member in members:
            _refuse(_within(place, member), "stands there twice")
        members[member] = content
    for member in required:
        if member not in members:
            _refuse(_within(place, member), "is missing")
    return members


def _within(place: str, member: str) -> str:
    name = _shown(member).strip('"')
    return f"{place}.{name}" if place else name


def _why_unknown(member: str, names: Collection[str]) -> str:
    if _MEANT.get(member) in names:
        return f"is not known: its name is {_MEANT[member]}"
    return f"is not known: expected {', '.join(names)}"


def _number(place: str, value: object, *, limit: int = MAX_ASN) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        _expect(f"a whole number from 0 to {limit}", place, value)
    return value


def _max_length(place: str, value: object) -> int:
    return _number(place, value, limit=128)


def _text(place: str, value: object) -> str:
    if not isinstance(value, str):
        _expect("a text", place, value)
    return value


def _prefix(place: str, value: object) -> Network:
    text = _text(place, value)
    if not _PREFIX.fullmatch(text):
        _expect(_PREFIX_FORM, place, value)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        _expect(_PREFIX_FORM, place, value)
    address = text.partition("/")[0]
    if network.network_address != ipaddress.ip_address(address):
        _refuse(place, f"{text!r} has host bits set: write {network}, or {address}/{network.max_prefixlen}")
    return network


def _octets(place: str, value: object) -> bytes:
    """Base64 of either alphabet, whole: without padding, or with all of it."""
    text = _text(place, value).translate(_URL_ALPHABET)
    characters = text.rstrip("=")
    is_whole = len(characters) % 4 != 1 and (text == characters or len(text) % 4 == 0)
    if not is_whole or not _BASE64.fullmatch(text):
        _expect("base64url without padding", place, value)
    return base64.b64decode(characters + "=" * (-len(characters) % 4))


def _ski(place: str, value: object) -> bytes:
    ski = _octets(place, value)
    if len(ski) != SKI_BYTES:
        _refuse(place, f"{len(ski)} octets: an SKI has {SKI_BYTES}, 27 characters of base64url")
    return ski


def _public_key(place: str, value: object) -> bytes:
    key = _octets(place, value)
    if not is_der_sequence(key):
        _refuse(place, f"these {len(key)} octets are no SubjectPublicKeyInfo: expected one DER SEQUENCE")
    return key


def _asns(place: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        _expect("an array", place, value)
    return tuple(_number(f"{place}[{number}]", asn) for number, asn in enumerate(value))


def _vrp(members: Mapping[str, Any]) -> VRP:
    prefix = members["prefix"]
    return VRP(prefix, members.get("maxPrefixLength", prefix.prefixlen), members["asn"])


def _aspa(members: Mapping[str, Any]) -> Aspa:
    customer, providers = members["customerAsn"], members["providerAsns"]
    if customer in providers:
        raise PayloadError(f"ASPA of AS{customer}: it is its own provider")
    return Aspa(customer, providers)


@dataclass(frozen=True, slots=True)
class _Kind:
    """The entries of one list.

    Attributes:
        readers: how each member is read; takes the place and the JSON value. A comment may stand beside them.
        required: the members that must be there.
        make: the value of an entry's members.
        since: the first slurmVersion that has such a list.
    """

    readers: Mapping[str, Callable[[str, object], Any]]
    required: tuple[str, ...]
    make: Callable[[Mapping[str, Any]], Any]
    since: int = 1


# In the order of SlurmFile.
_SECTIONS: dict[str, dict[str, _Kind]] = {
    "validationOutputFilters": {
        "prefixFilters": _Kind(
            {"prefix": _prefix, "asn": _number}, (), lambda of: PrefixFilter(of.get("prefix"), of.get("asn"))
        ),
        "bgpsecFilters": _Kind({"asn": _number, "SKI": _ski}, (), lambda of: KeyFilter(of.get("asn"), of.get("SKI"))),
        "aspaFilters": _Kind(
            {"customerAsn": _number}, ("customerAsn",), lambda of: AspaFilter(of["customerAsn"]), since=2
        ),
    },
    "locallyAddedAssertions": {
        "prefixAssertions": _Kind(
            {"prefix": _prefix, "asn": _number, "maxPrefixLength": _max_length}, ("prefix", "asn"), _vrp
        ),
        "bgpsecAssertions": _Kind(
            {"asn": _number, "SKI": _ski, "routerPublicKey": _public_key},
            ("asn", "SKI", "routerPublicKey"),
            lambda of: RouterKey(of["SKI"], of["asn"], of["routerPublicKey"]),
        ),
        "aspaAssertions": _Kind(
            {"customerAsn": _number, "providerAsns": _asns}, ("customerAsn", "providerAsns"), _aspa, since=2
        ),
    },
}


def _expect(expected: str, place: str, value: object) -> NoReturn:
    _refuse(place, f"expected {expected}, found {_shown(value)}")


def _shown(value: object) -> str:
    match value:
        case list():
            return "an array"
        case tuple():
            return "an object"
        case _:
            text = json.dumps(value)
            return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _refuse(place: str, reason: str) -> NoReturn:
    raise SourceError(f"{place}: {reason}" if place else reason)
