"""The tables that are asked about, mapped: the last few, so that a stream goes on while newer ones are published."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pyrtr.errors import StoreError
from pyrtr.store.table_file import StoredTable, read_table
from pyrtr.web.lookup.messages import TableName

# A mapping keeps a file's room on the disk, 45 MB of a million VRPs, until it goes.
MAX_TABLES = 3

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """What was made for the last few keys.

    Args:
        make: makes what there is not.
        size: how many are kept.
    """

    def __init__(self, make: Callable[[Key], Value], size: int) -> None:
        self._make = make
        self._size = size
        self._made: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value:
        """What belongs to a key."""
        if key not in self._made:
            self._made[key] = self._make(key)
            while len(self._made) > self._size:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]


def open_table(name: TableName) -> StoredTable:
    """Map a table.

    Raises:
        StoreError: its file is gone, damaged, or another one.
    """
    stored = read_table(Path(name.path), is_mapped=True)
    if stored.digest != name.digest:
        raise StoreError(f"{name.path} is another table than the one that was asked about")
    return stored
