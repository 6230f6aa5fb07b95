"""The sandbox starts, stops, starts again where it was, and tells a proxy how to find it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import consent_proxy
from consent_proxy.sandbox.server import Sandbox

PROMPT = {"prompt": "a lighthouse at dusk"}


def test_every_host_has_a_port_of_its_own(sandbox: Sandbox) -> None:
    urls = [
        sandbox.control_url,
        sandbox.fal_run_url,
        sandbox.fal_queue_url,
        sandbox.fal_rest_url,
        sandbox.fal_cdn_url,
        sandbox.fal_api_url,
        f"http://{sandbox.fal_output_host}",
        sandbox.replicate_api_url.removesuffix("/v1"),
        f"http://{sandbox.replicate_delivery_host}",
        f"http://{sandbox.replicate_stream_host}",
    ]

    assert len(set(urls)) == len(urls)
    assert all(re.fullmatch(r"http://127\.0\.0\.1:\d+", url) for url in urls)


def test_credentials_differ_from_start_to_start_unless_given() -> None:
    one, other = Sandbox(), Sandbox()

    assert one.fal_key != other.fal_key
    assert one.replicate_token != other.replicate_token
    assert Sandbox(fal_key="k:s", replicate_token="r8_t").fal_key == "k:s"


def test_the_environment_points_a_proxy_here(sandbox: Sandbox) -> None:
    environment = sandbox.environment()

    assert environment["CONSENT_PROXY_FAL__KEY"] == sandbox.fal_key
    assert environment["CONSENT_PROXY_FAL__QUEUE_URL"] == sandbox.fal_queue_url
    assert environment["CONSENT_PROXY_REPLICATE__TOKEN"] == sandbox.replicate_token
    assert environment["CONSENT_PROXY_REPLICATE__API_URL"].endswith("/v1")
    assert json.loads(environment["CONSENT_PROXY_FAL__OUTPUT_HOSTS"]) == [sandbox.fal_output_host]
    assert json.loads(environment["CONSENT_PROXY_REPLICATE__DELIVERY_HOSTS"]) == [sandbox.replicate_delivery_host]


def test_started_again_it_is_where_it_was() -> None:
    sandbox = Sandbox()
    with sandbox, httpx.Client(trust_env=False, verify=False) as http:
        url, headers = f"{sandbox.fal_run_url}/a/b", {"authorization": f"Key {sandbox.fal_key}"}
        assert http.post(url, json=PROMPT, headers=headers).status_code == 200
    with httpx.Client(trust_env=False, verify=False) as http, pytest.raises(httpx.ConnectError):
        http.post(url, json=PROMPT, headers=headers)

    with sandbox, httpx.Client(trust_env=False, verify=False) as http:
        assert http.post(url, json=PROMPT, headers=headers).status_code == 200

    assert len(sandbox.wire.requests()) == 2


def test_a_taken_port_is_an_error_and_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()


def test_it_cannot_be_started_twice_and_can_be_stopped_twice() -> None:
    sandbox = Sandbox().start()
    try:
        with pytest.raises(RuntimeError, match="running already"):
            sandbox.start()
    finally:
        sandbox.stop()
    sandbox.stop()


def test_in_the_foreground_it_tells_its_settings_and_ends_when_asked() -> None:
    program = "from consent_proxy.sandbox.server import serve_forever; serve_forever(fal_key='k:s')"
    source = str(Path(consent_proxy.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("export CONSENT_PROXY_REPLICATE__STREAM_HOSTS=")):
            line = process.stdout.readline()
            assert line, "it ended before it said everything"
            lines.append(line.strip())

        shown = httpx.get(lines[1], trust_env=False).json()
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=20)

    assert "export CONSENT_PROXY_FAL__KEY=k:s" in lines
    assert shown["requests"] == []
    assert (process.returncode, complaints) == (0, "")
