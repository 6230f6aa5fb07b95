"""Transfers of several requests: a withdrawal between them, and a process that is killed between them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from PIL import Image

from consent_proxy.adapters.postgres.workers import SETTLE_EVERY
from tests.media.jpegs import dressed
from tests.media.tells import MARKS
from tests.postgres import LedgerDatabase
from tests.served import Asked, Backend, Served, about, serve, wait_for
from tests.system.held_storage import HeldStorage

PERSON = "person-1"
MODEL = "fal-ai/flux/dev/image-to-image"


@pytest.fixture(scope="module")
def photo() -> bytes:
    """More than fal takes inside a request."""
    size = (2_400, 1_700)
    noise = Image.frombytes("RGB", size, Random(4711).randbytes(3 * size[0] * size[1]))
    file = BytesIO()
    noise.save(file, "JPEG", quality=98, subsampling=0)
    return dressed(file.getvalue())


@pytest.fixture
def storage() -> Iterator[HeldStorage]:
    with HeldStorage() as held:
        yield held


def served_with(database: LedgerDatabase, storage: HeldStorage, folder: Path) -> AbstractContextManager[Served]:
    return serve(database_url=database.service_url, data_dir=folder, settings=storage.settings)


def published(served: Served) -> Backend:
    backend = served.backend(timeout=60)
    backend.publish_shipped()
    backend.grant(PERSON)
    return backend


def run(backend: Backend, photo: bytes) -> httpx.Response:
    held = backend.http.post("/v1/media", content=photo, headers=about(PERSON))
    assert held.status_code == 201, held.text
    body = {"prompt": "a fox", "image_url": held.json()["url"]}
    return backend.send(Asked(method="POST", path=f"/fal/run/{MODEL}", json=body, headers=about(PERSON)))


def test_a_withdrawal_while_bytes_are_uploaded_stops_the_run(
    ledger_database: LedgerDatabase, storage: HeldStorage, photo: bytes, tmp_path: Path
) -> None:
    with (
        served_with(ledger_database, storage, tmp_path) as served,
        published(served) as backend,
        served.backend(timeout=60) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        asking: Future[httpx.Response] = pool.submit(run, backend, photo)
        try:
            storage.wait_for("PUT")
            other.withdraw(PERSON)
        finally:
            storage.let_go()
        answer = asking.result()
        assert (answer.status_code, answer.json()["reason"], answer.json()["sent"]) == (
            403,
            "consent-withdrawn",
            "yes",
        )
        assert [request.split(" ")[0] for request in storage.came] == ["POST", "PUT"]
        assert not any(mark in storage.uploaded for mark in MARKS)
        transfer, refusal = other.transfers(PERSON)
        assert (transfer["kind"], refusal["kind"]) == ("transfer", "refusal")
        assert (transfer["outcome"]["state"], transfer["outcome"]["stopped_after"]) == ("delivered", "upload")
        assert refusal["reason"] == "consent-withdrawn"


def test_a_withdrawal_waits_for_a_run_that_was_affirmed_before_it(
    ledger_database: LedgerDatabase, storage: HeldStorage, photo: bytes, tmp_path: Path
) -> None:
    """Whatever of the transfer arrives, arrives before the withdrawal is answered."""
    with (
        served_with(ledger_database, storage, tmp_path) as served,
        published(served) as backend,
        served.backend(timeout=60) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        asking = pool.submit(run, backend, photo)
        storage.wait_for("PUT")
        storage.let_go()
        other.withdraw(PERSON)
        came = list(storage.came)
        asking.result()
        time.sleep(0.3)
        assert storage.came == came


def test_what_a_killed_process_was_uploading_is_settled_and_never_taken_up_again(
    ledger_database: LedgerDatabase, storage: HeldStorage, photo: bytes, tmp_path: Path
) -> None:
    with served_with(ledger_database, storage, tmp_path) as served:
        backend = published(served)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(run, backend, photo)
            storage.wait_for("PUT")
            served.kill()
            with pytest.raises(httpx.TransportError):
                asking.result()
        backend.close()
        storage.let_go()
    with (
        served_with(ledger_database, storage, tmp_path) as again,
        again.backend() as backend,
    ):

        def outcome() -> Any:
            [transfer] = backend.transfers(PERSON)
            return transfer["outcome"]

        assert wait_for(lambda: outcome()["state"] != "pending", within=SETTLE_EVERY + 10)
        assert (outcome()["state"], outcome()["stopped_after"]) == ("indeterminate", None)
        assert [request.split(" ")[0] for request in storage.came] == ["POST", "PUT"]
        assert json.dumps(backend.transfers(PERSON)).count('"placed": "upload"') == 1
