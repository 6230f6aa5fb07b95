"""Media on their way through the door, on real sockets: only cleaned bytes arrive, whatever way they came in."""

import base64
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from io import BytesIO
from random import Random
from typing import Any
from uuid import uuid4
from wave import open as open_wave
from zipfile import ZipFile

import httpx
import pytest
from PIL import Image

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role as Host
from consent_proxy.settings import MediaSettings
from tests.live import Live, a_person, live_service
from tests.media.jpegs import JPEGS, dressed, encoded, scene
from tests.media.tells import MARK, MARKS
from tests.postgres import clone
from tests.source_host import SourceHost, serving_files

FAL_MODEL = "fal-ai/flux/dev/image-to-image"
REPLICATE_MODEL = "black-forest-labs/flux-dev"
TRAINER = "fal-ai/flux-lora-fast-training"
SIGNED = "?X-Amz-Signature=" + "5ec4e7" * 8


@pytest.fixture(scope="module")
def source() -> Iterator[SourceHost]:
    with serving_files() as source:
        yield source


@pytest.fixture(scope="module")
def running(postgres: Cluster, live_sandbox: Sandbox, source: SourceHost) -> Iterator[Live]:
    with clone(postgres) as database:
        media = MediaSettings(source_hosts=(source.host,), max_bytes=20_000_000)
        with live_service(database, live_sandbox, media=media) as live:
            yield live


@pytest.fixture
def live(running: Live, source: SourceHost) -> Live:
    running.sandbox.behave_well()
    running.sandbox.wire.clear()
    source.requests.clear()
    source.redirect_to, source.drip_seconds = None, 0.0
    return running


@pytest.fixture
def person(live: Live) -> str:
    """Somebody who said yes."""
    name = a_person()
    live.decide(name)
    return name


@pytest.fixture(scope="module")
def photo() -> bytes:
    return JPEGS["baseline"]()


@pytest.fixture(scope="module")
def large_photo() -> bytes:
    """More than either provider takes inside a request."""
    size = (2_400, 1_700)
    noise = Image.frombytes("RGB", size, Random(4711).randbytes(3 * size[0] * size[1]))
    file = BytesIO()
    noise.save(file, "JPEG", quality=98, subsampling=0)
    assert 7_500_000 < len(file.getvalue()) < 18_000_000
    return dressed(file.getvalue())


