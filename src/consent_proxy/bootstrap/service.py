"""What serves: settings into adapters, adapters into services, services into the application."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from typing import Literal, cast

from fastapi import FastAPI

from consent_proxy.adapters.http import Outbound, OutboundTransport
from consent_proxy.adapters.media.room import open_media_room
from consent_proxy.adapters.metrics import PrometheusMeter
from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.intents import open_transfer_log
from consent_proxy.adapters.postgres.keyring import HealthWithSecrets, PostgresKeyring
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.mark import LedgerMark
from consent_proxy.adapters.postgres.upkeep import keep_up
from consent_proxy.adapters.providers.fal import FalProvider
from consent_proxy.adapters.providers.replicate import ReplicateDeployments, ReplicateProvider
from consent_proxy.adapters.system import SystemClock, running
from consent_proxy.adapters.tracing import open_tracer
from consent_proxy.api.app import Application, create_app
from consent_proxy.api.auth import Door
from consent_proxy.api.services import Services
from consent_proxy.application.forward import Walk, drain
from consent_proxy.bootstrap.desk import Desk, database_at, desk_at, open_manifests, opened_keyring
from consent_proxy.bootstrap.store import StartError, data_dir, revealed
from consent_proxy.settings import Settings

#: How long sends that outlive their requests are waited for when the service stops.
DRAIN_SECONDS = 5.0


def create_service(settings: Settings) -> Application:
    """The application on a migrated database, up or away; its lifespan opens and closes everything."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            app.state.services = services
            yield

    return create_app(lifespan)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open what serving takes: pool, worker id, log, providers, background work. Closing drains sends and outcomes.

    ``settings.database_url`` has to be set. Raises ``StartError``.
    """
    url = revealed(settings.database_url)
    if url is None:
        raise StartError("CONSENT_PROXY_DATABASE_URL is not set")
    async with AsyncExitStack() as stack:
        tracer = open_tracer(environment=settings.environment)
        stack.callback(tracer.close)  # the last of all: a collector that is away must not hold up an outcome
        database = await stack.enter_async_context(database_at(url))
        keyring = await opened_keyring(database, settings)
        stack.push_async_callback(keyring.aclose)
        log = await open_transfer_log(database, clock=SystemClock(), send_within=settings.send_within)
        stack.push_async_callback(log.aclose)
        outbound = Outbound(OutboundTransport())
        stack.push_async_callback(outbound.aclose)
        meter = PrometheusMeter(providers=("fal", "replicate"), load=log.load)
        mark = LedgerMark(database, folder=data_dir(settings))
        desk = desk_at(database, settings, mark=mark)
        media = open_media_room(
            data_dir(settings) / "media",
            database=database,
            keys=keyring,
            public_url=(settings.public_url or "http://127.0.0.1:8080").rstrip("/"),
            **settings.media.model_dump(),
        )
        walk = Walk(
            facts=desk.facts,
            log=log,
            digests=keyring,
            clock=desk.clock,
            ids=desk.ids,
            media=await stack.enter_async_context(media),
            meter=meter,
            tracer=tracer,
            environment=settings.environment,
            output_ttl=settings.output_ttl,
            sandboxed=frozenset(settings.sandboxed),
        )
        stack.push_async_callback(drain, walk, within=DRAIN_SECONDS)
        await stack.enter_async_context(
            running(keep_up(database, seal=keyring), mark.keep_looking(), meter.keep_sampling())
        )
        yield _services(settings, database=database, desk=desk, keyring=keyring, walk=walk, outbound=outbound)


def _services(
    settings: Settings, *, database: Database, desk: Desk, keyring: PostgresKeyring, walk: Walk, outbound: Outbound
) -> Services:
    key = revealed(settings.bootstrap_admin_key)
    providers = (_fal(settings, outbound), _replicate(settings, outbound))
    return Services(
        public_url=walk.media.public_url,
        environment=settings.environment,
        body_limit=settings.body_limit,
        late_results=cast("Literal['withhold', 'deliver']", settings.late_results),
        output_ttl=settings.output_ttl,
        walk=walk,
        door=Door(
            signer=keyring,
            facts=desk.facts,
            subjects=walk.media.subjects,
            clock=desk.clock,
            bootstrap_digest=sha256(key.encode()).digest() if key is not None else None,
        ),
        facts=desk.facts,
        media=walk.media,
        jobs=walk.media.jobs,
        manifests=open_manifests(settings),
        providers={provider.name: provider for provider in providers},
        deployments=ReplicateDeployments(outbound, token=settings.replicate_token, api_url=settings.replicate.api_url),
        ledger=PostgresConsentLedger(database, send_within=settings.send_within),
        subjects=walk.media.subjects,
        rulebook=desk.rulebook,
        reader=desk.reader,
        access_log=desk.access_log,
        transparency=desk.transparency,
        health=HealthWithSecrets(desk.health, keyring=keyring),
        setup=settings.setup(),
        clock=desk.clock,
        ids=desk.ids,
        digests=keyring,
        signer=keyring,
        receipts=keyring,
        meter=walk.meter,
    )


def _fal(settings: Settings, outbound: Outbound) -> FalProvider:
    return FalProvider(
        outbound,
        **settings.fal.model_dump(exclude={"key", "api_url", "jwks_url"}),
        key=settings.fal_key,
        output_ttl=settings.output_ttl,
        timeout=settings.provider_timeout,
    )


def _replicate(settings: Settings, outbound: Outbound) -> ReplicateProvider:
    return ReplicateProvider(
        outbound,
        **settings.replicate.model_dump(include={"api_url", "delivery_hosts"}),
        token=settings.replicate_token,
        timeout=settings.provider_timeout,
    )
