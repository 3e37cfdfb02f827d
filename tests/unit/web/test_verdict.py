"""What `/healthz` judges by."""

from dataclasses import replace

import pytest

from pyrtr.web.verdict import Condition, judge

GOOD = Condition(
    is_ready=True,
    source_error=None,
    expiry_error=None,
    storage_error=None,
    state_error=None,
    history_error=None,
    age_s=60.0,
    max_age_s=3600.0,
    is_withdrawn=False,
    divergence=None,
    fleet_error=None,
    slurm_error=None,
    failing=(),
    held=(),
    held_for_s=0.0,
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_ready": False}, ["no data to serve: the first look at the source has not ended"]),
        ({"is_ready": False, "source_error": "no such file"}, ["no data to serve: no such file"]),
        ({"storage_error": "disk full"}, ["nothing new is published, since it can't be stored: disk full"]),
        ({"expiry_error": "killed"}, ["what has expired is still served: killed"]),
        (
            {"divergence": "serial 7 differs", "source_error": "serial 7 differs"},
            ["no router is served, since what is followed contradicts itself: serial 7 differs"],
        ),
        ({"age_s": 3600.0}, []),
        ({"age_s": 3601.0}, ["the data is stale: 3601 s old, at most 3600 s are trusted"]),
        ({"age_s": None}, []),
        ({"age_s": 9999.0, "is_withdrawn": True}, ["the data was stale and is withdrawn; its limit is 3600 s"]),
        (
            {"held": ("takes away 3 of 4", "is odd"), "held_for_s": 59.4},
            ["a load is held back for another 59 s, or until `pyrtr accept`, because it takes away 3 of 4; it is odd"],
        ),
        (
            {"storage_error": "disk full", "age_s": 4000.0},
            [
                "nothing new is published, since it can't be stored: disk full",
                "the data is stale: 4000 s old, at most 3600 s are trusted",
            ],
        ),
    ],
)
def test_reasons(changes, words):
    verdict = judge(replace(GOOD, **changes))
    assert list(verdict.reasons) == words
    assert verdict.is_healthy is (not words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        (
            {"source_error": "not JSON"},
            ["the last look at the source failed, and the data before it is served on: not JSON"],
        ),
        ({"history_error": "disk full"}, ["what changes is not in the history for people: disk full"]),
        ({"state_error": "read-only"}, ["a restart will lose the routers' place: read-only"]),
    ],
)
def test_warnings(changes, words):
    verdict = judge(replace(GOOD, **changes))
    assert list(verdict.warnings) == words
    assert verdict.is_healthy


def test_what_serves_no_router_is_not_said_to_be_served_on():
    assert judge(replace(GOOD, divergence="serial 7 differs", source_error="serial 7 differs")).warnings == ()
