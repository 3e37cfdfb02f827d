"""Octets of a SLURM file: a strict reader, and what its files do to a table."""

from __future__ import annotations

from tests.fuzz.readers import NOW, judge
from tests.inputs import SMALL, rpki_client_bytes

from pyrtr.errors import SourceError
from pyrtr.payload.slurm import apply_slurm
from pyrtr.sources import rpki_client
from pyrtr.sources.records.slurm import is_slurm, parse

VALIDATED = rpki_client.read(rpki_client_bytes(SMALL), now=NOW)


def slurm(data: bytes) -> None:
    """A file is refused whole, by its name and on one line, or can be applied to any table."""
    is_slurm(data)
    try:
        file = parse("fuzz.json", data)
    except SourceError as error:
        complaint = str(error)
    else:
        slurmed = apply_slurm(VALIDATED.table, VALIDATED.facts, (file,))
        judge(slurmed.table, slurmed.facts)
        return
    assert complaint.startswith("fuzz.json: ")
    assert complaint.isprintable()
