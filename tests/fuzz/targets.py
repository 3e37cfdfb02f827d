"""What is fuzzed: a function of octets each, which raises where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz.cache import cache, split
from tests.fuzz.readers import readers
from tests.fuzz.wire import codec, framer

CORPUS = Path(__file__).parent / "corpus"

JSON: Mapping[str, Callable[[bytes], None]] = readers()
"""Those that read JSON."""

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "framer": framer,
    "codec": codec,
    "cache": cache,
    "cache-split": split,
    **JSON,
}
