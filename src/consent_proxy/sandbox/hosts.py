"""Which host answers at which address: the sandbox's wiring."""

from collections.abc import Mapping
from dataclasses import dataclass

from consent_proxy.sandbox.behaviours import Behaviours
from consent_proxy.sandbox.control import Control
from consent_proxy.sandbox.fal import FalDoor, FalRun, fal_conduct, unserved_host
from consent_proxy.sandbox.fal_queue import FalQueue
from consent_proxy.sandbox.fal_storage import FalStorage
from consent_proxy.sandbox.jobs import Pace
from consent_proxy.sandbox.listening import LOOPBACK, AnswerFunction
from consent_proxy.sandbox.outputs import Outputs
from consent_proxy.sandbox.replicate import ReplicateApi, stream
from consent_proxy.sandbox.replicate_errors import replicate_conduct
from consent_proxy.sandbox.replicate_files import ReplicateFiles
from consent_proxy.sandbox.replicate_models import Catalogue
from consent_proxy.sandbox.replicate_predictions import Hosts
from consent_proxy.sandbox.wire import Role, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The ports the roles listen on."""

    ports: Mapping[Role, int]

    def host(self, role: Role) -> str:
        """`host:port`."""
        return f"{LOOPBACK}:{self.ports[role]}"

    def url(self, role: Role) -> str:
        """`http://host:port`, without a slash at the end."""
        return f"http://{self.host(role)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What all hosts share."""

    addresses: Addresses
    wire: Wire
    behaviours: Behaviours
    pace: Pace


def fal_answers(parts: Parts, *, key: str) -> dict[Role, AnswerFunction]:
    """fal's hosts, with nothing in their queue."""
    url = parts.addresses.url
    conduct = fal_conduct(parts.behaviours, elsewhere_url=url(Role.ELSEWHERE))
    outputs = Outputs(url=url(Role.FAL_OUTPUT), folder="files/b", conduct=conduct)
    door = FalDoor(key)
    storage = FalStorage(url=url(Role.FAL_CDN), door=door, conduct=conduct)
    queue = FalQueue(url=url(Role.FAL_QUEUE), door=door, conduct=conduct, outputs=outputs, pace=parts.pace)
    return {
        Role.FAL_RUN: FalRun(door=door, conduct=conduct, outputs=outputs, pace=parts.pace).answer,
        Role.FAL_QUEUE: queue.answer,
        Role.FAL_REST: storage.initiate,
        Role.FAL_CDN: storage.answer,
        Role.FAL_API: unserved_host,
        Role.FAL_OUTPUT: outputs.answer,
    }


def replicate_api(parts: Parts, *, token: str, catalogue: Catalogue) -> tuple[ReplicateApi, Outputs]:
    """Replicate's API and the host of its outputs, with no predictions."""
    url = parts.addresses.url
    conduct = replicate_conduct(parts.behaviours, elsewhere_url=url(Role.ELSEWHERE))
    outputs = Outputs(url=url(Role.REPLICATE_DELIVERY), folder="xezq", conduct=conduct)
    hosts = Hosts(
        api_url=f"{url(Role.REPLICATE_API)}/v1",
        web_url=url(Role.REPLICATE_API),
        stream_url=url(Role.REPLICATE_STREAM),
    )
    files = ReplicateFiles(api_url=hosts.api_url, conduct=conduct)
    api = ReplicateApi(
        token=token,
        hosts=hosts,
        conduct=conduct,
        outputs=outputs,
        files=files,
        pace=parts.pace,
        catalogue=catalogue,
    )
    return api, outputs


def replicate_answers(api: ReplicateApi, outputs: Outputs) -> dict[Role, AnswerFunction]:
    """Replicate's hosts."""
    return {
        Role.REPLICATE_API: api.answer,
        Role.REPLICATE_DELIVERY: outputs.answer,
        Role.REPLICATE_STREAM: stream,
    }


def own_answers(parts: Parts) -> dict[Role, AnswerFunction]:
    """The hosts that belong to no provider."""
    control = Control(wire=parts.wire, behaviours=parts.behaviours)
    return {Role.CONTROL: control.answer, Role.ELSEWHERE: unserved_host}
