"""Every setting, read once from the environment; no other module looks there."""

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from consent_proxy.application.readiness import Setup
from consent_proxy.domain.disclosures import parse_duration


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _checked_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.username is not None or parts.query or parts.fragment or not parts.hostname:
        raise ValueError("has to be an address without user, query or fragment, such as https://queue.fal.run")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("has to begin with https:// (plain http is accepted for loopback addresses only)")
    return value.rstrip("/")


def _ends_in_v1(value: str) -> str:
    if not value.endswith("/v1"):
        raise ValueError("has to end in /v1, as https://api.replicate.com/v1 does")
    return value


def _length_of_time(value: object) -> object:
    """Accept seconds, or ISO 8601 such as ``PT1H``."""
    if isinstance(value, str) and value.startswith("P"):
        return parse_duration(value)
    if isinstance(value, str):
        try:
            return timedelta(seconds=float(value))
        except ValueError as error:
            raise ValueError("has to be seconds or an ISO 8601 duration such as PT1H") from error
    return value


ProviderUrl = Annotated[str, AfterValidator(_checked_url)]


class FalSettings(BaseModel):
    """fal's credential and hosts."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    key: SecretStr | None = None
    run_url: ProviderUrl = "https://fal.run"
    queue_url: ProviderUrl = "https://queue.fal.run"
    rest_url: ProviderUrl = "https://rest.fal.ai"
    cdn_url: ProviderUrl = "https://v3.fal.media"
    api_url: ProviderUrl = "https://api.fal.ai"
    jwks_url: ProviderUrl = "https://rest.fal.ai/.well-known/jwks.json"
    output_hosts: tuple[str, ...] = ("fal.media", "*.fal.media")


class ReplicateSettings(BaseModel):
    """Replicate's credential and hosts."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    token: SecretStr | None = None
    api_url: Annotated[ProviderUrl, AfterValidator(_ends_in_v1)] = "https://api.replicate.com/v1"
    delivery_hosts: tuple[str, ...] = ("replicate.delivery", "*.replicate.delivery")
    stream_hosts: tuple[str, ...] = ("*.replicate.com", "*.replicate.net")


class MediaSettings(BaseModel):
    """Where media named by URL may come from, and how much is held for how long."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    source_hosts: tuple[str, ...] = ()
    max_bytes: int = Field(default=200_000_000, gt=0)
    store: str | None = Field(default=None, pattern=r"^(file:/|s3://[^/?#]+)[^?#]*$")
    ttl: timedelta = timedelta(hours=24)

    _ttl = field_validator("ttl", mode="before")(_length_of_time)


class WebhookSettings(BaseModel):
    """Which hosts callers may have results posted to."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    allowed_hosts: tuple[str, ...] = ()


class Settings(BaseSettings):
    """One frozen reading of the environment. Names are ``CONSENT_PROXY_<FIELD>``, ``__`` for nesting."""

    model_config = SettingsConfigDict(
        env_prefix="CONSENT_PROXY_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    database_url: SecretStr | None = None
    migrate_database_url: SecretStr | None = None
    data_dir: Path | None = None
    public_url: str | None = None
    environment: str = Field(default="development", pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")
    bootstrap_admin_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    secret_keys_previous: tuple[SecretStr, ...] = ()
    fal: FalSettings = FalSettings()
    replicate: ReplicateSettings = ReplicateSettings()
    media: MediaSettings = MediaSettings()
    webhooks: WebhookSettings = WebhookSettings()
    late_results: str = Field(default="withhold", pattern="^(withhold|deliver)$")
    output_ttl: timedelta = timedelta(hours=1)
    send_within: timedelta = timedelta(seconds=1)
    provider_timeout: timedelta = timedelta(minutes=10)
    body_limit: int = Field(default=16_000_000, gt=0)
    manifests_dir: Path | None = None
    pg_bin: Path | None = None
    sandboxed: tuple[str, ...] = ()
    log_format: Literal["text", "json"] = "text"
    stop_delay: timedelta = Field(default=timedelta(0), ge=timedelta(0))
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    fal_key_plain: SecretStr | None = Field(default=None, validation_alias="FAL_KEY")
    replicate_token_plain: SecretStr | None = Field(default=None, validation_alias="REPLICATE_API_TOKEN")

    _times = field_validator("output_ttl", "send_within", "provider_timeout", "stop_delay", mode="before")(
        _length_of_time
    )

    @field_validator("bootstrap_admin_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 24:  # noqa: PLR2004 - the contract's number
            raise ValueError("has to be 24 characters or more")
        return key

    @model_validator(mode="after")
    def _secret_with_database(self) -> Self:
        if self.database_url is not None and self.secret_key is None:
            raise ValueError("CONSENT_PROXY_SECRET_KEY is required with CONSENT_PROXY_DATABASE_URL")
        return self

    @property
    def previous_keys(self) -> tuple[str, ...]:
        """Earlier values of ``SECRET_KEY``."""
        return tuple(key.get_secret_value() for key in self.secret_keys_previous)

    def setup(self) -> Setup:
        """What the service's readiness depends on."""
        credentials = {
            "fal": (self.fal_key, "CONSENT_PROXY_FAL__KEY"),
            "replicate": (self.replicate_token, "CONSENT_PROXY_REPLICATE__TOKEN"),
        }
        return Setup(
            public_url=self.public_url,
            is_local=self.public_url is None or is_loopback(urlsplit(self.public_url).hostname or ""),
            environment=self.environment,
            missing_credentials={name: setting for name, (value, setting) in credentials.items() if value is None},
        )

    @property
    def fal_key(self) -> str | None:
        """fal's credential, by our name or by fal's own."""
        key = self.fal.key or self.fal_key_plain
        return key.get_secret_value() if key is not None else None

    @property
    def replicate_token(self) -> str | None:
        """Replicate's credential, by our name or by Replicate's own."""
        token = self.replicate.token or self.replicate_token_plain
        return token.get_secret_value() if token is not None else None
