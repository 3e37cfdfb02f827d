"""The delta to a new table is proved before it is used, and what it takes away is counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from tests.examples import NASTY, announced, aspa, key, vrp, withdrawn
from tests.generations import facts_of

from pyrtr.compiler import pipeline
from pyrtr.compiler.guard import Loss
from pyrtr.payload.delta import NO_CHANGE, AspaChange, Delta, KeyChanges, RowChanges, apply, difference
from pyrtr.payload.table import NO_FACTS, NOTHING, PayloadTable

OLD = PayloadTable.of(NASTY[::2])
NEW = PayloadTable.of(NASTY[1::2])


@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (NEW, OLD), (OLD, NOTHING), (NOTHING, NEW), (OLD, OLD)])
def test_a_delta_that_is_right_is_used(old, new):
    outcome = pipeline.compare(old, facts_of(old), new, now=0)
    assert outcome.delta is not None
    assert apply(old, outcome.delta) == new
    assert outcome.change_count == len(outcome.delta) == len({*announced(outcome.delta)} | {*withdrawn(outcome.delta)})


def rows(changes: RowChanges, **columns: np.ndarray) -> RowChanges:
    return dataclasses.replace(changes, **columns)


def with_ipv4(change: Callable[[RowChanges], RowChanges]) -> Callable[[Delta], Delta]:
    return lambda delta: dataclasses.replace(delta, ipv4=change(delta.ipv4))


WRONG: dict[str, Callable[[Delta], Delta]] = {
    "nothing": lambda _: NO_CHANGE,
    "an announcement is missing": with_ipv4(lambda ipv4: rows(ipv4, announce=ipv4.announce[1:])),
    "a withdrawal is missing": with_ipv4(lambda ipv4: rows(ipv4, withdraw=ipv4.withdraw[:-1])),
    "turned round": with_ipv4(lambda ipv4: RowChanges(ipv4.withdraw, ipv4.announce)),
    "something held is announced": with_ipv4(
        lambda ipv4: rows(ipv4, announce=np.sort(np.concatenate((ipv4.announce, OLD.ipv4[:1]))))
    ),
    "something unknown is withdrawn": with_ipv4(
        lambda ipv4: rows(ipv4, withdraw=np.sort(np.concatenate((ipv4.withdraw, NEW.ipv4[:1]))))
    ),
    "no IPv6": lambda delta: dataclasses.replace(delta, ipv6=NO_CHANGE.ipv6),
    "no router keys": lambda delta: dataclasses.replace(delta, router_keys=KeyChanges()),
    "no ASPAs": lambda delta: dataclasses.replace(delta, aspas=()),
    "an ASPA from something else": lambda delta: dataclasses.replace(
        delta, aspas=(*delta.aspas[1:], AspaChange(delta.aspas[0].customer_asn, (1, 2), (3,)))
    ),
    "an ASPA to something else": lambda delta: dataclasses.replace(
        delta, aspas=(dataclasses.replace(delta.aspas[0], new_provider_asns=(4,)), *delta.aspas[1:])
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_delta_that_is_wrong_is_not_used(case, monkeypatch):
    monkeypatch.setattr(pipeline, "difference", lambda old, new: WRONG[case](difference(old, new)))
    assert pipeline.compare(OLD, facts_of(OLD), NEW, now=0).delta is None


def test_what_it_takes_away_is_counted_by_trust_anchor():
    old = PayloadTable.of(
        [
            *(vrp(f"192.0.2.{number}/32", 32, 0) for number in range(6)),
            vrp("2001:db8::/32", 48, 0),
            aspa(1, 2),
            aspa(2, 3),
        ]
    )
    facts = dataclasses.replace(
        facts_of(old),
        ipv4_anchors=np.array([0, 0, 1, 1, 1, 2], np.uint16),
        ipv6_anchors=np.array([1], np.uint16),
        anchors=("a", "b", "c", "d"),
    )
    new = PayloadTable.of(
        [vrp("192.0.2.1/32", 32, 0), vrp("192.0.2.4/32", 32, 0), vrp("::/0", 0, 0), key(), aspa(1, 9)]
    )
    losses = pipeline.compare(old, facts, new, now=0).losses
    assert losses.vrps == Loss(7, 5)
    assert losses.vrps_by_anchor == {"a": Loss(2, 1), "b": Loss(4, 3), "c": Loss(1, 1), "d": Loss(0, 0)}
    assert losses.aspas == Loss(2, 1)


def test_nothing_is_lost_where_nothing_was():
    losses = pipeline.compare(NOTHING, NO_FACTS, NEW, now=0).losses
    assert (losses.vrps, losses.vrps_by_anchor, losses.aspas) == (Loss(0, 0), {}, Loss(0, 0))
