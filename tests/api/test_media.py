"""Media over HTTP: taken in by their bytes, stripped, held for one caller and person, and deleted."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.settings import MediaSettings
from tests.api.problems import problem_of
from tests.live import KEY, Live, a_person, live_service
from tests.media.jpegs import JPEGS
from tests.media.tells import MARK, MARKS
from tests.postgres import clone
from tests.served import wait_for

PDF = b"%PDF-1.7\n" + b"x" * 200


@pytest.fixture(scope="module")
def photo() -> bytes:
    """A photo with a place, a camera, an owner and all the rest in it."""
    return JPEGS["baseline"]()


@pytest.fixture
def person() -> str:
    return a_person()


def upload(live: Live, person: str | None, content: Any, **how: Any) -> httpx.Response:
    return live.call("POST", "/v1/media", subject=person, content=content, **how)


def at_rest(live: Live) -> bytes:
    """Every byte that lies in the service's folder."""
    return b"".join(path.read_bytes() for path in sorted(live.folder.rglob("*")) if path.is_file())


def worked_on(live: Live) -> list[Path]:
    """Files as they came, or on their way; a process's lock is none."""
    found = os.walk(live.folder / "media" / "work")  # which does not mind what is removed meanwhile
    return [Path(folder, name) for folder, _, names in found for name in names if name != "lock"]


def test_a_photo_is_stripped_and_held(live: Live, person: str, photo: bytes) -> None:
    answer = upload(live, person, photo)
    assert answer.status_code == 201, answer.text
    held = answer.json()
    assert set(held) == {"id", "url", "media_type", "bytes", "removed", "expires_at"}
    assert held["url"] == f"{live.url}/v1/media/{held['id']}"
    assert held["media_type"] == "image/jpeg"
    assert 0 < held["bytes"] < len(photo)
    assert {"location", "camera", "owner", "dates", "thumbnail"} <= set(held["removed"])
    assert answer.headers["cache-control"] == "no-store"


def test_nothing_that_was_in_it_is_found_at_rest_or_in_a_table(live: Live, person: str, photo: bytes) -> None:
    assert upload(live, person, photo).status_code == 201
    lying = at_rest(live)
    assert lying
    assert not any(mark in lying for mark in MARKS)
    assert photo[-2_000:-1_000] not in lying  # nor the pixels: what is kept is sealed
    assert live.holds(MARK.decode()) == []
    assert live.holds(person) == []
    assert worked_on(live) == []


