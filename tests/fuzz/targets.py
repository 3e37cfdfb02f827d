"""What is fuzzed: a function of octets each, which raises where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz.cache import cache, split
from tests.fuzz.readers import readers
from tests.fuzz.router import router
from tests.fuzz.slurm import slurm
from tests.fuzz.ssh import ssh
from tests.fuzz.wire import codec, framer

CORPUS = Path(__file__).parent / "corpus"

_READERS = readers()
JSON = (_READERS.keys() - {"ccr"}) | {"slurm"}
"""Those that read JSON."""

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "framer": framer,
    "codec": codec,
    "cache": cache,
    "cache-split": split,
    "router": router,
    "slurm": slurm,
    "ssh": ssh,
    **_READERS,
}
