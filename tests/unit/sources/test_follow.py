"""The follow process against another pyRTR that tells the truth, and against one that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has none
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import MAX_ASN, SKI, SPKI
from tests.generations import SERIES
from tests.http_server import HttpServer, chunked, response
from tests.other import Other
from tests.property.strategies import histories

from pyrtr.errors import DeltaError, SourceError, StoreError
from pyrtr.payload.delta import difference
from pyrtr.payload.history import Step
from pyrtr.payload.serial import next_serial
from pyrtr.payload.table import PayloadTable
from pyrtr.sources.fetch.request import Limits, SourceTls
from pyrtr.sources.follow import worker
from pyrtr.sources.follow.copy import forward, proved
from pyrtr.sources.follow.exchange import RawStep, kept_steps, read_steps, read_table, steps_of
from pyrtr.sources.follow.messages import Followed, Order, Position, Sessions
from pyrtr.sources.follow.worker import Copyist
from pyrtr.store import table_file
from pyrtr.store.table_file import content_digest

LIMITS = Limits(connect_s=2, silence_s=2, octets=100_000)


class Copy:
    """What one has who follows, and orders for more."""

    def __init__(self, url: str, folder: Path) -> None:
        self.known: Position | None = None
        self.copyist = Copyist()
        self.url = url
        self.folder = folder
        self._count = 0

    def follow(self) -> Followed:
        """One order, whose outcome is accepted."""
        self._count += 1
        self.table_path, self.steps_path = (self.folder / f"{name}-{self._count}" for name in ("table", "steps"))
        order = Order(self.url, SourceTls(), LIMITS, self.known, 1.0, str(self.table_path), str(self.steps_path))
        followed = self.copyist.follow(order)
        if (standing := followed.standing) is not None:
            table = str(self.table_path) if followed.digest else (self.known.table if self.known else "")
            content = bytes.fromhex(standing.content)
            self.known = Position(standing.tag, standing.sessions, standing.serial, content, table)
        return followed

    def begin_anew(self) -> None:
        """Another process."""
        self.copyist.close()
        self.copyist = Copyist()

    @property
    def table(self) -> PayloadTable:
        """What was written last."""
        assert self.known is not None
        return table_file.read_table(Path(self.known.table)).table

    @property
    def serials(self) -> list[int]:
        """Of the steps that were written last."""
        return [step.from_serial for step in kept_steps(self.steps_path)]


@pytest.fixture
def other() -> Iterator[Other]:
    with HttpServer() as server:
        yield Other(server, *SERIES[:3])


@pytest.fixture
def copy(other: Other, tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(other.url, tmp_path)
    yield copy
    copy.copyist.close()


def test_a_first_copy_is_whole(other: Other, copy: Copy) -> None:
    followed = copy.follow()
    assert (followed.is_whole, followed.divergence, followed.mismatch) == (True, None, None)
    assert followed.digest == table_file.read_table(copy.table_path).digest
    assert followed.received_bytes > 0
    assert copy.table == other.table
    assert copy.serials == [step[0] for step in other.steps]
    assert other.asked == ["/generation/table"]


def test_then_only_steps_travel(other: Other, copy: Copy) -> None:
    copy.follow()
    for payload in SERIES[3:]:
        other.publish(payload)
        followed = copy.follow()
        assert (followed.is_whole, copy.serials) == (False, [other.steps[-1][0]])
        assert copy.table == other.table
    other.publish(SERIES[0])
    other.publish(SERIES[1])
    assert (copy.follow().is_whole, len(copy.serials), copy.table) == (False, 2, other.table)
    assert other.asked[1:] == ["/generation/steps"] * 4


def test_nothing_new_is_nothing_written(other: Other, copy: Copy) -> None:
    copy.follow()
    other.sessions["V0"].insert(0, 9)
    followed = copy.follow()
    assert followed.standing is not None
    assert (followed.digest, followed.standing.sessions.V0) == (None, (9, 10))
    assert not copy.table_path.exists()


def test_a_process_that_begins_anew_goes_on(other: Other, copy: Copy) -> None:
    """It reads the table file, and a copy anew only if that is not what it should be."""
    copy.follow()
    copy.begin_anew()
    other.publish(SERIES[3])
    assert (copy.follow().is_whole, copy.table) == (False, other.table)
    for damage in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])):
        copy.begin_anew()
        assert copy.known is not None
        damage(Path(copy.known.table))
        assert (copy.follow().is_whole, copy.table) == (True, other.table)


@pytest.mark.parametrize("version", ["V0", "V1", "V2"])
def test_another_session_is_copied_anew(other: Other, copy: Copy, version: str) -> None:
    """Though the same serial has the same payload there."""
    copy.follow()
    other.sessions[version] = [99]
    assert copy.follow().is_whole


def test_what_it_does_not_retain_is_copied_anew(other: Other, copy: Copy) -> None:
    copy.follow()
    other.publish(SERIES[3])
    other.publish(SERIES[4])
    del other.steps[:-1]
    followed = copy.follow()
    assert (followed.is_whole, followed.mismatch) == (True, None)
    assert copy.serials == [step[0] for step in other.steps]


def flip(octets: bytes) -> bytes:
    return bytes([octets[0] ^ 1]) + octets[1:]


def spoil_end(answer: list[Any]) -> None:
    answer[0]["content"] = "0" * 64


def spoil_step(answer: list[Any]) -> None:
    answer[-1][-1][1] = flip(answer[-1][-1][1])


def spoil_serial(answer: list[Any]) -> None:
    answer[0]["serial"] = (answer[0]["serial"] + 1) % 2**32


def drop_step(answer: list[Any]) -> None:
    answer[-1].pop()


def withdraw_nothing(answer: list[Any]) -> None:
    answer[-1][-1][2][1] = b""


@pytest.mark.parametrize("spoil", [spoil_end, spoil_step, spoil_serial, drop_step, withdraw_nothing])
def test_steps_that_do_not_fit_are_replaced_by_the_whole(
    other: Other, copy: Copy, spoil: Callable[[list[Any]], None]
) -> None:
    copy.follow()
    other.publish(SERIES[3])
    other.publish(SERIES[5])
    other.spoil_steps = spoil
    followed = copy.follow()
    assert followed.is_whole
    assert followed.mismatch
    assert copy.table == other.table


@pytest.mark.parametrize("spoil", [spoil_end, spoil_step, spoil_serial, drop_step, withdraw_nothing])
def test_a_whole_that_is_not_what_it_says_is_refused(
    other: Other, copy: Copy, spoil: Callable[[list[Any]], None]
) -> None:
    """Nothing is written that could be taken for it, and what was known goes on from there."""
    copy.follow()
    other.publish(SERIES[3])
    other.spoil_steps = other.spoil_table = spoil
    followed = copy.follow()
    assert (followed.standing, bool(followed.divergence), bool(followed.mismatch)) == (None, True, True)
    assert not copy.table_path.exists()
    other.spoil_steps = other.spoil_table = id
    assert (copy.follow().is_whole, copy.table) == (False, other.table)


def test_what_can_not_be_proved_in_time_is_left_out(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PROOF_S", -1.0)
    assert copy.follow().is_whole
    assert copy.serials == []


def whole_body(other: Other) -> bytes:
    answer = other.answer("/generation/table")
    assert isinstance(answer, bytes)
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (response(b'{"error": "there is no data to serve yet"}', 503), "status 503: there is no data to serve yet"),
        (response(b"<html>", 502), "status 502"),
        (response(status=301, Location="/other"), "status 301"),
        (response(status=404), "is it a pyRTR"),
        (response(b""), "can't be read"),
        (response(b"\x90"), "can't be read"),
        (response(b"{}"), "can't be read"),
        (response(bytes(100_001)), "more than 100000 octets"),
        (response(b"", Content_Encoding="gzip"), "Content-Encoding is 'gzip'"),
        (b"", "no answer"),
        (chunked(b"\x93", end=b""), "no answer"),
        (response(b"\x93", Content_Length=1000), "no answer"),
    ],
    ids=[
        "not ready", "bad gateway", "redirect", "not found", "empty", "cut", "JSON", "too long", "compressed",
        "silence", "a chunk without an end", "less than promised",
    ],
)  # fmt: skip
def test_an_answer_that_is_none(other: Other, copy: Copy, answer: bytes, named: str) -> None:
    """The next look is as good as any."""
    other.table_answer = answer
    with pytest.raises(SourceError, match=named):
        copy.follow()
    other.table_answer = None
    assert copy.follow().is_whole
    other.publish(SERIES[3])
    other.steps_answer = b""
    with pytest.raises(SourceError, match="no answer"):
        copy.follow()
    other.steps_answer = None
    assert not copy.follow().is_whole


def test_nobody_is_there(copy: Copy) -> None:
    copy.url = "http://127.0.0.1:1"
    with pytest.raises(SourceError, match="no connection"):
        copy.follow()


def test_a_full_disk(copy: Copy) -> None:
    copy.folder /= "missing"
    with pytest.raises(StoreError, match="can't be written"):
        copy.follow()


def test_every_cut_is_seen(other: Other) -> None:
    body = whole_body(other)
    for size in range(len(body)):
        with pytest.raises(SourceError):
            read_table(body[:size])
    with pytest.raises(SourceError):
        read_table(body + b"\0")


def unsorted(value: list[Any]) -> None:
    value[1][0] = value[1][0] + value[1][0]


def half_a_row(value: list[Any]) -> None:
    value[1][1] += b"\0"


def too_long(value: list[Any]) -> None:
    value[1][0] = bytes((192, 0, 2, 0, 33, 24)) + bytes(4)


def too_short(value: list[Any]) -> None:
    value[1][1] = bytes(16) + bytes((0, 1)) + bytes(4)


def host_bits(value: list[Any]) -> None:
    value[1][0] = bytes((10, 0, 0, 1, 8, 8)) + bytes(4)


def host_bits_of_ipv6(value: list[Any]) -> None:
    value[1][1] = bytes(15) + bytes((1, 127, 127)) + bytes(4)


def no_key(value: list[Any]) -> None:
    value[1][2] = [[b"", 1, b""]]


def key_twice(value: list[Any]) -> None:
    value[1][2] *= 2


def unsorted_keys(value: list[Any]) -> None:
    value[1][2].insert(0, [SKI, MAX_ASN, SPKI])


def no_providers(value: list[Any]) -> None:
    value[1][3] = [[64496, []]]


def customer_twice(value: list[Any]) -> None:
    value[1][3].append([value[1][3][-1][0], [64500]])


def unsorted_customers(value: list[Any]) -> None:
    value[1][3].append([1, [64500]])


def huge_session(value: list[Any]) -> None:
    value[0]["sessions"]["V1"] = [65536]


def no_session(value: list[Any]) -> None:
    value[0]["sessions"]["V2"] = []


def no_serial(value: list[Any]) -> None:
    value[0]["serial"] = -1


def no_digest(value: list[Any]) -> None:
    value[0]["content"] = ""


@pytest.mark.parametrize(
    "spoil",
    [
        unsorted, half_a_row, too_long, too_short, host_bits, host_bits_of_ipv6, no_key, key_twice, unsorted_keys,
        no_providers, customer_twice, unsorted_customers,
        huge_session, no_session, no_serial, no_digest,
    ],
)  # fmt: skip
def test_what_is_no_payload_is_refused(other: Other, spoil: Callable[[list[Any]], None]) -> None:
    value = msgpack.unpackb(whole_body(other))
    spoil(value)
    with pytest.raises(SourceError):
        read_table(msgpack.packb(value))


STEP = [b"", b"", b"", b"", [], [], []]  # changes nothing


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((place, bytes((10, 0, 0, 1, 8, 8)) + bytes(4)) for place in (0, 1)),
        *((place, bytes(15) + bytes((1, 127, 127)) + bytes(4)) for place in (2, 3)),
        *((place, [[SKI, 64496, SPKI]] * 2) for place in (4, 5)),
        *((place, [[SKI, 64497, SPKI], [SKI, 64496, SPKI]]) for place in (4, 5)),
        (6, [[64496, [], [64500]], [64496, [64500], []]]),
        (6, [[64497, [], [64500]], [64496, [], [64500]]]),
        (6, [[64496, [], []]]),
        (6, [[64496, [], [64500, 64500]]]),
    ],
    ids=lambda part: str(part) if isinstance(part, int) else "",
)
def test_a_step_that_is_none_is_refused(place: int, value: object) -> None:
    """Routers would be sent what it says: a record twice, one that can't be, or a withdrawal of nothing."""
    step = [0, bytes(32), [*STEP[:place], value, *STEP[place + 1 :]]]
    raw_steps = msgspec.msgpack.decode(msgpack.packb([step]), type=list[RawStep])
    with pytest.raises(SourceError, match="its steps can't be read"):
        steps_of(raw_steps)


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(body: bytes) -> None:
    for read in (read_steps, read_table):
        with pytest.raises(SourceError):
            read(body)


