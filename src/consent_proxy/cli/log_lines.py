"""What a line of the log looks like, for every logger of a process: ids and slugs, never the message of a stranger's
exception, which may quote what was sent.
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

LogFormat = Literal["text", "json"]
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_FRAMES = 8


def log_config(*, log_format: LogFormat, level: str) -> dict[str, Any]:
    """The configuration of `logging` for a process that serves, uvicorn's lines included.

    Other people's loggers are heard from `warning` on, whatever ``level`` says: what they tell below that are URLs.
    """
    ours = level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{__name__}.{'JsonLines' if log_format == 'json' else 'TextLines'}"}},
        "filters": {"first-line": {"()": f"{__name__}.FirstLine"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "lines", "filters": ["first-line"]},
        },
        "root": {"handlers": ["stderr"], "level": max(ours, "WARNING", key=logging.getLevelName)},
        "loggers": {
            "consent_proxy": {"level": ours},
            "uvicorn": {"level": max(ours, "INFO", key=logging.getLevelName)},
        },
    }


class TextLines(logging.Formatter):
    """Lines for people. Of an exception they tell the type and the places, not its message."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's own name
        """The chain of types with the places they came from, in one line."""
        return _told(ei[1])


class JsonLines(TextLines):
    """Lines for programs: one JSON object each."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, in one line."""
        line: dict[str, str | int] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process or 0,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class FirstLine(logging.Filter):
    """Lets every record through, cut to its first line: below it asyncio prints what failed, values included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        message = record.getMessage()
        if "\n" in message:
            record.msg, record.args = message.split("\n", 1)[0], None
        return True


def _told(error: BaseException | None) -> str:
    if error is None:
        return "unknown"
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    told = f"{type(error).__name__} at {places or 'nowhere'}"
    return f"{told}, after {_told(cause)}" if cause is not None else told
