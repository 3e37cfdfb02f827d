"""Differences, composition and application, with an error for each way in which a delta can fail to fit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.examples import NASTY, announced, aspa, key, vrp, withdrawn

from pyrtr.errors import DeltaError
from pyrtr.payload.delta import NO_CHANGE, AspaChange, Delta, KeyChanges, apply, compose, contains, difference
from pyrtr.payload.order import IPV4_ROW, rows_of
from pyrtr.payload.table import PayloadTable

ZERO = vrp("0.0.0.0/0", 0, 0)
A, B = vrp("192.0.2.0/24", 24, 64496), vrp("192.0.2.0/24", 25, 64496)
C, D = vrp("2001:db8::/32", 32, 0), vrp("2001:db8::/32", 32, 256)
K, L = key(0), key(256)


def delta(old=(), new=()) -> Delta:
    return difference(PayloadTable.of(old), PayloadTable.of(new))


@pytest.mark.parametrize(
    ("old", "new", "comes", "goes"),
    [
        pytest.param([], [], [], [], id="nothing"),
        pytest.param(NASTY, NASTY, [], [], id="the same"),
        pytest.param([], [B, A, ZERO], [ZERO, A, B], [], id="IPv4 comes"),
        pytest.param([B, A, ZERO], [], [], [ZERO, A, B], id="IPv4 goes"),
        pytest.param([A, ZERO], [B, ZERO], [B], [A], id="another max length"),
        pytest.param([A, C], [A, D], [D], [C], id="IPv6"),
        pytest.param([K], [L], [L], [K], id="router key"),
        pytest.param([], [aspa(64496, 64497)], [aspa(64496, 64497)], [], id="ASPA comes"),
        pytest.param([aspa(64496, 64497)], [], [], [64496], id="ASPA goes"),
        pytest.param([aspa(64496, 64497)], [aspa(64496, 0)], [aspa(64496, 0)], [], id="ASPA is replaced"),
    ],
)
def test_difference(old, new, comes, goes):
    result = delta(old, new)
    assert (announced(result), withdrawn(result)) == (comes, goes)
    assert len(result) == len(comes) + len(goes)


def test_an_aspa_change_carries_both_lists():
    assert delta([aspa(64496, 1, 2), aspa(64497, 3)], [aspa(64496, 2), aspa(64498, 0)]).aspas == (
        AspaChange(64496, (1, 2), (2,)),
        AspaChange(64497, (3,), ()),
        AspaChange(64498, (), (0,)),
    )


@pytest.mark.parametrize(
    ("tables", "comes", "goes"),
    [
        pytest.param([[], [A, K], [A, K, C]], [A, C, K], [], id="adds up"),
        pytest.param([[], [ZERO, C, K, aspa(1, 2)], []], [], [], id="came and went"),
        pytest.param([[ZERO, C, K, aspa(1, 2)], [], [ZERO, C, K, aspa(1, 2)]], [], [], id="went and came"),
        pytest.param([[A], [], [A], []], [], [A], id="went in the end"),
        pytest.param([[], [A], [], [A]], [A], [], id="came in the end"),
        pytest.param([[K], [], [K], []], [], [K], id="a key went in the end"),
        pytest.param([[aspa(1, 2)], [aspa(1, 3)], [aspa(1, 4)]], [aspa(1, 4)], [], id="ASPA replaced twice"),
        pytest.param([[aspa(1, 2)], [aspa(1, 3)], [aspa(1, 2)]], [], [], id="ASPA replaced and back"),
        pytest.param([[aspa(1, 2)], [], [aspa(1, 3)]], [aspa(1, 3)], [], id="ASPA went, another came"),
        pytest.param([[aspa(1, 2)], [aspa(1, 3)], []], [], [1], id="ASPA replaced, then went"),
        pytest.param([[], [aspa(1, 3)], []], [], [], id="ASPA came and went"),
    ],
)
def test_compose(tables, comes, goes):
    composed = compose([delta(old, new) for old, new in pairwise(tables)])
    assert (announced(composed), withdrawn(composed)) == (comes, goes)


def test_compose_of_none_and_one():
    one = delta([A], [B])
    assert compose([]) is NO_CHANGE
    assert compose([one]) is one


COMES, GOES = delta([], [A]), delta([A], [])
KEY_COMES, KEY_GOES = delta([], [K]), delta([K], [])


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param([COMES, COMES], id="VRP comes twice"),
        pytest.param([GOES, GOES], id="VRP goes twice"),
        pytest.param([COMES, COMES, GOES], id="VRP comes twice, goes once"),
        pytest.param([GOES, COMES, COMES], id="VRP goes, comes twice"),
        pytest.param([delta([], [C]), NO_CHANGE, delta([], [C])], id="IPv6 comes twice"),
        pytest.param([KEY_COMES, KEY_COMES], id="key comes twice"),
        pytest.param([KEY_GOES, KEY_GOES], id="key goes twice"),
        pytest.param([KEY_COMES, KEY_GOES, KEY_GOES], id="key comes, goes twice"),
        pytest.param([delta([], [aspa(1, 2)]), delta([], [aspa(1, 3)])], id="ASPA comes twice"),
        pytest.param([delta([aspa(1, 2)], [aspa(1, 3)]), delta([aspa(1, 2)], [])], id="ASPA changes from another"),
        pytest.param([delta([aspa(1, 2)], []), delta([aspa(1, 2)], [])], id="ASPA goes twice"),
    ],
)
def test_compose_refuses_what_does_not_follow(deltas):
    with pytest.raises(DeltaError):
        compose(deltas)


@pytest.mark.parametrize("old", [[], [A, C, K, aspa(64496, 1)], NASTY], ids=["empty", "some", "nasty"])
@pytest.mark.parametrize("new", [[], [ZERO, B, D, L, aspa(64496, 2)], NASTY], ids=["empty", "others", "nasty"])
def test_apply(old, new):
    before, after = PayloadTable.of(old), PayloadTable.of(new)
    assert apply(before, difference(before, after)) == after
    assert before == PayloadTable.of(old)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        pytest.param([ZERO], delta([], [ZERO]), id="VRP is there"),
        pytest.param([A], delta([], [A, B]), id="one of two is there"),
        pytest.param([], delta([ZERO], []), id="VRP from an empty table"),
        pytest.param([A], delta([B], []), id="VRP is not there"),
        pytest.param([A], delta([A, B], []), id="one of two is not there"),
        pytest.param([C], delta([], [C]), id="IPv6 is there"),
        pytest.param([C], delta([D], []), id="IPv6 is not there"),
        pytest.param([K], delta([], [K]), id="key is there"),
        pytest.param([K], delta([L], []), id="key is not there"),
        pytest.param([aspa(1, 2)], delta([], [aspa(1, 3)]), id="ASPA is there"),
        pytest.param([aspa(1, 2)], delta([aspa(1, 3)], []), id="ASPA goes from another list"),
        pytest.param([aspa(1, 2)], delta([aspa(1, 3)], [aspa(1, 4)]), id="ASPA is replaced from another list"),
        pytest.param([], delta([aspa(1, 2)], []), id="ASPA is not there"),
    ],
)
def test_apply_refuses_what_does_not_fit(table, change):
    with pytest.raises(DeltaError):
        apply(PayloadTable.of(table), change)


def test_contains_tells_rows_apart_that_end_in_zeros():
    rows = rows_of([ZERO, A], IPV4_ROW)
    wanted = rows_of([ZERO, vrp("0.0.0.0/0", 0, 0x100), A, vrp("255.255.255.255/32", 32, 0)], IPV4_ROW)
    assert contains(rows, wanted).tolist() == [True, False, True, False]
    assert contains(np.empty(0, IPV4_ROW), wanted).tolist() == [False] * 4
    assert contains(rows, np.empty(0, IPV4_ROW)).tolist() == []


def test_the_length_of_a_delta_counts_every_kind():
    all_kinds = delta([A, C, K, aspa(1, 2)], [B, D, L, aspa(1, 3)])
    assert len(all_kinds) == 7  # an ASPA is replaced in one change
    assert len(NO_CHANGE) == 0
    assert len(replace(all_kinds, router_keys=KeyChanges())) == 5
