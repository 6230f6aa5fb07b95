"""Lines of the log: one each, with the type and place of what went wrong and never its message."""

import asyncio
import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from consent_proxy.cli.log_lines import FirstLine, JsonLines, TextLines, log_config

SECRET = "what the person wrote"


@pytest.fixture(params=[JsonLines, TextLines])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What a logger of nobody's writes in either form."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.setFormatter(request.param())
    handler.addFilter(FirstLine())
    loggers = [logging.getLogger(name) for name in ("of.a.test", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    yield told
    for logger in loggers:
        logger.removeHandler(handler)
        logger.propagate = True


def fail() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def test_an_exception_is_told_by_its_types_and_places(lines: io.StringIO) -> None:
    try:
        fail()
    except RuntimeError:
        logging.getLogger("of.a.test").exception("it broke")
    told = lines.getvalue()
    assert SECRET not in told
    assert "RuntimeError at test_log_lines.py:" in told
    assert "after ValueError at test_log_lines.py:" in told


async def test_a_task_that_nobody_awaited_is_told_without_what_it_failed_on(lines: io.StringIO) -> None:
    task = asyncio.ensure_future(asyncio.sleep(0))
    await task
    loop = asyncio.get_running_loop()
    loop.default_exception_handler(
        {"message": "Task exception was never retrieved", "exception": ValueError(SECRET), "future": SECRET}
    )
    told = lines.getvalue()
    assert "Task exception was never retrieved" in told
    assert SECRET not in told


def test_json_lines_are_one_object_each_whatever_they_say() -> None:
    record = logging.LogRecord("a", logging.WARNING, __file__, 1, "said %s", ('"\n\u2028é"',), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'said "\n\u2028é"'
    assert json.loads(line)["level"] == "warning"


@pytest.mark.parametrize(("level", "theirs"), [("debug", "WARNING"), ("info", "WARNING"), ("error", "ERROR")])
def test_other_peoples_loggers_are_heard_from_warnings_on(level: str, theirs: str) -> None:
    config: dict[str, Any] = log_config(log_format="json", level=level)
    assert config["root"]["level"] == theirs
    assert config["loggers"]["consent_proxy"]["level"] == level.upper()
    logging.config.DictConfigurator(config)
