"""What each version knows."""

import pytest

from pyrtr.wire.enums import HIGHEST_ERROR_CODE, NON_FATAL_ERROR_CODES, PDU_TYPES, ErrorCode, PduType, Version


def test_pdu_types():
    """8210bis §14, "rpki-rtr-pdu": types 0 to 11 without 5."""
    assert sorted(PduType) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(("version", "missing"), [(0, {9, 11}), (1, {11}), (2, set())])
def test_pdu_types_of_a_version(version, missing):
    assert set(PduType) - PDU_TYPES[Version(version)] == missing


@pytest.mark.parametrize(("version", "highest"), [(0, 7), (1, 8), (2, 13)])
def test_error_codes_of_a_version(version, highest):
    assert HIGHEST_ERROR_CODE[Version(version)] == highest
    assert sorted(ErrorCode) == list(range(14))


@pytest.mark.parametrize(("version", "codes"), [(0, {2}), (1, {2}), (2, {2, 4, 12})])
def test_error_codes_that_do_not_end_the_session(version, codes):
    assert NON_FATAL_ERROR_CODES[Version(version)] == codes
