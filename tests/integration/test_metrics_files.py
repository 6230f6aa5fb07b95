"""Numbers in files that several processes share: read while processes begin and die."""

import os
import subprocess
import sys
from pathlib import Path

CHILD = """
import os
from consent_proxy.adapters.metrics import Load, PrometheusMeter
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        meter = PrometheusMeter(providers=["fal"], load=lambda: Load(waiting=0, open=1, kept=0, settled=0))
        meter.answered("fal", status=200)
        meter.sample()
        os._exit(0)
    os.waitpid(pid, 0)
"""
READER = """
import subprocess, sys
from consent_proxy.adapters.metrics import Load, PrometheusMeter
from consent_proxy.application.ports.observation import Readings
meter = PrometheusMeter(providers=["fal"], load=lambda: Load(waiting=0, open=0, kept=0, settled=0))
readings = Readings(database_up=True, warnings=0, contract_days={})
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
while child.poll() is None:
    meter.exposition(readings, accept="")
print(meter.exposition(readings, accept="")[0].decode())
"""


def test_they_can_be_read_at_every_moment_of_a_process_and_count_the_dead(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", READER, CHILD],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert 'consent_proxy_requests_total{status="200",surface="fal"} 40.0\n' in told.stdout
    assert "\nconsent_proxy_open_intents 0.0\n" in told.stdout