def test_sessions_go_on_while_the_newest_of_before_holds() -> None:
    before = Sessions((1,), (2,), (3,))
    assert Sessions((9, 1), (2,), (3,)).continues(before)
    assert not before.continues(Sessions((9, 1), (2,), (3,)))
    assert not Sessions((1,), (2,), (9,)).continues(before)


@given(payloads=histories, first=st.sampled_from((0, 2**32 - 2)), data=st.data())
def test_every_path_is_proved_and_nothing_else(payloads: Any, first: int, data: st.DataObject) -> None:
    tables = [PayloadTable.of(payload) for payload in payloads]
    steps, serial = [], first
    for old, new in pairwise(tables):
        steps.append(Step(serial, difference(old, new), content_digest(old)))
        serial = next_serial(serial)
    start, end = (first, content_digest(tables[0])), (serial, content_digest(tables[-1]))
    assert forward(tables[0], start, steps, end) == tables[-1]
    assert proved(tables[-1], serial, steps, lambda: False) == steps
    if not steps:
        return
    wrong = data.draw(st.integers(0, len(steps) - 1))
    step = steps[wrong]
    spoilt = data.draw(
        st.sampled_from(
            (Step(step.from_serial, step.delta, bytes(32)), Step(next_serial(serial), step.delta, step.content))
        )
    )
    broken = [*steps[:wrong], spoilt, *steps[wrong + 1 :]]
    with pytest.raises(DeltaError):
        forward(tables[0], start, broken, end)
    with pytest.raises(DeltaError):
        proved(tables[-1], serial, broken, lambda: False)
    with pytest.raises(DeltaError):
        forward(tables[0], start, [*steps[:wrong], *steps[wrong + 1 :]], end)
