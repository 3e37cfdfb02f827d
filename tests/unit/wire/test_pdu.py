"""The records of PDUs."""

from pyrtr.wire.pdu import SerialNotify, SerialQuery, Timing


def test_the_recommended_intervals():
    """8210bis §6: recommended defaults."""
    assert Timing() == Timing(refresh=3600, retry=600, expire=7200)


def test_pdus_with_the_same_fields_are_not_the_same():
    assert len({SerialNotify(1, 2), SerialQuery(1, 2), SerialNotify(1, 2)}) == 2
