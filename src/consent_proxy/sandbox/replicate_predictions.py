"""Replicate's prediction: what it is, and how the API writes it at each moment of its life."""

import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from consent_proxy.sandbox.jobs import Job, Stage

KEPT_SECONDS = 3600.0  # API predictions lose input, output and logs after an hour

_ID_LETTERS = string.digits + string.ascii_lowercase
_WORDS = {Stage.QUEUED: "starting", Stage.RUNNING: "processing", Stage.DONE: "succeeded", Stage.CANCELLED: "canceled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Where a prediction's own URLs point; `api_url` ends in `/v1`."""

    api_url: str
    web_url: str
    stream_url: str


@dataclass(slots=True, kw_only=True)
class Prediction(Job):
    """A prediction; `output` and `error` are settled from the start and shown when it is done."""

    version: str
    input: dict[str, Any]
    seed: int
    output: list[str] | str | None
    error: str | None = None
    echoed: dict[str, Any] = field(default_factory=dict)  # deployment, webhook and the like, written back as given
    stream_token: str = field(default_factory=lambda: new_id(52))
    purged: bool = False

    @property
    def data_removed(self) -> bool:
        """Whether only the metadata is left."""
        return self.purged or self.age > KEPT_SECONDS

    @property
    def files(self) -> list[str]:
        """The URLs of the output, as a list."""
        return [self.output] if isinstance(self.output, str) else self.output or []

    def as_json(self, hosts: Hosts) -> dict[str, Any]:
        """The prediction as `GET` shows it now."""
        stage = self.stage
        shown = self._common(hosts) | {
            "status": self._word(stage),
            "started_at": None if stage is Stage.QUEUED else _stamp(self._moment(self.seconds / 2)),
            "completed_at": _stamp(self._moment(self.seconds)) if stage.final else None,
            "logs": self._logs(stage),
            "output": self.output if stage is Stage.DONE else None,
            "error": self.error if stage is Stage.DONE else None,
            "metrics": {},
        }
        if stage is Stage.DONE:
            shown["metrics"] = {"predict_time": self.seconds / 2, "total_time": self.seconds}
        if self.data_removed:
            shown |= {"input": {}, "output": None, "logs": "", "data_removed": True}
        return shown

    def as_created(self, hosts: Hosts) -> dict[str, Any]:
        """As the reply to its creation shows it while it is not done."""
        return self._common(hosts) | {"status": "starting", "logs": "", "output": None, "error": None}

    def as_waited_for(self, hosts: Hosts) -> dict[str, Any]:
        """As the reply to `Prefer: wait` shows it when it is over.

        A success still says `processing`, with the output there and neither metrics nor an end: the real API
        answers as soon as the files are, before it has closed the prediction.
        """
        if self.cancelled:
            return self.as_json(hosts)
        status = "processing" if self.error is None else "failed"
        return self._common(hosts) | {
            "status": status,
            "logs": self._logs(Stage.DONE),
            "output": self.output,
            "error": self.error,
        }

    def _common(self, hosts: Hosts) -> dict[str, Any]:
        get = f"{hosts.api_url}/predictions/{self.id}"
        return {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "input": self.input,
            "data_removed": False,
            "created_at": _stamp(self.created_at),
            "source": "api",
            "urls": {
                "cancel": f"{get}/cancel",
                "get": get,
                "stream": f"{hosts.stream_url}/v1/files/bcwr-{self.stream_token}",
                "web": f"{hosts.web_url}/p/{self.id}",
            },
            **self.echoed,
        }

    def _word(self, stage: Stage) -> str:
        return "failed" if stage is Stage.DONE and self.error is not None else _WORDS[stage]

    def _logs(self, stage: Stage) -> str:
        """What the model printed. Real models print their prompt, so this one does too."""
        if stage is Stage.QUEUED:
            return ""
        head = f"Using seed: {self.seed}\nPrompt: {self.input.get('prompt', '')}\n"
        return head + ("100%|##########| 4/4" if stage is Stage.DONE else " 50%|#####     | 2/4")

    def _moment(self, seconds: float) -> datetime:
        return min(self.created_at + timedelta(seconds=seconds), datetime.now(UTC))


def new_id(length: int = 26) -> str:
    """An id as Replicate makes them: digits and small letters."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(length))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
