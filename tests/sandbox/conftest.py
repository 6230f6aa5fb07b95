"""One sandbox for a module's tests, quiet again before each of them."""

from collections.abc import Iterator

import httpx
import pytest

from consent_proxy.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.behave_well()
    running.wire.clear()
    return running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False, timeout=10) as client:  # no TLS here: loading its roots takes long
        yield client
