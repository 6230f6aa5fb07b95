"""Traffic as a load balancer spreads it: to replicas that say they are ready, each request to one of them, once."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from typing import Self

import httpx

from tests.served import Backend, Served, wait_for

_LOOK_EVERY = 0.1


class Balanced:
    """Senders that go on until the block ends. ``sent`` are the prompts that were asked for, ``answers`` what came.

    A request goes to another replica only where none can have taken it: its connection was refused.
    """

    def __init__(self, replicas: Sequence[Served], *, people: Sequence[str], senders: int = 4) -> None:
        self.sent: list[str] = []
        self.answers: list[int | str] = []
        self._replicas, self._people, self._numbers = list(replicas), people, count()
        self._ready: list[Served] = list(replicas)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._look),
            *(threading.Thread(target=self._send_on) for _ in range(senders)),
        ]

    def replace(self, former: Served, replica: Served) -> None:
        """Another replica stands at the place of one that stopped."""
        self._replicas[self._replicas.index(former)] = replica

    def wait_for_more(self, answers: int = 20, *, within: float = 40.0) -> None:
        """Until so many more requests were answered. AssertionError when that takes too long."""
        wanted = len(self.answers) + answers
        assert wait_for(lambda: len(self.answers) >= wanted, within=within), self.answers[-5:]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            self._ready = [replica for replica in self._replicas if _is_ready(replica)]

    def _send_on(self) -> None:
        with ExitStack() as stack:
            backends: dict[str, Backend] = {}
            while not self._over.is_set():
                number = next(self._numbers)
                prompt = f"fox {number}"
                self.sent.append(prompt)
                self.answers.append(
                    self._send(self._people[number % len(self._people)], prompt, number, backends, stack)
                )

    def _send(self, person: str, prompt: str, number: int, backends: dict[str, Backend], stack: ExitStack) -> int | str:
        while True:
            ready = self._ready
            if not ready:
                self._over.wait(_LOOK_EVERY)
                continue
            replica = ready[number % len(ready)]
            if replica.url not in backends:
                backends[replica.url] = stack.enter_context(replica.backend())
            try:
                answer = backends[replica.url].fal_run(person, prompt)
            except httpx.ConnectError:
                number += 1
                self._over.wait(_LOOK_EVERY)
                continue
            except httpx.TransportError as error:
                return repr(error)
            return answer.status_code


def _is_ready(replica: Served) -> bool:
    with replica.backend(timeout=5) as backend:
        return backend.is_ready()
