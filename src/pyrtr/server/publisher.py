"""What is published: one immutable record, swapped whole, and the images made from it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from pyrtr.payload.delta import compose
from pyrtr.payload.history import History
from pyrtr.payload.serial import State
from pyrtr.payload.table import PayloadTable
from pyrtr.wire.enums import Version
from pyrtr.wire.image import IPV6_PDU_BYTES, Image, SharedImage, encode_delta, encode_snapshot, is_visible
from pyrtr.wire.pdu import Timing

# A whole table is asked for by who connects anew, mostly in one version. That of another version, which no router is
# being sent any more, is encoded again when it is asked for: 20 ms, against 23 MB of a million VRPs.
MAX_RESTING_SNAPSHOTS = 1
# Routers ask for one of the last few serials. What was asked for longest ago is encoded again when it is asked for.
MAX_DELTA_IMAGES = 32
MAX_DELTA_BYTES = 32 * 2**20
# From each serial it is another delta, and routers that read slowly hold on to theirs. Beyond this sum, one that asks
# from yet another serial is sent the whole table, which all of them share.
MAX_LIVE_DELTA_BYTES = 256 * 2**20

_From = tuple[Version, int]  # a version and a serial


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """What routers are told: a table at a state, and what leads to it (`session.actions.PayloadSource`).

    Attributes:
        timing: intervals of End of Data.
        session_ids: for each version, the one that is told with a whole table, and former ones that still hold.
        serial: the current serial, the same in all versions.
        table: the payload; None before there is any.
        content: digest of the payload (see `store.table_file.content_digest`).
        path, digest: the table's file, with what is known of each entry, and the digest of that.
        history: the steps that lead to `serial`.
        published_at: Unix time at which this serial came to be.
        metadata: the source's own.
        may_catch_up: whether sessions and serials are those of another pyRTR, which is followed.
    """

    timing: Timing
    session_ids: Mapping[Version, tuple[int, ...]]
    serial: int = 0
    table: PayloadTable | None = None
    content: bytes = b""
    path: Path | None = None
    digest: bytes = b""
    history: History = field(default_factory=History)
    published_at: float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    may_catch_up: bool = False
    _snapshots: WeakValueDictionary[Version, SharedImage] = field(default_factory=WeakValueDictionary, repr=False)
    _resting: deque[SharedImage] = field(default_factory=lambda: deque(maxlen=MAX_RESTING_SNAPSHOTS), repr=False)
    _deltas: WeakValueDictionary[_From, SharedImage] = field(default_factory=WeakValueDictionary, repr=False)
    _live_deltas: WeakSet[SharedImage] = field(default_factory=WeakSet, repr=False)
    _resting_deltas: OrderedDict[_From, SharedImage] = field(default_factory=OrderedDict, repr=False)
    _news: dict[_From, bool] = field(default_factory=dict, repr=False)

    @property
    def is_ready(self) -> bool:
        """Whether there is data to serve; the empty set is data, too."""
        return self.table is not None

    def state(self, version: Version) -> State:
        """Session id and current serial of a version."""
        return State(self.session_ids[version][0], self.serial)

    def is_session(self, version: Version, session_id: int) -> bool:
        """Whether a router may hold this session id: serials mean the same in all of a version's sessions."""
        return session_id in self.session_ids[version]

    def snapshot(self, version: Version) -> SharedImage:
        """The whole current table; one image of each version, as long as anybody is sent it or it rests here."""
        assert self.table is not None
        table = self.table
        image = self._snapshots.get(version)
        if image is None:
            image = self._snapshots[version] = SharedImage(lambda: encode_snapshot(version, table))
        self._resting.append(image)
        return image

    def delta(self, version: Version, serial: int) -> SharedImage | None:
        """What leads from `serial` to the current one, or None where that can't be said any more, or not to everybody.

        One image of each version and serial, as long as anybody is sent it or it rests here.
        """
        key = (version, serial)
        image = self._deltas.get(key)
        if image is None:
            deltas = self.history.since(serial)
            if deltas is None:
                return None
            size = sum(map(len, deltas)) * IPV6_PDU_BYTES
            if self._live_deltas and size + _total_bytes(self._live_deltas) > MAX_LIVE_DELTA_BYTES:
                return None
            image = self._deltas[key] = SharedImage(lambda: encode_delta(version, compose(deltas)), size)
            self._live_deltas.add(image)
        resting = self._resting_deltas
        resting[key] = image
        resting.move_to_end(key)
        while len(resting) > MAX_DELTA_IMAGES or (
            len(resting) > 1 and _total_bytes(resting.values()) > MAX_DELTA_BYTES
        ):
            resting.popitem(last=False)
        return image

    def follow(self, former: Published) -> None:
        """This is published after `former`, whose deltas count as ours as long as routers are sent them."""
        self._live_deltas.update(former._live_deltas)

    def is_news(self, version: Version, serial: int) -> bool:
        """Whether a router of `version` that holds `serial` has anything to gain from asking."""
        key = (version, serial)
        if key not in self._news:  # most routers hold one of a few serials
            deltas = self.history.since(serial)
            self._news[key] = deltas is None or any(is_visible(version, delta) for delta in deltas)
        return self._news[key]


def _total_bytes(images: Iterable[SharedImage]) -> int:
    return sum(image.size for image in images)


class Publisher:
    """Holds what is published now, tells who listens that it was swapped, and encodes images off the event loop."""

    def __init__(self, first: Published) -> None:
        self.current = first
        self._listeners: list[Callable[[], None]] = []
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="encode")

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every swap."""
        self._listeners.append(listener)

    def publish(self, published: Published) -> None:
        """Swap what is published."""
        published.follow(self.current)
        self.current = published
        for listener in self._listeners:
            listener()

    def encode(self, image: SharedImage) -> asyncio.Future[Image]:
        """The image, encoded on the one thread for it: who asks in the meantime gets the same one."""
        return asyncio.get_running_loop().run_in_executor(self._encoder, image.get)

    def close(self) -> None:
        """Stop encoding; what was asked for and not begun is dropped."""
        self._encoder.shutdown(wait=False, cancel_futures=True)
