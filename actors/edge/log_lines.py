"""How does a process of the company say what happened? One line of JSON on its standard error."""

import logging
import os
from datetime import UTC, datetime
from typing import Final

import orjson

from actors.tracing.spans import current_request_id

LEVEL_VARIABLE: Final = "TROUPE_LOG"


class JsonLines(logging.Formatter):
    """A line of JSON per message: `at` (UTC), `level`, `logger`, `process`, `message`; `request_id` if it is about one,
    and `error` with the traceback if there is one. No arguments of calls are in a traceback, so no prompt is.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
        }
        if request_id := getattr(record, "request_id", None) or current_request_id():
            line["request_id"] = request_id
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def log_as_lines(process: str) -> None:
    """Has all that we log written as lines from now on, from the level in `TROUPE_LOG` (`WARNING`) upwards."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(process))
    for name in ("troupe", "actors"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(os.environ.get(LEVEL_VARIABLE, "WARNING").upper())
