"""The ASPAs and router keys of a table as JSON."""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Callable

from pyrtr.store.table_file import StoredTable
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.lookup.listing import Listing, Section, one_by_one, paged
from pyrtr.web.lookup.messages import AspaOf, AspasOf, RouterKeysOf, TableName
from pyrtr.web.lookup.vrps import dates


def aspas(table_of: Callable[[TableName], StoredTable], question: AspasOf) -> Listing:
    """Those that match."""
    stored = table_of(question.table)
    customer, provider = question.customer, question.provider
    places = [
        place
        for place, aspa in enumerate(stored.table.aspas)
        if customer in (None, aspa.customer_asn) and (provider is None or provider in aspa.provider_asns)
    ]
    customers = [stored.table.aspas[place].customer_asn for place in places]
    start = bisect_right(customers, question.after)
    return paged(
        question, start, len(places), lambda index: _aspa(stored, places[index]), lambda index: str(customers[index])
    )


def aspa(table_of: Callable[[TableName], StoredTable], question: AspaOf) -> Listing:
    """That of a customer.

    Raises:
        ProblemError: there is none.
    """
    stored, customer = table_of(question.table), question.customer
    place = bisect_right(stored.table.aspas, customer, key=lambda aspa: aspa.customer_asn) - 1
    if place < 0 or stored.table.aspas[place].customer_asn != customer:
        raise ProblemError(404, f"AS{customer} has no ASPA: /api/v1/aspas lists those that there are", "customer")
    return Listing((Section(b"", place, place + 1, one_by_one(lambda index: _aspa(stored, index))),), b"")


def router_keys(table_of: Callable[[TableName], StoredTable], question: RouterKeysOf) -> Listing:
    """Those that match."""
    stored = table_of(question.table)
    places = [
        place
        for place, key in enumerate(stored.table.router_keys)
        if question.asn in (None, key.asn) and question.ski in (None, key.ski)
    ]
    start = min(question.passed, len(places))
    return paged(question, start, len(places), lambda index: _key(stored, places[index]), lambda index: str(index + 1))


def _aspa(stored: StoredTable, place: int) -> bytes:
    value = stored.table.aspas[place]
    (date,) = dates(stored.facts.aspas_expires[place : place + 1])
    providers = ",".join(map(str, value.provider_asns))
    return f'{{"customer_asn":{value.customer_asn},"provider_asns":[{providers}],"expires":{date}}}'.encode()


def _key(stored: StoredTable, place: int) -> bytes:
    value = stored.table.router_keys[place]
    (date,) = dates(stored.facts.router_keys_expires[place : place + 1])
    spki = base64.b64encode(value.spki).decode()
    return f'{{"asn":{value.asn},"ski":"{value.ski.hex().upper()}","spki":"{spki}","expires":{date}}}'.encode()
