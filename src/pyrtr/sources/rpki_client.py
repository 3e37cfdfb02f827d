"""rpki-client's JSON, all shapes since 7.0.

    member                   entries
    roas (required)          prefix, asn, maxLength, ta; expires since 7.1
    bgpsec_keys              asn, ski, pubkey, expires: since 7.4
    aspas                    customer_asid, providers, expires: since 8.5
    provider_authorizations  {"ipv4": [...], "ipv6": [...]}, entries as in aspas: 8.0 to 8.4; the families are merged
    metadata                 kept as it is; its buildtime is the age of the data

`records.document` has the rules by which records are used, which are those of every JSON reader: a document with these
members and Routinator's names in them gives the same payload here as there.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import msgspec

from pyrtr.sources.base import Loaded
from pyrtr.sources.records import document, layout
from pyrtr.sources.records.builder import Builder
from pyrtr.sources.records.document import Decoded
from pyrtr.sources.records.layout import Listed


def read(body: bytes, *, now: float) -> Loaded:
    """Read a document. `now` is Unix time: records that have expired by then are dropped.

    Raises:
        SourceError: the document is refused whole.
    """
    builder = Builder(now)
    listed = layout.read(body)
    decoded = None if listed is None else _rest(listed, builder.dropped)
    if decoded is None:
        listed = None
        with document.refusals("rpki-client's JSON"):
            decoded = document.decode(body, builder.dropped)
    del body  # 100 MB that are not needed beside the columns
    return document.load(decoded, builder, listed)


def _rest(listed: Listed, dropped: Counter[str]) -> Decoded | None:
    """What a document holds beside its list; None if that is not its list, or there is anything wrong with it.

    What is wrong can only be told of the document as it is.
    """
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = document.decode(listed.rest, dropped)
        if [record.prefix for record in decoded.roas] == [listed.mark]:
            decoded.counts["vrps"] = listed.count
            return decoded
    dropped.clear()
    return None
