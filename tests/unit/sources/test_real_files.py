"""Files that other projects test with, and real ones of operators: read from beside the repository if they are there.

They are not ours to pass on. The repository carries one file of its own, which is read in any case.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from tests.property import reader_oracle

from pyrtr.errors import SourceError
from pyrtr.payload.delta import difference
from pyrtr.sources import auto, routinator, rpki_client
from pyrtr.sources.auto import read

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "data" / "real"
BEFORE_ALL_OF_THEM = 0.0  # Unix time: nothing has expired

NO_ROAS = "missing required field `roas`"

# IPv4 and IPv6 VRPs, router keys, ASPAs; and what is dropped.
READ: dict[str, tuple[tuple[int, int, int, int], dict[str, int]]] = {
    # "asn": "AS" twice, "prefix": null, and fd6d:3f59:4c68::/48-64 AS4242423878 twice
    "dn42-roa-export/export_dn42.json": ((1612, 1411, 0, 0), {"malformed": 1, "asn": 2, "duplicate": 1}),
    "arouteserver/ripe-rpki-cache.json": ((10, 4, 0, 0), {"duplicate": 14}),  # the same ROAs by rsync and by RRDP
    "arouteserver/rpki_aspas_invalid.json": ((0, 0, 0, 1), {"malformed": 2, "customer": 2, "asn": 1}),
    "arouteserver/rpki_aspas_ntt.json": ((1, 0, 0, 3), {}),
    "arouteserver/rpki_aspas_ripe.json": ((1, 0, 0, 3), {"providers": 1}),
    "arouteserver/rpki_roas_octorpki-validity.json": ((1, 0, 0, 0), {}),
    "arouteserver/rpki_roas_rpki-client_expired.json": ((1, 0, 0, 0), {}),
    "gortr/test.rpki.json": ((2, 0, 0, 0), {}),
    "routinator/output-100.json": ((1, 0, 0, 0), {"duplicate": 1}),
    "routinator/output-101.json": ((1, 0, 0, 1), {"duplicate": 1}),
    "routinator/output-110.json": ((1, 0, 0, 0), {"duplicate": 1, "public_key": 2}),  # keys of zeros only, no DER
    "routinator/output-111.json": ((1, 0, 0, 1), {"duplicate": 1, "public_key": 2}),
    "rpkilog/roa_test.routinator_jsonext": ((1, 1, 0, 0), {}),
    "rpkilog/roa_test.rpkiclient2021_json": ((22, 48, 0, 0), {}),
    "rpkilog/roa_test.rpkiclient2023_json": ((8, 371, 3, 2), {}),
    "rtrtr/empty.json": ((0, 0, 0, 0), {}),
    "rtrtr/vrps-metadata.json": ((1, 1, 0, 0), {}),
    "rtrtr/vrps.json": ((1, 1, 0, 0), {}),
    "rtrtr/vrps.rpki-client.json": ((1, 1, 1, 0), {}),
    "stayrtr/cmd_stayrtr_smalltest.rpki.json": ((1, 1, 0, 0), {}),
    "stayrtr/cmd_stayrtr_test.rpki.json": ((5, 14, 3, 2), {}),
    "sample/rpki-client.json": ((7791, 2209, 12, 300), {}),
}
# As above; bare arrays, which rpki-client does not write.
ARRAYS: dict[str, tuple[tuple[int, int, int, int], dict[str, int]]] = {
    "bgpalerter/roas.after.json": ((1, 1, 0, 0), {}),
    "bgpalerter/roas.before.json": ((2, 2, 0, 0), {"host_bits": 1}),
    "bgpalerter/vrp.correct.json": ((3, 0, 0, 0), {}),
    "bgpalerter/vrp.missing.json": ((2, 0, 0, 0), {}),
    "bgpalerter/vrp.wrong.json": ((1, 0, 0, 0), {"host_bits": 1}),
    "rpki-validator-js/test.json": ((4455, 545, 0, 0), {}),
}
REFUSED = {
    "dn42-roa-export/export_rfc8416_dn42.json": NO_ROAS,
    "arouteserver/routinator_local_exceptions.json": NO_ROAS,
    "gortr/test.slurm.json": NO_ROAS,
    "hivedc/rpki-exceptions.json": NO_ROAS,
    "routinator/output-000.json": NO_ROAS,  # Routinator leaves out what it was not asked for
    "routinator/output-001.json": NO_ROAS,
    "routinator/output-010.json": NO_ROAS,
    "routinator/output-011.json": NO_ROAS,
    "routinator/slurm-full.json": NO_ROAS,
    "rpki-rs/slurm-full.json": NO_ROAS,
    "rpki-rs/slurm-full_v2.json": NO_ROAS,
    "rtrtr/exceptions.json": NO_ROAS,
    "stayrtr/cmd_stayrtr_test.slurm.json": NO_ROAS,
    "stayrtr/prefixfile_slurm.json": NO_ROAS,
}
# The whole table of six weeks: unique VRPs, added, removed since the week before.
WEEKS = [
    ("2017-04-13T170202Z", 38575, 38575, 0),
    ("2017-04-20T172701Z", 38840, 281, 16),
    ("2017-04-27T142607Z", 38980, 189, 49),
    ("2017-05-04T022626Z", 39140, 251, 91),
    ("2017-05-11T142755Z", 39319, 224, 45),
    ("2017-05-17T023014Z", 39570, 292, 41),
]

FOLDERS = [*sorted(REAL.glob("fixtures/*")), REAL / "dn42-roa-export", ROOT / "sample"]
FILES = {
    f"{folder.name}/{path.name}": path for folder in FOLDERS for path in sorted(folder.glob("*json*")) if path.is_file()
}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_read_or_refused(name):
    if not REAL.exists():
        print(f"{REAL} is not there: only what the repository carries is read")
    body = FILES[name].read_bytes()
    if name in REFUSED:
        for reader in (rpki_client, routinator, auto):
            reason = "a SLURM file" if reader is auto and b"slurmVersion" in body else REFUSED[name]
            with pytest.raises(SourceError, match=reason):
                reader.read(body, now=BEFORE_ALL_OF_THEM)
        return
    readers = [routinator, auto]
    if name in READ:
        readers.append(rpki_client)
    else:
        with pytest.raises(SourceError, match="Expected `object`, got `array`"):
            rpki_client.read(body, now=BEFORE_ALL_OF_THEM)
    expected = reader_oracle.read(body, BEFORE_ALL_OF_THEM)
    for reader in readers:
        loaded = reader.read(body, now=BEFORE_ALL_OF_THEM)
        table = loaded.table
        sizes = (len(table.ipv4), len(table.ipv6), len(table.router_keys), len(table.aspas))
        assert (sizes, loaded.dropped) == (READ | ARRAYS)[name]
        reader_oracle.assert_holds(loaded, expected)


EXPIRED = {
    "arouteserver/rpki_aspas_ntt.json": (1_000_000_000, {"expired": 1}),
    "arouteserver/rpki_roas_rpki-client_expired.json": (1_027_049_909, {"expired": 1}),
    "rpkilog/roa_test.rpkiclient2023_json": (1_800_000_000, {"expired": 384}),
    "sample/rpki-client.json": (4_102_444_800, {"expired": 10_312}),
}


@pytest.mark.parametrize("name", [name for name in EXPIRED if name in FILES])
def test_a_real_file_expires(name):
    now, dropped = EXPIRED[name]
    body = FILES[name].read_bytes()
    assert read(body, now=now).dropped == dropped
    reader_oracle.assert_holds(read(body, now=now), reader_oracle.read(body, now))


def test_six_weeks_of_2017_change_as_they_did():
    weeks = [(REAL / "compress_roas-2017" / f"derived-{week[0]}.json.xz", *week[1:]) for week in WEEKS]
    table = read(b'{"roas": []}', now=BEFORE_ALL_OF_THEM).table
    for path, count, added, removed in weeks if REAL.exists() else ():
        previous, table = table, read(lzma.decompress(path.read_bytes()), now=BEFORE_ALL_OF_THEM).table
        delta = difference(previous, table)
        assert table.vrp_count == count
        assert len(delta.ipv4.announce) + len(delta.ipv6.announce) == added
        assert len(delta.ipv4.withdraw) + len(delta.ipv6.withdraw) == removed