def data_uri(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def hold(live: Live, person: str, content: bytes, **how: Any) -> dict[str, Any]:
    held: dict[str, Any] = live.done("POST", "/v1/media", subject=person, content=content, **how)
    return held


def run(live: Live, person: str, image: Any, **how: Any) -> httpx.Response:
    body = {"prompt": "a fox", "image_url": image}
    return live.call("POST", f"/fal/run/{FAL_MODEL}", subject=person, json=body, **how)


def predict(live: Live, person: str, image: Any) -> httpx.Response:
    path = f"/replicate/v1/models/{REPLICATE_MODEL}/predictions"
    return live.call("POST", path, subject=person, json={"input": {"prompt": "a fox", "image": image}})


def clean(live: Live) -> bool:
    return not any(live.sandbox.wire.contains(mark) for mark in MARKS)


def written_out(text: str) -> tuple[str, bytes]:
    """The type and the bytes of a data URI."""
    head, _, content = text.partition(",")
    return head, base64.b64decode(content)


def earlier_picture(live: Live, person: str) -> str:
    """The address, on our host, of a picture that was made for this person before."""
    made = live.done("POST", "/fal/run/fal-ai/flux/schnell", subject=person, json={"prompt": "a boat"})
    url: str = made["images"][0]["url"]
    return url


def put_at_source(source: SourceHost, photo: bytes) -> str:
    """The signed address under which a source hands the photo out."""
    source.files["/mia/photo.jpg"] = photo
    return source.url(f"/mia/photo.jpg{SIGNED}")


Way = Callable[[Live, str, SourceHost, bytes], Any]
WAYS: dict[str, Way] = {
    "held, by address": lambda live, person, _, photo: hold(live, person, photo)["url"],
    "held, by id": lambda live, person, _, photo: hold(live, person, photo)["id"],
    "held, from a form": lambda live, person, _, photo: live.done(
        "POST", "/v1/media", subject=person, files={"file": ("mia.jpg", photo)}
    )["url"],
    "written out": lambda live, person, _, photo: data_uri(photo),
    "fetched": lambda live, person, source, photo: put_at_source(source, photo),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_only_cleaned_bytes_arrive_whatever_way_they_came_in(
    live: Live, person: str, source: SourceHost, photo: bytes, way: Way
) -> None:
    image = way(live, person, source, photo)
    answer = run(live, person, image)
    assert answer.status_code == 200, answer.text
    [sent] = live.sent()
    head, content = written_out(sent["image_url"])
    assert head == "data:image/jpeg;base64"
    assert content[:3] == b"\xff\xd8\xff"
    assert clean(live)
    assert not live.sandbox.wire.contains(live.url)
    assert not live.sandbox.wire.contains(source.host)

    record = live.done("GET", f"/v1/transfers/{answer.headers['consent-transfer-id']}")
    [medium] = record["media"]
    assert (medium["path"], medium["media_type"], medium["placed"]) == ("image_url", "image/jpeg", "inline")
    assert medium["bytes"] == len(content)
    assert {"location", "camera", "owner"} <= set(medium["removed"])
    assert medium["digest"] != medium["digest_before"]
    assert record["fields_sent"] == ["image_url", "prompt"]
    assert record["categories"] == ["photo", "prompt"]
    assert live.holds(MARK.decode()) == []
    assert live.holds("X-Amz-Signature") == []
    assert live.holds(source.host) == []


def test_an_earlier_result_is_read_again_and_sent_to_the_same_provider_only(live: Live, person: str) -> None:
    url = earlier_picture(live, person)
    live.sandbox.wire.clear()
    answer = run(live, person, url)
    assert answer.status_code == 200, answer.text
    head, content = written_out(live.sandbox.wire.requests(role=Host.FAL_RUN)[0].json()["image_url"])
    assert (head, content[:8]) == ("data:image/png;base64", b"\x89PNG\r\n\x1a\n")
    assert predict(live, person, url).json()["reason"] == "media-source-not-allowed"
    assert live.sandbox.wire.violations == []


def test_somebody_elses_media_are_nobodys(live: Live, person: str, photo: bytes) -> None:
    other = a_person()
    live.decide(other)
    names = (
        hold(live, other, photo)["url"],
        hold(live, person, photo, key=live.key("gateway"))["id"],
        earlier_picture(live, other),
        str(uuid4()),
    )
    live.sandbox.wire.clear()
    for name in names:
        answer = run(live, person, name)
        assert (answer.status_code, answer.json()["reason"]) == (404, "media-not-yours")
        assert live.records(person)[0]["reason"] == "media-not-yours"
    assert live.sandbox.wire.requests() == []


def test_what_was_deleted_or_taken_back_is_not_sent(live: Live, person: str, photo: bytes) -> None:
    dropped, forgotten = hold(live, person, photo), hold(live, person, photo)
    live.call("DELETE", f"/v1/media/{dropped['id']}", subject=person)
    live.withdraw(person)
    live.decide(person)
    for held in (dropped, forgotten):
        assert run(live, person, held["url"]).json()["reason"] == "media-not-yours"
    assert clean(live)


def test_what_a_guest_held_and_made_goes_with_them_when_they_sign_up(live: Live, person: str, photo: bytes) -> None:
    guest = a_person()
    live.decide(guest)
    held, made = hold(live, guest, photo), earlier_picture(live, guest)
    body = {"from": {"subject": guest, "kind": "account"}, "carry": "all"}
    live.done("POST", "/v1/subjects/links", subject=person, json=body)
    live.sandbox.wire.clear()
    for image in (held["id"], made):
        answer = run(live, person, image)
        assert answer.status_code == 200, answer.text
    live.withdraw(person)
    live.decide(person)
    assert run(live, person, held["id"]).json()["reason"] == "media-not-yours"
    assert clean(live)


def test_nothing_is_fetched_or_sent_before_a_yes(live: Live, source: SourceHost, photo: bytes) -> None:
    person = a_person()
    source.files["/photo.jpg"] = photo
    named = hold(live, person, photo)["url"]
    for image in (source.url("/photo.jpg"), named, data_uri(photo)):
        assert run(live, person, image).json()["reason"] == "consent-never-asked"
    live.decide(person)
    assert run(live, person, named).status_code == 200
    live.withdraw(person)
    assert run(live, person, source.url("/photo.jpg")).json()["reason"] == "consent-withdrawn"
    assert source.requests == []


def a_sound() -> bytes:
    file = BytesIO()
    with open_wave(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(1_600))
    return file.getvalue()


def an_archive(**members: bytes) -> bytes:
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (a_sound(), 422, "value-not-allowed"),
        (an_archive(a_jpg=JPEGS["baseline"]()), 422, "value-not-allowed"),
        (b"%PDF-1.7\n", 415, "media-type-unsupported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>", 415, "media-type-unsupported"),
        (b"GIF89a" + bytes(20), 422, "media-not-clean"),
        (b"", 415, "media-type-unsupported"),
    ],
    ids=["a sound", "an archive", "PDF", "SVG", "a broken picture", "nothing"],
)
def test_what_is_in_a_file_decides(live: Live, person: str, content: bytes, status: int, reason: str) -> None:
    answer = run(live, person, data_uri(content))
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert live.sandbox.wire.requests() == []


