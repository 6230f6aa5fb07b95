"""A bucket on a loopback port that speaks as much S3 as the store of held media needs; what lies in it can be read."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.etree import ElementTree as ET

from obstore.store import S3Store

Query = dict[str, list[str]]


class Bucket:
    """Objects by key, with the time they were put. While ``away`` is true every request is answered with a 503."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.credentials: set[str] = set()
        self.away = False
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        """What leads an S3 client here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "eu-test-1",
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    def store(self, *, prefix: str | None = None) -> S3Store:
        """The client, as the service opens it from its environment."""
        return S3Store(
            "held",
            prefix=prefix,
            endpoint=self.url,
            region="eu-test-1",
            access_key_id="AKIATEST",
            secret_access_key="secret",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )


@contextmanager
def serving_bucket() -> Iterator[Bucket]:
    """A bucket named `held`."""
    bucket = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": bucket}))
    bucket.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="bucket", daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request; the bucket's name comes first in the path."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.bucket.credentials.add(str(self.headers.get("authorization")).partition("/")[0])
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix("/held").lstrip("/")
        if self.bucket.away:
            self.answer(503)
        else:
            getattr(self, f"answer_{self.command.lower()}")(key, parse_qs(parts.query, keep_blank_values=True), body)

    do_GET = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815 - http.server's names

    def answer_put(self, key: str, query: Query, body: bytes) -> None:
        if "uploadId" in query:
            self.bucket.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            self.bucket.objects[key] = (body, datetime.now(UTC))
        self.answer(200, etag='"etag"')

    def answer_post(self, key: str, query: Query, body: bytes) -> None:
        if "uploads" in query:
            upload = uuid4().hex
            self.bucket.parts[upload] = {}
            self.answer(200, _xml("InitiateMultipartUploadResult", UploadId=upload))
        elif "delete" in query:
            keys = re.findall(r"<Key>([^<]*)</Key>", body.decode())
            for gone in keys:
                self.bucket.objects.pop(gone, None)
            deleted = "".join(f"<Deleted><Key>{gone}</Key></Deleted>" for gone in keys)
            self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())
        else:
            parts = self.bucket.parts.pop(query["uploadId"][0])
            self.bucket.objects[key] = (b"".join(parts[number] for number in sorted(parts)), datetime.now(UTC))
            self.answer(200, _xml("CompleteMultipartUploadResult", ETag='"etag"'))

    def answer_delete(self, key: str, query: Query, body: bytes) -> None:
        self.bucket.parts.pop(query.get("uploadId", [""])[0], None)
        self.answer(204)

    def answer_get(self, key: str, query: Query, body: bytes) -> None:
        if "list-type" in query:
            self.answer(200, _listing(self.bucket, query.get("prefix", [""])[0]))
        elif key in self.bucket.objects:
            content, at = self.bucket.objects[key]
            self.answer(200, content, etag='"etag"', last_modified=f"{at:%a, %d %b %Y %H:%M:%S} GMT")
        else:
            self.answer(404, _xml("Error", Code="NoSuchKey"))


def _xml(name: str, **members: str) -> bytes:
    root = ET.Element(name)
    for member, text in members.items():
        ET.SubElement(root, member).text = text
    return ET.tostring(root)


def _listing(bucket: Bucket, prefix: str) -> bytes:
    root = ET.Element("ListBucketResult")
    ET.SubElement(root, "IsTruncated").text = "false"
    for key, (content, at) in sorted(bucket.objects.items()):
        if key.startswith(prefix):
            entry = ET.SubElement(root, "Contents")
            for name, text in (
                ("Key", key),
                ("Size", str(len(content))),
                ("LastModified", at.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
                ("ETag", '"whole"'),
            ):
                ET.SubElement(entry, name).text = text
    return ET.tostring(root)