def test_a_form_holds_one_file_whatever_it_is_called(live: Live, person: str, photo: bytes) -> None:
    files = {"file": ("mia-at-home.exe", photo, "application/x-msdownload")}
    answer = live.call("POST", "/v1/media", subject=person, files=files, data={"note": "left out"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["media_type"] == "image/jpeg"
    assert live.holds("mia-at-home") == []


def test_it_may_come_in_pieces_of_unknown_length(live: Live, person: str, photo: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        for at in range(0, len(photo), 777):
            yield photo[at : at + 777]

    answer = upload(live, person, pieces(), headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["media_type"]) == (201, "image/jpeg")


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 415, "media-type-unsupported"),
        (PDF, 415, "media-type-unsupported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>", 415, "media-type-unsupported"),
        (b"just text", 415, "media-type-unsupported"),
        (b"\xff\xd8\xff\xe0" + bytes(300), 422, "media-not-clean"),
    ],
)
def test_what_is_no_medium_or_cannot_be_cleaned_is_refused(
    live: Live, person: str, content: bytes, status: int, reason: str
) -> None:
    answer = upload(live, person, content, headers={"Content-Type": "image/jpeg"})
    problem_of(answer, status, reason)
    assert worked_on(live) == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (
            b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nfield\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\ncontent-disposition: form-data; name="a"; filename="b"\r\n\r\nnot ended',
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_form_without_one_whole_file_is_refused(live: Live, person: str, body: bytes, content_type: str) -> None:
    answer = upload(live, person, body, headers={"Content-Type": content_type})
    problem_of(answer, 422, "body-invalid")


def test_a_form_with_two_files_is_refused(live: Live, person: str, photo: bytes) -> None:
    files = [("file", ("a.jpg", photo)), ("file", ("b.jpg", photo))]
    problem_of(live.call("POST", "/v1/media", subject=person, files=files), 422, "body-invalid")


def test_an_upload_needs_a_person_and_a_credential_that_may(live: Live, person: str, photo: bytes) -> None:
    problem_of(upload(live, None, photo), 400, "subject-missing")
    problem_of(upload(live, person, photo, key=None), 401, "credential-missing")
    problem_of(upload(live, person, photo, key=live.key("auditor")), 403, "role-missing")
    assert upload(live, person, photo, key=live.key("gateway")).status_code == 201
    assert upload(live, None, photo, key=live.token(person)).status_code == 201


def test_holding_is_not_sending_so_it_needs_no_consent(live: Live, person: str, photo: bytes) -> None:
    assert upload(live, person, photo).status_code == 201
    assert live.records(person) == []
    assert live.sandbox.wire.requests() == []


def test_what_is_deleted_is_gone_and_nobody_else_deletes_it(live: Live, person: str, photo: bytes) -> None:
    path = f"/v1/media/{upload(live, person, photo).json()['id']}"
    problem_of(live.call("DELETE", path), 400, "subject-missing")
    problem_of(live.call("DELETE", path, subject=a_person()), 404, "media-not-yours")
    problem_of(live.call("DELETE", path, subject=person, key=live.key("gateway")), 404, "media-not-yours")
    assert live.call("DELETE", path, subject=person).status_code == 204
    problem_of(live.call("DELETE", path, subject=person), 404, "media-not-yours")
    problem_of(live.call("DELETE", f"/v1/media/{uuid4()}", subject=person), 404, "media-not-yours")
    assert live.call("GET", path, subject=person).status_code == 405


def test_a_withdrawal_of_everything_destroys_what_is_held(live: Live, person: str, photo: bytes) -> None:
    live.decide(person)
    media_id = upload(live, person, photo).json()["id"]
    live.withdraw(person)
    live.decide(person)
    problem_of(live.call("DELETE", f"/v1/media/{media_id}", subject=person), 404, "media-not-yours")


@pytest.fixture(scope="module")
def narrow(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """A service that takes small files only."""
    with clone(postgres) as database:
        media = MediaSettings(max_bytes=100_000)
        with live_service(database, live_sandbox, media=media) as live:
            yield live


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_that_is_too_large_is_refused_as_soon_as_that_is_plain(
    narrow: Live, person: str, declared: bool
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(1_000)

    content = bytes(100_001) if declared else endless()
    problem_of(upload(narrow, person, content), 413, "body-too-large")
    assert worked_on(narrow) == []


def test_a_caller_who_hangs_up_leaves_nothing_behind(narrow: Live, person: str) -> None:
    with socket.create_connection(("127.0.0.1", int(narrow.url.rpartition(":")[2]))) as connection:
        head = (
            f"POST /v1/media HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nconsent-subject: {person}\r\n"
            "content-length: 90000\r\n\r\n"
        )
        connection.sendall(head.encode() + bytes(50_000))
        assert wait_for(lambda: bool(worked_on(narrow)), within=10)
    assert wait_for(lambda: not worked_on(narrow), within=10)


def test_a_store_that_is_away_is_told_and_comes_back(narrow: Live, person: str, photo: bytes) -> None:
    held = narrow.folder / "media" / "held"
    assert upload(narrow, person, photo).status_code == 201
    held.rename(held.with_name("away"))
    held.write_text("a file stands in the folder's place")
    answer = upload(narrow, person, photo)
    problem_of(answer, 503, "ledger-unavailable")
    assert "store" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "1"
    held.unlink()
    held.with_name("away").rename(held)
    assert upload(narrow, person, photo).status_code == 201
