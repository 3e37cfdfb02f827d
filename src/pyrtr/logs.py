"""Log lines: an event and its fields, on stderr, as text for people or as JSON for machines.

What comes from outside (a router's error text, a file's name) can't break a line or reach a terminal as a command:
text shows control characters, line ends and lone surrogates as backslash escapes, JSON as its own escapes. A stderr
that nobody reads any more costs log lines, never the program.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from io import TextIOBase
from typing import TYPE_CHECKING, cast

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import EventDict, FilteringBoundLogger


class LogLevel(StrEnum):
    """The lowest level that is logged; FATAL is another name of CRITICAL."""

    FATAL = "FATAL"
    CRITICAL = "CRITICAL"
    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"
    DEBUG = "DEBUG"


class LogFormat(StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


def configure(level: LogLevel, log_format: LogFormat) -> None:
    """Send pyRTR's log lines, and the standard library's from WARNING upwards, to stderr in one format."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _render_text if log_format is LogFormat.TEXT else _render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _STDERR)),
    )
    logging.getLogger().addHandler(_BRIDGE)


def get_logger() -> FilteringBoundLogger:
    """A logger: `log.info("router connected", router=…)`; `log.bind(router=…)` gives one that repeats its fields.

    Below the configured level a bound logger's methods do nothing at all.
    """
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def printable(text: str) -> str:
    """The text with backslash escapes for what is not printable: line ends, terminal escapes, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Stderr(TextIOBase):
    """Whatever `sys.stderr` is at the moment of writing; what can't be written there is dropped."""

    def write(self, text: str) -> int:
        if sys.stderr is not None:
            try:
                sys.stderr.write(text)
            except BrokenPipeError:
                # What stays in the buffer is tried again at the exit, and would change the exit status to 120.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
            except (OSError, ValueError):  # a full disk; a closed file
                pass
        return len(text)


class _Bridge(logging.Handler):
    """Hands the standard library's records (uvicorn, asyncio) to our own loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        # structlog knows the five usual levels only, where a record may carry any number from WARNING upwards.
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        try:
            get_logger().log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


_STDERR = _Stderr()
_BRIDGE = _Bridge(level=logging.WARNING)


def _render_text(_logger: object, _method: str, event: EventDict) -> str:
    """`TIME LEVEL EVENT key=value …`; the lines of a traceback follow, each behind a bar that no line can fake."""
    head = f"{event.pop('timestamp')} {event.pop('level').upper():<8} {printable(str(event.pop('event')))}"
    traceback = event.pop("exception", "")
    fields = [f"{printable(key)}={_quoted(_worded(value))}" for key, value in event.items()]
    lines = [f"  | {printable(line)}" for line in traceback.splitlines()]
    return "\n".join([" ".join([head, *fields]), *lines])


def _render_json(_logger: object, _method: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    return json.dumps(_plain({**first, **event}))


def _plain(value: object) -> object:
    """The value in JSON's own types, its text encodable."""
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {_encodable(str(key)): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return _encodable(str(value))


def _encodable(text: str) -> str:
    # A lone surrogate is what Python makes of a file name that is not UTF-8; strict readers refuse JSON that holds one.
    return text.encode("utf-8", "backslashreplace").decode()


def _worded(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _quoted(text: str) -> str:
    """The text as one word: quoted where its end would be unclear otherwise."""
    if not text or any(char in text for char in ' "='):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return printable(text)
