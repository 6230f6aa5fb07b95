"""The few lines that point the official provider SDKs at this service; the three that callers import stand here too."""

from consent_proxy.sdk.fal import async_fal_client, fal_client
from consent_proxy.sdk.replicate import replicate_client

__all__ = ["async_fal_client", "fal_client", "replicate_client"]
