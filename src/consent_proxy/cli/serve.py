"""`serve`: run the service, with a database and providers of its own where none are set."""

import logging
import logging.config
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click
import uvicorn

from consent_proxy.adapters.metrics import numbers_shared_by
from consent_proxy.bootstrap.desk import check_start, open_manifests, publish_shipped
from consent_proxy.bootstrap.store import StartError, Store, data_dir, open_store
from consent_proxy.cli.exits import DONE, Unavailable
from consent_proxy.cli.log_lines import log_config
from consent_proxy.cli.signals import ended_by_sigterm
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.settings import FalSettings, ReplicateSettings, Settings

logger = logging.getLogger(__name__)

#: How long requests under way may take after SIGTERM before their callers are let go; their sends still finish.
DRAIN_SECONDS = 25

#: How long a worker may not answer its supervisor before it is taken for hung. On a busy machine its start takes long.
HUNG_SECONDS = 30


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that serve.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve on HOST:PORT.

    Without CONSENT_PROXY_DATABASE_URL it starts a Postgres of its own under CONSENT_PROXY_DATA_DIR, publishes the
    shipped disclosure and sample contracts and, where no provider key is set, runs the sandbox. With it, nothing is
    started, migrated or published: the door stays shut until you publish.
    """
    settings = Settings()
    lines = log_config(log_format=settings.log_format, level=settings.log_level)
    logging.config.dictConfig(lines)
    _check_free(host, port)
    open_manifests(settings)  # those that cannot be read are told before anything is started
    public_url = settings.public_url or f"http://127.0.0.1:{port}"
    try:
        with (
            ended_by_sigterm(status=DONE),
            numbers_shared_by(workers),
            open_store(settings, progress=_say if settings.log_format == "text" else logger.info) as store,
            _stand_ins(settings, store) as overrides,
        ):
            os.environ.update(overrides)
            served = served_settings(store, public_url=public_url)
            if store.embedded:
                publish_shipped(served)
            check_start(served)
            if settings.log_format == "json":
                logger.info("consent-proxy serves at %s", public_url)
            else:
                _welcome(public_url, store, sandboxed=bool(overrides), folder=str(data_dir(settings)))
            uvicorn.run(
                "consent_proxy.cli.worker:create_served_app",
                factory=True,
                host=host,
                port=port,
                workers=workers,
                access_log=False,  # it prints URLs; the record is the log
                log_config=lines,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
                timeout_worker_healthcheck=HUNG_SECONDS,
            )
    except StartError as error:
        raise Unavailable(str(error)) from None


def _check_free(host: str, port: int) -> None:
    """Raise ``Unavailable``, before anything is started, where nothing could listen there in the end."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            # A name may have an address of a family that this machine lacks, and then others.
            with suppress(OSError), socket.socket(family, kind, protocol) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                return
        reason = "the address is taken, or not this machine's"
    except OSError as error:
        reason = error.strerror or "no such host"
    raise Unavailable(f"{host}:{port} cannot be listened on ({reason}): choose another --host or --port")


def served_settings(store: Store, *, public_url: str) -> Settings:
    """The settings with the store's in their place; worker processes read the same from the environment."""
    os.environ.update(store.environment() | {"CONSENT_PROXY_PUBLIC_URL": public_url})
    return Settings()


@contextmanager
def _stand_ins(settings: Settings, store: Store) -> Iterator[dict[str, str]]:
    """Run the sandbox for providers without a key; its addresses as environment variables."""
    needed = needed_stand_ins(settings) if store.embedded else frozenset()
    if not needed:
        yield {}
        return
    with Sandbox() as sandbox:
        yield stand_in_environment(sandbox, needed)


def needed_stand_ins(settings: Settings) -> frozenset[str]:
    """The providers that have neither a key nor an address of their own."""
    needed = set()
    if settings.fal_key is None and settings.fal == FalSettings():
        needed.add("fal")
    if settings.replicate_token is None and settings.replicate == ReplicateSettings():
        needed.add("replicate")
    return frozenset(needed)


def stand_in_environment(sandbox: Sandbox, providers: frozenset[str]) -> dict[str, str]:
    """The settings that point those providers at the sandbox, and say in every record that they do."""
    prefixes = tuple(f"CONSENT_PROXY_{provider.upper()}__" for provider in providers)
    chosen = {name: value for name, value in sandbox.environment().items() if name.startswith(prefixes)}
    listed = ", ".join(f'"{provider}"' for provider in sorted(providers))
    return chosen | {"CONSENT_PROXY_SANDBOXED": f"[{listed}]"}


def _say(line: str) -> None:
    click.echo(line, err=True)


def _welcome(public_url: str, store: Store, *, sandboxed: bool, folder: str) -> None:
    click.echo(f"consent-proxy serves at {public_url}")
    if not store.embedded:
        return
    click.echo(f"Data is kept in {folder}")
    if sandboxed:
        click.echo("Providers without a key are the sandbox: real protocols, real pictures, no cost.")
    if store.bootstrap_key is None or not store.generated_key:
        return
    click.echo(f"\nA key with every role, for trying it out:\n  {store.bootstrap_key}\n\nA first look:")
    click.echo(
        f"  curl -s {public_url}/v1/consent -H 'Authorization: Bearer {store.bootstrap_key}'"
        " -H 'Consent-Subject: person-1'\n"
    )