@pytest.mark.parametrize("kind", ["second-picture", "motion-photo", "zip-behind", "text-behind"])
def test_what_hides_behind_a_picture_stays_here(live: Live, person: str, kind: str) -> None:
    answer = run(live, person, data_uri(JPEGS[kind]()))
    assert answer.status_code == 200, answer.text
    assert clean(live)


def test_a_training_takes_an_archive_whose_members_were_cleaned(live: Live, person: str, photo: bytes) -> None:
    archive = an_archive(mia_jpg=photo, mia_txt=b"a person on a boat")
    body = {"images_data_url": hold(live, person, archive)["url"], "trigger_word": "TOK"}
    answer = live.call("POST", f"/fal/run/{TRAINER}", subject=person, json=body)
    [sent] = live.sent()
    head, content = written_out(sent["images_data_url"])
    assert head == "data:application/zip;base64"
    assert clean(live)
    with ZipFile(BytesIO(content)) as members:
        assert not any("mia" in name for name in members.namelist())
        assert not any(mark in members.read(name) for name in members.namelist() for mark in MARKS)
    record = live.records(person)[0]
    assert record["categories"] == ["training-media", "training-metadata"]
    assert "file-names" in record["media"][0]["removed"]
    assert answer.json()["error_type"] == "provider-refused"  # the sandbox trains nothing, and was asked to
    assert run(live, person, data_uri(photo)).status_code == 200
    wrong = {**body, "images_data_url": data_uri(photo)}
    refused = live.call("POST", f"/fal/run/{TRAINER}", subject=person, json=wrong)
    assert refused.json()["reason"] == "value-not-allowed"


def test_what_is_too_large_for_a_request_to_fal_is_uploaded_with_an_expiry_first(
    live: Live, person: str, large_photo: bytes
) -> None:
    held = hold(live, person, large_photo)
    answer = run(live, person, held["url"])
    assert answer.status_code == 200, answer.text
    initiated, put, ran = live.sandbox.wire.requests()
    assert [initiated.role, put.role, ran.role] == [Host.FAL_REST, Host.FAL_CDN, Host.FAL_RUN]
    assert initiated.json() == {"content_type": "image/jpeg", "file_name": "medium-1.jpg"}
    assert json.loads(initiated.header("x-fal-object-lifecycle") or "") == {"expiration_duration_seconds": 7200}
    assert (len(put.body), put.header("content-type")) == (held["bytes"], "image/jpeg")
    assert ran.json()["image_url"].endswith("/medium-1.jpg")
    assert ran.header("x-fal-object-lifecycle") is None
    assert clean(live)
    assert live.sandbox.wire.violations == []
    record = live.records(person)[0]
    assert record["media"][0]["placed"] == "upload"
    assert record["bytes_sent"] > held["bytes"]
    assert record["privacy_switches"]["x-fal-object-lifecycle"] == '{"expiration_duration_seconds":7200}'
    assert record["outcome"]["state"] == "delivered"
    assert record["outcome"]["stopped_after"] is None


