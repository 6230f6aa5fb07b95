"""Reading `/metrics` as Prometheus does."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[str, float]


def scrape(url: str, *, key: str) -> dict[str, float]:
    """Every sample by its name and labels, such as ``transfers_total{outcome="delivered",provider="fal"}``.

    Over a connection of its own, so that with several workers any of them may be the one that answers.
    """
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(trust_env=False, timeout=15) as http:
        answer = http.get(f"{url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return samples_of(answer.text)


def samples_of(text: str) -> dict[str, float]:
    """The samples of an exposition, less our prefix."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = sample.name.removeprefix("consent_proxy_")
            found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found
