"""What wrk is given to send, and what is read from what it prints."""

import json
from pathlib import Path

import pytest

from benchmarks.load import UNLISTED_FIELD, body, lua_string, read_wrk, subjects, write_script
from benchmarks.processes import BenchmarkFailed

PRINTED = """Running 5s test @ http://127.0.0.1:8080/fal/run/fal-ai/flux/schnell
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    12.11ms    4.05ms  61.20ms   81.07%
    Req/Sec     2.64k   312.77     3.10k    72.00%
  13200 requests in 5.00s, 5.31MB read
Requests/sec:   2640.00
Transfer/sec:      1.06MB
measured {"requests": 13200, "microseconds": 5000000, "p50": 11870.0, "p99": 24010.5, "failed": 3, "broken": 1}
"""


def test_what_wrk_printed_is_read() -> None:
    measured = read_wrk(PRINTED)
    assert measured.per_second == 2640
    assert (measured.p50_ms, measured.p99_ms) == (11.87, 24.0105)
    assert (measured.failed, measured.broken) == (3, 1)


def test_a_run_without_its_line_or_without_an_answer_is_no_measurement() -> None:
    with pytest.raises(BenchmarkFailed, match="did not say"):
        read_wrk("unable to connect to 127.0.0.1:8080 Connection refused")
    with pytest.raises(BenchmarkFailed, match="not one request"):
        read_wrk(PRINTED.replace('"requests": 13200', '"requests": 0'))


def test_the_body_is_about_a_kilobyte_with_one_field_that_no_manifest_lists() -> None:
    assert 900 < len(body()) < 1100
    assert UNLISTED_FIELD in json.loads(body())


def test_the_script_holds_the_key_the_body_and_every_subject(tmp_path: Path) -> None:
    script = tmp_path / "requests.lua"
    write_script(script, key='a "key"')
    written = script.read_text()
    assert r'"Key a \"key\""' in written
    assert lua_string(body().decode()) in written
    assert all(f'"{subject}"' in written for subject in subjects())
    assert "{{" not in written


def test_a_lua_literal_escapes_what_would_end_it() -> None:
    assert lua_string('\\"') == r'"\\\""'
