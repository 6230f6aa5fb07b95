"""The sandbox as a whole: local hosts for fal and Replicate, each on a loopback port of its own, and their wire."""

import json
import secrets
import shlex
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Self

from consent_proxy.sandbox.behaviours import Behaviour, Behaviours, Operation, ProviderName
from consent_proxy.sandbox.fal import new_id
from consent_proxy.sandbox.hosts import (
    Addresses,
    Parts,
    fal_answers,
    own_answers,
    replicate_answers,
    replicate_api,
)
from consent_proxy.sandbox.jobs import Pace
from consent_proxy.sandbox.listening import SandboxServer, listen, server_for
from consent_proxy.sandbox.replicate import ReplicateApi
from consent_proxy.sandbox.replicate_models import Catalogue
from consent_proxy.sandbox.wire import Role, Wire

START_WITHIN = 10.0

SAMPLE_DEPLOYMENT = "sandbox/portraits"  # the deployment that is there from the start
SAMPLE_DEPLOYED_MODEL = "black-forest-labs/flux-dev"


class Sandbox:
    """Local fal and Replicate; a context manager, or `start` and `stop`.

    `port` is the first of as many consecutive ports as there are roles, 0 lets the system choose. `fal_key` and
    `replicate_token` are random unless given. `job_seconds` is what a job takes when nobody polls it on. Stopped and
    started again it keeps its addresses, credentials and wire, and forgets its jobs. The addresses are attributes
    from the first start on.
    """

    control_url: str  # where another process reads the wire and sets behaviours
    fal_run_url: str  # in place of fal.run
    fal_queue_url: str  # in place of queue.fal.run
    fal_rest_url: str  # in place of rest.fal.ai
    fal_cdn_url: str  # in place of v3.fal.media, for uploads
    fal_api_url: str  # in place of api.fal.ai
    fal_output_host: str  # `host:port` of fal's outputs
    replicate_api_url: str  # in place of api.replicate.com, with /v1
    replicate_delivery_host: str  # `host:port` of Replicate's outputs
    replicate_stream_host: str  # `host:port` of Replicate's streams

    def __init__(
        self,
        *,
        port: int = 0,
        fal_key: str | None = None,
        replicate_token: str | None = None,
        job_seconds: float = 0.3,
        slow_seconds: float = 3.0,
    ) -> None:
        self.fal_key = fal_key or f"{new_id()}:{secrets.token_hex(16)}"
        self.replicate_token = replicate_token or f"r8_{secrets.token_urlsafe(28)}"
        self.wire = Wire()
        self._behaviours = Behaviours()
        self._catalogue = Catalogue()
        self._catalogue.deploy(SAMPLE_DEPLOYMENT, model=SAMPLE_DEPLOYED_MODEL)
        self._pace = Pace(seconds=job_seconds, slow_seconds=slow_seconds)
        self._ports = {role: port + offset if port else 0 for offset, role in enumerate(Role)}
        self._replicate: ReplicateApi | None = None
        self._server: SandboxServer | None = None

    def start(self) -> Self:
        """Listen and serve in a thread of its own. OSError when a port is taken."""
        if self._server is not None:
            raise RuntimeError("the sandbox is running already")
        sockets = listen(self._ports)
        self._ports = {role: sock.getsockname()[1] for role, sock in sockets.items()}
        addresses = Addresses(ports=self._ports)
        self._publish(addresses)
        parts = Parts(addresses=addresses, wire=self.wire, behaviours=self._behaviours, pace=self._pace)
        self._replicate, outputs = replicate_api(parts, token=self.replicate_token, catalogue=self._catalogue)
        answers = {
            **fal_answers(parts, key=self.fal_key),
            **replicate_answers(self._replicate, outputs),
            **own_answers(parts),
        }
        self._server = server_for(self.wire, ports=self._ports, answers=answers)
        self._server.begin(sockets, within=START_WITHIN)
        return self

    def stop(self) -> None:
        """Cut every connection and stop serving; nothing happens when it is not running."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def behave(
        self,
        provider: ProviderName,
        model_pattern: str,
        behaviour: Behaviour | str,
        *,
        times: int | None = None,
        operation: Operation | str = Operation.CREATE,
    ) -> None:
        """Misbehave for models that match a shell pattern, for so many requests or until `behave_well`."""
        self._behaviours.behave(provider, model_pattern, behaviour, times=times, operation=operation)

    def behave_well(self) -> None:
        """Forget what `behave` asked for; models named after a behaviour keep to their names."""
        self._behaviours.reset()

    def deploy(self, deployment: str, *, model: str) -> None:
        """Make `owner/name` a Replicate deployment of a model."""
        self._catalogue.deploy(deployment, model=model)

    def know_version(self, version: str, *, model: str) -> None:
        """Publish a Replicate version, 64 hexadecimal digits, so that it may be run without its model's name."""
        self._catalogue.know(version, model=model)

    def purge(self) -> None:
        """Let Replicate's hour pass: finished predictions lose input, output and logs."""
        if self._replicate is not None:
            self._replicate.purge()

    def environment(self) -> Mapping[str, str]:
        """The settings that point the proxy here, as environment variables."""
        settings = {
            "FAL__KEY": self.fal_key,
            "FAL__RUN_URL": self.fal_run_url,
            "FAL__QUEUE_URL": self.fal_queue_url,
            "FAL__REST_URL": self.fal_rest_url,
            "FAL__CDN_URL": self.fal_cdn_url,
            "FAL__API_URL": self.fal_api_url,
            "FAL__JWKS_URL": f"{self.fal_rest_url}/.well-known/jwks.json",
            "FAL__OUTPUT_HOSTS": json.dumps([self.fal_output_host]),
            "REPLICATE__TOKEN": self.replicate_token,
            "REPLICATE__API_URL": self.replicate_api_url,
            "REPLICATE__DELIVERY_HOSTS": json.dumps([self.replicate_delivery_host]),
            "REPLICATE__STREAM_HOSTS": json.dumps([self.replicate_stream_host]),
        }
        return {f"CONSENT_PROXY_{name}": value for name, value in settings.items()}

    def _publish(self, addresses: Addresses) -> None:
        self.control_url = addresses.url(Role.CONTROL)
        self.fal_run_url = addresses.url(Role.FAL_RUN)
        self.fal_queue_url = addresses.url(Role.FAL_QUEUE)
        self.fal_rest_url = addresses.url(Role.FAL_REST)
        self.fal_cdn_url = addresses.url(Role.FAL_CDN)
        self.fal_api_url = addresses.url(Role.FAL_API)
        self.fal_output_host = addresses.host(Role.FAL_OUTPUT)
        self.replicate_api_url = f"{addresses.url(Role.REPLICATE_API)}/v1"
        self.replicate_delivery_host = addresses.host(Role.REPLICATE_DELIVERY)
        self.replicate_stream_host = addresses.host(Role.REPLICATE_STREAM)


def serve_forever(
    *,
    port: int = 0,
    fal_key: str | None = None,
    replicate_token: str | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until SIGINT or SIGTERM, having announced the addresses and settings. For the main thread only."""
    asked_to_stop = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        asked_to_stop.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(port=port, fal_key=fal_key, replicate_token=replicate_token) as sandbox:
            announce(_announcement(sandbox))
            asked_to_stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _announcement(sandbox: Sandbox) -> str:
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sandbox.environment().items()]
    return "\n".join(
        [
            "Local fal and Replicate are up. What arrives there can be read at:",
            f"  {sandbox.control_url}/_wire",
            "Point the proxy at them:",
            *exports,
        ]
    )
