"""Whether this machine can reach hosts it has no need of: a connection is opened and closed, and nothing is sent."""

import socket
import time
from collections.abc import Iterable
from queue import Empty, Queue
from threading import Thread

#: Seconds for one connection, and for all of them together; resolving a name counts.
CONNECT_WITHIN = 2.0
ANSWER_WITHIN = 4.0

#: Hosts of the two platforms that official SDKs, their fallbacks or their older versions go to by themselves.
KNOWN_HOSTS = (
    *("fal.run", "queue.fal.run", "falrun.com", "queue.falrun.com", "ws.fal.run", "wma.fal.run", "gateway.fal.ai"),
    *("rest.fal.ai", "rest.alpha.fal.ai", "api.fal.ai", "auth.fal.ai", "mcp.fal.ai", "v3.fal.media", "fal.media"),
    *("api.replicate.com", "replicate.delivery"),
)


def reachable(targets: Iterable[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """Those of the hosts and ports that take a TCP connection from here. Not one byte is sent. Blocking, but not for
    longer than ``ANSWER_WITHIN``: what does not answer in time counts as out of reach.
    """
    asked = list(targets)
    answers: Queue[tuple[tuple[str, int], bool]] = Queue()
    for target in asked:
        # Threads of their own: a name server that does not answer must not hold up the end of the process.
        Thread(target=_try, args=(target, answers), name="egress", daemon=True).start()
    ends_at = time.monotonic() + ANSWER_WITHIN
    found: set[tuple[str, int]] = set()
    for _ in asked:
        try:
            target, taken = answers.get(timeout=max(0.0, ends_at - time.monotonic()))
        except Empty:
            break
        if taken:
            found.add(target)
    return frozenset(found)


def _try(target: tuple[str, int], answers: "Queue[tuple[tuple[str, int], bool]]") -> None:
    try:
        socket.create_connection(target, timeout=CONNECT_WITHIN).close()
    except (OSError, UnicodeError):
        answers.put((target, False))
    else:
        answers.put((target, True))
