"""What a cache has as documents that others read: rpki-client's JSON and CSV, in pieces, from columns."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator, Mapping
from itertools import islice
from struct import Struct

from pyrtr.payload.order import Rows, address_bytes
from pyrtr.payload.table import PayloadTable

Pieces = Iterator[tuple[int, str]]
"""Texts, each with how many entries of the table are in it and those before it."""
# So many records are put together at once: a megabyte of JSON, and a hundredth of a second.
_BATCH = 10_000
_LAYOUTS = {4: (Struct("!4sBBI"), socket.AF_INET), 16: (Struct("!16sBBI"), socket.AF_INET6)}


def vrp_fields(rows: Rows) -> Iterator[tuple[str, int, int]]:
    """Each VRP as prefix, max length and ASN, in the order of the rows: about a microsecond for each."""
    layout, family = _LAYOUTS[address_bytes(rows.dtype)]
    for address, max_length, length, asn in layout.iter_unpack(rows.tobytes()):
        yield f"{socket.inet_ntop(family, address)}/{length}", max_length, asn


def rpki_client_json(table: PayloadTable, metadata: Mapping[str, object], anchor: str) -> Pieces:
    """rpki-client's JSON, with one record a line; no record says when it expires."""
    ta = json.dumps(anchor)
    vrps = (
        f'{{ "asn": {asn}, "prefix": "{prefix}", "maxLength": {max_length}, "ta": {ta} }}'
        for rows in (table.ipv4, table.ipv6)
        for prefix, max_length, asn in vrp_fields(rows)
    )
    keys = (
        f'{{ "asn": {key.asn}, "ski": "{key.ski.hex().upper()}", '
        f'"pubkey": "{base64.b64encode(key.spki).decode()}", "ta": {ta} }}'
        for key in table.router_keys
    )
    aspas = (
        f'{{ "customer_asid": {aspa.customer_asn}, "providers": {list(aspa.provider_asns)} }}' for aspa in table.aspas
    )
    done = 0
    yield done, f'{{\n\t"metadata": {json.dumps(metadata)}'
    for name, records in (("roas", vrps), ("bgpsec_keys", keys), ("aspas", aspas)):
        yield done, f',\n\n\t"{name}": ['
        separator = "\n\t\t"
        while batch := list(islice(records, _BATCH)):
            done += len(batch)
            yield done, separator + ",\n\t\t".join(batch)
            separator = ",\n\t\t"
        yield done, "\n\t]"
    yield done, "\n}\n"


def csv(table: PayloadTable, anchor: str) -> Pieces:
    """rpki-client's CSV, which holds VRPs alone; the column of expiry times is empty."""
    lines = (
        f"AS{asn},{prefix},{max_length},{anchor},\n"
        for rows in (table.ipv4, table.ipv6)
        for prefix, max_length, asn in vrp_fields(rows)
    )
    done = 0
    yield done, "ASN,IP Prefix,Max Length,Trust Anchor,Expires\n"
    while batch := list(islice(lines, _BATCH)):
        done += len(batch)
        yield done, "".join(batch)