def test_what_is_too_large_for_a_request_to_replicate_becomes_a_file_first(live: Live, person: str) -> None:
    photo = dressed(encoded(scene(size=(160, 120)).resize((1_400, 1_000)).effect_spread(500), subsampling=0))
    assert len(photo) > 300_000
    answer = predict(live, person, hold(live, person, photo)["id"])
    assert answer.is_success, answer.text
    file, created = live.sandbox.wire.requests(method="POST")
    assert (file.path, created.path) == ("/v1/files", f"/v1/models/{REPLICATE_MODEL}/predictions")
    assert b'name="content"; filename="medium-1.jpg"' in file.body
    assert created.json()["input"]["image"].startswith(f"{live.sandbox.replicate_api_url}/files/")
    assert clean(live)
    assert live.records(person)[0]["media"][0]["placed"] == "upload"


def test_what_is_small_is_written_out_for_replicate(live: Live, person: str, photo: bytes) -> None:
    assert predict(live, person, data_uri(photo)).is_success
    [created] = live.sandbox.wire.requests(method="POST")
    head, _ = written_out(created.json()["input"]["image"])
    assert head == "data:image/jpeg;base64"
    assert clean(live)


def test_a_source_is_asked_once_without_a_credential_and_keeps_no_cookie(
    live: Live, person: str, source: SourceHost, photo: bytes
) -> None:
    source.files["/photo.jpg"] = photo
    for _ in range(2):
        assert run(live, person, source.url("/photo.jpg")).status_code == 200
    assert [path for path, _ in source.requests] == ["/photo.jpg"] * 2
    assert all({"cookie", "authorization", "referer"}.isdisjoint(headers) for _, headers in source.requests)


def test_a_source_that_changes_between_two_looks_is_looked_at_once(
    live: Live, person: str, source: SourceHost, photo: bytes
) -> None:
    contents = iter([photo, a_sound()])
    source.files["/changing.jpg"] = lambda: next(contents)
    assert run(live, person, source.url("/changing.jpg")).status_code == 200
    assert written_out(live.sent()[0]["image_url"])[1][:3] == b"\xff\xd8\xff"
    assert len(source.requests) == 1


def test_a_source_that_redirects_is_not_followed(live: Live, person: str, source: SourceHost) -> None:
    source.redirect_to = f"{live.sandbox.fal_cdn_url}/secret"
    answer = run(live, person, source.url("/photo.jpg"))
    assert (answer.status_code, answer.json()["reason"]) == (422, "media-source-not-allowed")
    assert live.sandbox.wire.requests() == []


def test_a_source_with_too_large_a_file_is_let_go(live: Live, person: str, source: SourceHost) -> None:
    source.files["/huge.jpg"] = bytes(20_000_001)
    answer = run(live, person, source.url("/huge.jpg"))
    assert (answer.status_code, answer.json()["reason"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    "address",
    [
        "https://media.example/photo.jpg",
        "http://127.0.0.1:1/photo.jpg",
        "http://localhost/photo.jpg",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:127.0.0.1]/photo.jpg",
        "file:///etc/passwd",
        "s3://bucket/photo.jpg",
    ],
)
def test_every_other_address_is_refused_and_nobody_is_asked(
    live: Live, person: str, source: SourceHost, address: str
) -> None:
    answer = run(live, person, address)
    assert (answer.status_code, answer.json()["reason"]) == (422, "media-source-not-allowed")
    assert source.requests == []
    assert live.sandbox.wire.requests() == []


def test_a_check_says_what_is_known_and_fetches_nothing(
    live: Live, person: str, source: SourceHost, photo: bytes
) -> None:
    def checked(image: str) -> dict[str, Any]:
        body = {"provider": "fal", "model": FAL_MODEL, "input": {"prompt": "a fox", "image_url": image}}
        found: dict[str, Any] = live.done("POST", "/v1/check", subject=person, json=body)
        return found

    for image in (source.url("/photo.jpg"), hold(live, person, photo)["url"], data_uri(photo)):
        assert checked(image)["would_send"] == ["image_url", "prompt"]
    assert checked(str(uuid4()))["reason"] == "media-not-yours"
    assert source.requests == []
