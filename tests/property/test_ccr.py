"""The reader of CCR against what was put into the document."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.property.strategies import aspas, router_keys, vrps
from tests.unit.sources import canonical
from tests.unit.sources.canonical import address, aspa_set, ccr, family, key_set, roa_set, sequence, state

from pyrtr.payload.table import PayloadTable
from pyrtr.sources.ccr import read


@given(st.lists(vrps(), max_size=8), st.lists(router_keys, max_size=3), st.lists(aspas, max_size=3))
def test_any_payload_comes_back(vrps, keys, aspas):
    aspas = list({value.customer_asn: value for value in aspas}.values())
    roa_sets = [
        roa_set(value.asn, family(1 if value.prefix.version == 4 else 2, address(str(value.prefix), value.max_length)))
        for value in vrps
    ]
    body = ccr(
        vrps=state(sequence(*roa_sets)),
        vaps=state(sequence(*[aspa_set(value.customer_asn, *value.provider_asns) for value in aspas])),
        rks=state(sequence(*[key_set(value.asn, canonical.router_key(value.ski, value.spki)) for value in keys])),
    )
    assert read(body, now=0.0).table == PayloadTable.of([*vrps, *keys, *aspas])
