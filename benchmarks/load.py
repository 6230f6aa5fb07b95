"""The load: the requests that are sent, wrk sending them, and what wrk measured."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BenchmarkFailed

MODEL = "fal-ai/flux/schnell"
#: Not in the model's manifest, so the service drops it from every request and records that it did.
UNLISTED_FIELD = "device"
#: wrk's own script prints what it measured on a line that begins so.
_MARK = "measured "

_PROMPT = (
    "A quiet harbour at first light, painted in thin layers of oil: small boats with folded sails, a stone pier, two"
    " gulls on a post, mist that hides the far shore. The water is flat and takes the colour of the sky, pale green"
    " near the horizon and grey closer by. In the foreground a coil of rope, a lantern that still burns, wet cobbles"
    " that reflect it. Nobody is there yet. The brush can be seen in the clouds, and the edges are soft, as if the"
    " picture had been made quickly by someone who had to leave with the tide. No text, no frame, no signature. "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of wrk. ``failed`` counts answers of 400 and above, ``broken`` what the sockets did not deliver."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int
    broken: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def body() -> bytes:
    """About 1 kB of JSON, as an app would send it: a prompt, a few settings, and one field the model does not take."""
    prompt = (_PROMPT * 2)[:860]
    return json.dumps(
        {"prompt": prompt, "image_size": "landscape_4_3", "num_images": 1, "seed": 42, UNLISTED_FIELD: "phone-1"}
    ).encode()


def subjects(count: int = 64) -> tuple[str, ...]:
    """The data subjects that the requests take turns at."""
    return tuple(f"bench-{number}" for number in range(count))


def write_script(path: Path, *, key: str) -> None:
    """Write wrk's script. Every target gets the same requests, made before the clock starts."""
    names = ", ".join(lua_string(name) for name in subjects())
    path.write_text(
        f"""wrk.method = "POST"
wrk.body = {lua_string(body().decode("ascii"))}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = {lua_string(f"Key {key}")}

local subjects = {{{names}}}
local made = {{}}
local turn = 0

function init(args)
   for i, subject in ipairs(subjects) do
      wrk.headers["Consent-Subject"] = subject
      made[i] = wrk.format()
   end
end

function request()
   turn = turn % #made + 1
   return made[turn]
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{_MARK}{{"requests": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "failed": %d, "broken": %d}}\\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.status, errors.connect + errors.read + errors.write))
end
"""
    )


def lua_string(text: str) -> str:
    """A Lua literal of printable ASCII."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def run_wrk(url: str, *, script: Path, connections: int, seconds: int) -> Measured:
    """Load ``url`` from one thread for that long. Raises ``BenchmarkFailed``."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode != 0:
        raise BenchmarkFailed(f"wrk ended with {ended.returncode}: {ended.stderr.strip() or ended.stdout.strip()}")
    return read_wrk(ended.stdout)


def read_wrk(printed: str) -> Measured:
    """What wrk printed under our script. Raises ``BenchmarkFailed`` where the line is missing or nothing was done."""
    line = next((line for line in printed.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise BenchmarkFailed(f"wrk did not say what it measured: {printed.strip()}")
    told: Mapping[str, float] = json.loads(line.removeprefix(_MARK))
    if not told["requests"]:
        raise BenchmarkFailed("not one request was answered")
    return Measured(
        requests=int(told["requests"]),
        seconds=told["microseconds"] / 1e6,
        p50_ms=told["p50"] / 1e3,
        p99_ms=told["p99"] / 1e3,
        failed=int(told["failed"]),
        broken=int(told["broken"]),
    )
