"""Which loads are doubted: by how much they take away, in sum, of one trust anchor, and of the ASPAs."""

from __future__ import annotations

import pytest

from pyrtr.compiler.guard import MIN_ANCHOR_VRPS, Loss, Losses, is_worse, objections

NONE = Loss(0, 0)

# Most that is accepted in percent; VRPs; those of each trust anchor; ASPAs; why it is held back.
CASES: dict[str, tuple[float, Loss, dict[str, Loss], Loss, list[str]]] = {
    "nothing goes": (20, Loss(1000, 0), {"a": Loss(1000, 0)}, Loss(5, 0), []),
    "nothing was held": (20, NONE, {}, NONE, []),
    "nothing was held of an anchor": (20, Loss(1000, 1), {"a": NONE, "b": Loss(1000, 1)}, NONE, []),
    "exactly the limit": (20, Loss(1000, 200), {"a": Loss(1000, 200)}, NONE, []),
    "one more": (
        20,
        Loss(1000, 201),
        {},
        NONE,
        ["takes away 201 of 1000 (20.1 %) VRPs, at most 20 % are accepted"],
    ),
    "an anchor alone": (
        20,
        Loss(1000, 100),
        {"a": Loss(100, 100), "b": Loss(900, 0)},
        NONE,
        ["takes away 100 of 100 (100.0 %) VRPs of a, at most 20 % are accepted"],
    ),
    "a small anchor": (20, Loss(1000, 99), {"a": Loss(MIN_ANCHOR_VRPS - 1, 99)}, NONE, []),
    "an anchor at the limit": (20, Loss(1000, 20), {"a": Loss(MIN_ANCHOR_VRPS, 20)}, NONE, []),
    "an anchor above it": (
        20,
        Loss(1000, 21),
        {"a": Loss(MIN_ANCHOR_VRPS, 21)},
        NONE,
        ["takes away 21 of 100 (21.0 %) VRPs of a, at most 20 % are accepted"],
    ),
    "an operator's own assertions": (20, Loss(1000, 150), {"slurm": Loss(150, 150)}, NONE, []),
    "few VRPs in all": (
        20,
        Loss(2, 1),
        {"a": Loss(2, 1)},
        NONE,
        ["takes away 1 of 2 (50.0 %) VRPs, at most 20 % are accepted"],
    ),
    "all ASPAs": (20, Loss(1000, 0), {}, Loss(3, 3), ["takes away all 3 ASPAs"]),
    "all ASPAs but one": (20, Loss(1000, 0), {}, Loss(3, 2), []),
    "the only ASPA": (100, Loss(1000, 0), {}, Loss(1, 1), ["takes away all 1 ASPAs"]),
    "a limit of zero": (0, Loss(3, 1), {}, NONE, ["takes away 1 of 3 (33.3 %) VRPs, at most 0 % are accepted"]),
    "a limit of zero, and nothing goes": (0, Loss(3, 0), {"a": Loss(3, 0)}, NONE, []),
    "no limit": (100, Loss(1000, 1000), {"a": Loss(1000, 1000)}, NONE, []),
    "a fraction": (0.5, Loss(1000, 6), {}, NONE, ["takes away 6 of 1000 (0.6 %) VRPs, at most 0.5 % are accepted"]),
    "everything": (
        20,
        Loss(300, 300),
        {"b": Loss(150, 150), "a": Loss(150, 150)},
        Loss(2, 2),
        [
            "takes away 300 of 300 (100.0 %) VRPs, at most 20 % are accepted",
            "takes away 150 of 150 (100.0 %) VRPs of a, at most 20 % are accepted",
            "takes away 150 of 150 (100.0 %) VRPs of b, at most 20 % are accepted",
            "takes away all 2 ASPAs",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_objections(case):
    max_shrink, vrps, by_anchor, aspas, expected = CASES[case]
    assert list(objections(Losses(vrps, by_anchor, aspas), max_shrink).values()) == expected


KNOWN = Losses(Loss(1000, 300), {"a": Loss(300, 300), "b": Loss(700, 0)}, Loss(3, 0))


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (KNOWN, False),
        (Losses(Loss(1000, 330), {"a": Loss(300, 300), "b": Loss(700, 30)}, Loss(3, 1)), False),  # the world goes on
        (Losses(Loss(1000, 331), {"a": Loss(300, 300), "b": Loss(700, 31)}, Loss(3, 0)), True),  # clearly more
        (Losses(Loss(1000, 300), {"a": Loss(300, 0), "b": Loss(700, 300)}, Loss(3, 0)), True),  # another trust anchor
        (Losses(Loss(1000, 300), {"a": Loss(300, 300), "b": Loss(700, 0)}, Loss(3, 3)), True),  # all ASPAs as well
        (Losses(Loss(1000, 10), {"a": Loss(300, 10), "b": Loss(700, 0)}, Loss(3, 0)), False),
    ],
)
def test_what_is_worse(losses, expected):
    assert is_worse(losses, KNOWN, 20) is expected
