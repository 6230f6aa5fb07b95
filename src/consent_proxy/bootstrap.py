"""Settings into adapters, adapters into services, services into the app; the only module that knows everyone."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from fastapi import FastAPI
from pydantic import SecretStr

from consent_proxy.adapters.http import Outbound, OutboundTransport
from consent_proxy.adapters.kept_secrets import kept_secret
from consent_proxy.adapters.manifests import FileManifestCatalogue
from consent_proxy.adapters.media.room import open_media_room
from consent_proxy.adapters.postgres.accesses import PostgresAccessLog
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.embedded.binaries import find_binaries
from consent_proxy.adapters.postgres.embedded.cluster import start_cluster
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.facts import PostgresFactsSource
from consent_proxy.adapters.postgres.health import PostgresHealth
from consent_proxy.adapters.postgres.intents import PostgresTransferLog, open_transfer_log
from consent_proxy.adapters.postgres.jobs import PostgresJobs
from consent_proxy.adapters.postgres.keyring import HealthWithSecrets, PostgresKeyring
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.migrate import MigrationFailed, MigrationResult, migrate
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.secrets import SchemaMissing
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.postgres.transfers import PostgresTransferReader
from consent_proxy.adapters.postgres.upkeep import keep_up
from consent_proxy.adapters.providers.fal import FalProvider
from consent_proxy.adapters.providers.replicate import ReplicateDeployments, ReplicateProvider
from consent_proxy.adapters.secrets import SecretsLocked
from consent_proxy.adapters.shipped.documents import shipped_contracts, shipped_disclosure
from consent_proxy.adapters.system import SystemClock, Uuid7Identifiers, stop_task
from consent_proxy.api.app import create_app
from consent_proxy.api.auth import BOOTSTRAP_CALLER, Door
from consent_proxy.api.services import Services
from consent_proxy.application.forward import Walk, drain
from consent_proxy.application.hold_media import MediaRoom
from consent_proxy.application.ports.platform import Clock, Identifiers, LedgerHealth
from consent_proxy.application.ports.records import Access, TransferQuery, TransferReader
from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.application.ports.transfers import FactsSource
from consent_proxy.application.publish_missing import publish_missing
from consent_proxy.domain.callers import Credential, CredentialKind, Role
from consent_proxy.domain.documents import contract_from_document, disclosure_from_document
from consent_proxy.settings import Settings


class StartError(Exception):
    """The service cannot start as it is set up; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A database that is up and migrated, and the secrets that go with it."""

    service_url: str
    secret_key: str
    bootstrap_key: str | None
    embedded: bool
    generated_key: bool = False

    def environment(self) -> dict[str, str]:
        """What a worker process has to be told of it."""
        found = {"DATABASE_URL": self.service_url, "SECRET_KEY": self.secret_key}
        if self.bootstrap_key is not None:
            found["BOOTSTRAP_ADMIN_KEY"] = self.bootstrap_key
        return {f"CONSENT_PROXY_{name}": value for name, value in found.items()}


def data_dir(settings: Settings) -> Path:
    """Where the embedded database, held media and development secrets lie."""
    if settings.data_dir is not None:
        return settings.data_dir.expanduser().absolute()
    home = os.environ.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    return Path(home) / "consent-proxy"


@contextmanager
def open_store(settings: Settings, *, progress: Callable[[str], None] | None = None) -> Iterator[Store]:
    """The database of the settings or, where none is set, one of our own: started, migrated, stopped at the end.

    Blocking, and before any worker is forked. Raises ``StartError``.
    """
    say = progress or (lambda _: None)
    if settings.database_url is not None:
        yield Store(
            service_url=settings.database_url.get_secret_value(),
            secret_key=_revealed(settings.secret_key) or "",
            bootstrap_key=_revealed(settings.bootstrap_admin_key),
            embedded=False,
        )
        return
    folder = data_dir(settings)
    say("Starting the embedded Postgres …")
    try:
        cluster = start_cluster(folder / "postgres", binaries=find_binaries(settings.pg_bin))
    except EmbeddedPostgresError as error:
        raise StartError(str(error)) from error
    with cluster:
        cluster.watch()
        migrate(cluster.owner_url, service_role=_role(cluster.service_url))
        given = _revealed(settings.bootstrap_admin_key)
        yield Store(
            service_url=cluster.service_url,
            secret_key=_revealed(settings.secret_key) or kept_secret(folder / "secret-key"),
            bootstrap_key=given or kept_secret(folder / "admin-key", prefix="cpk_dev_"),
            embedded=True,
            generated_key=given is None,
        )


def migrate_store(settings: Settings) -> MigrationResult:
    """Bring the database of the settings, or the embedded one, to this version's schema. Raises ``StartError``."""
    owner = settings.migrate_database_url or settings.database_url
    if owner is None:
        try:
            with start_cluster(data_dir(settings) / "postgres", binaries=find_binaries(settings.pg_bin)) as cluster:
                return migrate(cluster.owner_url, service_role=_role(cluster.service_url))
        except EmbeddedPostgresError as error:
            raise StartError(str(error)) from error
    service = settings.database_url
    role = _role(service.get_secret_value()) if service is not None else None
    try:
        return migrate(owner.get_secret_value(), service_role=role)
    except MigrationFailed as error:
        raise StartError(f"{error}: correct CONSENT_PROXY_MIGRATE_DATABASE_URL") from error


