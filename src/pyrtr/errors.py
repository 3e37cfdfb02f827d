"""The errors that pyRTR raises.

PyrtrError
├── SettingsError    environment variables that do not parse or contradict one another
├── PayloadError     a value that can't be payload
├── DeltaError       a delta that does not fit the table or the deltas beside it
├── SourceError      a source that can't be read, or holds no usable payload: the whole of it is refused
│   ├── SlurmError          SLURM files can't be used, and there are none from before: the source may be good
│   └── NothingLeftError    nothing new can be used, and what was accepted before is lost: it is to be had again
├── StoreError       a file of the state folder that can't be written, or is damaged
│   ├── UnavailableError    it may be good, and can't be read now
│   └── FleetError          what replicas share can't be read or written
│       ├── SupersededError     another replica was first
│       └── LostError           a generation of the stream can't be had from anybody
│           └── DivergenceError     what is had is another one
├── ProblemError     a request over HTTP that can't be answered as it was meant (in `pyrtr.web.api.errors`)
└── ProtocolError    what a peer sent breaks RTR, with the code to answer (in `pyrtr.wire.errors`)
"""

from __future__ import annotations


class PyrtrError(Exception):
    """Root of every error that pyRTR raises on purpose."""


class SettingsError(PyrtrError):
    """The environment does not describe settings that can be served with.

    Attributes:
        problems: one line per problem, which names the variable, its value and what would be accepted.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PayloadError(PyrtrError):
    """A VRP, router key or ASPA outside the limits of its type."""


class DeltaError(PyrtrError):
    """A delta announces what is there, withdraws what is not, or does not follow the one before it."""


class SourceError(PyrtrError):
    """A source is missing, unreadable or not payload; what was served before goes on being served."""


class SlurmError(SourceError):
    """SLURM files can't be used, and there are none from before; nothing is served unfiltered."""


class NothingLeftError(SourceError):
    """No location gives anything new that can be used, and what was accepted before is lost."""


class StoreError(PyrtrError):
    """A stored file can't be written, is damaged, or is not ours."""


class UnavailableError(StoreError):
    """A stored file can't be read now, by no fault of its own: it is in use, or the system has run out of something."""


class FleetError(StoreError):
    """What replicas share can't be reached, read or written; what is served goes on being served."""


class SupersededError(FleetError):
    """Another replica's generation took the place of ours: that one is served, and ours is none."""


class LostError(FleetError):
    """The stream names a generation that nobody gives us; another replica may have it, and give it soon."""


class DivergenceError(LostError):
    """The table of a generation is not what the stream says that it is."""
