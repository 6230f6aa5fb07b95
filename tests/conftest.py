"""What holds for every test: nothing of the developer's shell gets in, and hypothesis does not race the clock."""

import os
import tempfile

from hypothesis import HealthCheck, settings

#: Settings of the service, provider keys, proxies and Postgres defaults of whoever runs the tests.
FOREIGN = ("CONSENT_PROXY_", "FAL_", "REPLICATE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "PG")
#: Which Postgres binaries the tests run on is the one choice that is left to the shell.
CHOSEN_OUTSIDE = frozenset({"CONSENT_PROXY_PG_BIN"})

for name in list(os.environ):
    if name.upper().startswith(FOREIGN) and name not in CHOSEN_OUTSIDE:
        del os.environ[name]

#: Where the service keeps what it is given no place for: nothing of the tests stays in anybody's home.
_HOME = tempfile.TemporaryDirectory(prefix="cp-home-")
os.environ["XDG_DATA_HOME"] = _HOME.name

settings.register_profile(
    "house",
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")