def open_manifests(settings: Settings) -> FileManifestCatalogue:
    """The manifests shipped and those of ``MANIFESTS_DIR``."""
    return FileManifestCatalogue(manifests_dir=settings.manifests_dir)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the command line works with: the rules, the record, and nothing that sends."""

    facts: FactsSource
    rulebook: Rulebook
    reader: TransferReader
    health: LedgerHealth
    access_log: PostgresAccessLog
    clock: Clock
    ids: Identifiers

    async def note_access(self, resource: str, *, query: TransferQuery, items: int | None) -> None:
        """Record that somebody with access to the database read the record."""
        credential = Credential(
            kind=CredentialKind.BOOTSTRAP, id="cli", caller_id=BOOTSTRAP_CALLER, caller="cli", roles=frozenset(Role)
        )
        access = Access(
            id=self.ids.new_id(),
            at=self.clock.now(),
            credential=credential,
            resource=resource,
            subject_ref=query.subject_ref,
            object_id=None,
            filters={name: list(values) for name, values in (query.filters or {}).items()},
            items=items,
        )
        await self.access_log.record(access)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """A desk at the database of the settings, or at the embedded one, which runs as long as somebody uses it."""
    with open_store(settings) as store:
        async with _database(store.service_url) as database:
            desk = _desk(database, settings)
            if store.embedded:
                await _publish_shipped(desk)
            yield desk


def check_start(settings: Settings) -> None:
    """Raise ``StartError`` for what will not mend itself: no schema, or secrets that do not open. Blocking.

    A database that is away is no such thing: the service waits for it with its door shut.
    """

    async def look() -> None:
        async with _database(_revealed(settings.database_url) or "") as database:
            await (await _keyring(database, settings)).aclose()

    asyncio.run(look())


def publish_shipped(settings: Settings) -> None:
    """Publish the shipped disclosure and sample contracts where there are none of that kind yet. Blocking."""

    async def publish() -> None:
        async with _database(_revealed(settings.database_url) or "") as database:
            await _publish_shipped(_desk(database, settings))

    asyncio.run(publish())


def create_service(settings: Settings) -> FastAPI:
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
    url = _revealed(settings.database_url)
    if url is None:
        raise StartError("CONSENT_PROXY_DATABASE_URL is not set")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(_database(url))
        keyring = await _keyring(database, settings)
        stack.push_async_callback(keyring.aclose)
        clock = SystemClock()
        log = await open_transfer_log(database, clock=clock, send_within=settings.send_within)
        stack.push_async_callback(log.aclose)
        outbound = Outbound(OutboundTransport())
        stack.push_async_callback(outbound.aclose)
        media = await stack.enter_async_context(_media(settings, database=database, keyring=keyring))
        services = _services(settings, database=database, keyring=keyring, log=log, outbound=outbound, media=media)
        stack.push_async_callback(drain, services.walk)
        stack.push_async_callback(stop_task, asyncio.create_task(keep_up(database)))
        yield services


def _services(
    settings: Settings,
    *,
    database: Database,
    keyring: PostgresKeyring,
    log: PostgresTransferLog,
    outbound: Outbound,
    media: MediaRoom,
) -> Services:
    clock, ids = SystemClock(), Uuid7Identifiers()
    desk = _desk(database, settings)
    subjects = PostgresSubjects(database, digests=keyring)
    key = _revealed(settings.bootstrap_admin_key)
    walk = Walk(
        facts=desk.facts,
        log=log,
        digests=keyring,
        clock=clock,
        ids=ids,
        environment=settings.environment,
        output_ttl=settings.output_ttl,
        sandboxed=frozenset(settings.sandboxed),
        media=media,
    )
    fal = _fal(settings, outbound)
    replicate = _replicate(settings, outbound)
    return Services(
        public_url=media.public_url,
        environment=settings.environment,
        body_limit=settings.body_limit,
        late_results=cast("Literal['withhold', 'deliver']", settings.late_results),
        output_ttl=settings.output_ttl,
        walk=walk,
        door=Door(
            signer=keyring,
            facts=desk.facts,
            subjects=subjects,
            clock=clock,
            bootstrap_digest=sha256(key.encode()).digest() if key is not None else None,
        ),
        facts=desk.facts,
        media=media,
        media_limit=settings.media.max_bytes,
        jobs=media.jobs,
        manifests=open_manifests(settings),
        providers={fal.name: fal, replicate.name: replicate},
        deployments=ReplicateDeployments(outbound, token=settings.replicate_token, api_url=settings.replicate.api_url),
        ledger=PostgresConsentLedger(database, send_within=settings.send_within),
        subjects=subjects,
        rulebook=desk.rulebook,
        reader=desk.reader,
        access_log=desk.access_log,
        health=HealthWithSecrets(desk.health, keyring=keyring),
        clock=clock,
        ids=ids,
        digests=keyring,
        signer=keyring,
        receipts=keyring,
    )


def _media(
    settings: Settings, *, database: Database, keyring: PostgresKeyring
) -> AbstractAsyncContextManager[MediaRoom]:
    return open_media_room(
        data_dir(settings) / "media",
        database=database,
        keys=keyring,
        jobs=PostgresJobs(database),
        public_url=(settings.public_url or "http://127.0.0.1:8080").rstrip("/"),
        **settings.media.model_dump(),
    )


def _fal(settings: Settings, outbound: Outbound) -> FalProvider:
    fal = settings.fal
    return FalProvider(
        outbound,
        key=settings.fal_key,
        run_url=fal.run_url,
        queue_url=fal.queue_url,
        rest_url=fal.rest_url,
        cdn_url=fal.cdn_url,
        output_hosts=fal.output_hosts,
        output_ttl=settings.output_ttl,
        timeout=settings.provider_timeout,
    )


def _replicate(settings: Settings, outbound: Outbound) -> ReplicateProvider:
    replicate = settings.replicate
    return ReplicateProvider(
        outbound,
        token=settings.replicate_token,
        api_url=replicate.api_url,
        delivery_hosts=replicate.delivery_hosts,
        timeout=settings.provider_timeout,
    )


def _desk(database: Database, settings: Settings) -> Desk:
    clock = SystemClock()
    bootstrap_caller = BOOTSTRAP_CALLER if settings.bootstrap_admin_key is not None else None
    return Desk(
        facts=PostgresFactsSource(database, bootstrap_caller=bootstrap_caller),
        rulebook=PostgresRulebook(database, send_within=settings.send_within),
        reader=PostgresTransferReader(database),
        health=PostgresHealth(database),
        access_log=PostgresAccessLog(database),
        clock=clock,
        ids=Uuid7Identifiers(),
    )


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    try:
        database = await open_database(url)
    except ValueError as error:
        raise StartError("CONSENT_PROXY_DATABASE_URL has to be a postgresql:// address") from error
    try:
        yield database
    finally:
        await database.aclose()


async def _keyring(database: Database, settings: Settings) -> PostgresKeyring:
    keyring = PostgresKeyring(
        database,
        secret_key=_revealed(settings.secret_key) or "",
        previous=[key.get_secret_value() for key in settings.secret_keys_previous],
    )
    try:
        await keyring.start()
    except (SchemaMissing, SecretsLocked) as error:
        raise StartError(str(error)) from error
    return keyring


async def _publish_shipped(desk: Desk) -> None:
    await publish_missing(
        disclosure_from_document(shipped_disclosure(), published_at=desk.clock.now()),
        [
            contract_from_document(document, id=desk.ids.new_id(), recipient=recipient, put_at=desk.clock.now())
            for recipient, document in shipped_contracts().items()
        ],
        rules=await desk.facts.rules(fresh=True),
        rulebook=desk.rulebook,
    )


def _role(url: str) -> str | None:
    return urlsplit(url).username


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
