"""Settings into adapters, adapters into services, services into the app; the only module that knows everyone."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from fastapi import FastAPI
from pydantic import SecretStr

from consent_proxy.adapters.http import Outbound, OutboundTransport
from consent_proxy.adapters.kept_secrets import kept_secret
from consent_proxy.adapters.manifest_files import ManifestFileInvalid
from consent_proxy.adapters.manifests import FileManifestCatalogue
from consent_proxy.adapters.media.room import open_media_room
from consent_proxy.adapters.metrics import PrometheusMeter
from consent_proxy.adapters.postgres.accesses import PostgresAccessLog
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.embedded.binaries import find_binaries
from consent_proxy.adapters.postgres.embedded.cluster import start_cluster
from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.facts import PostgresFactsSource
from consent_proxy.adapters.postgres.health import PostgresHealth
from consent_proxy.adapters.postgres.intents import open_transfer_log
from consent_proxy.adapters.postgres.keyring import HealthWithSecrets, PostgresKeyring
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.mark import HealthWithMark, LedgerMark
from consent_proxy.adapters.postgres.migrate import MigrationFailed, MigrationResult, migrate
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.schema import SchemaUnfit
from consent_proxy.adapters.postgres.secrets import HealthWithKeptSecrets
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.postgres.transfers import PostgresTransferReader
from consent_proxy.adapters.postgres.transparency import PostgresTransparencyLog
from consent_proxy.adapters.postgres.upkeep import keep_up
from consent_proxy.adapters.providers.fal import FalProvider
from consent_proxy.adapters.providers.replicate import ReplicateDeployments, ReplicateProvider
from consent_proxy.adapters.secrets import SecretsLocked
from consent_proxy.adapters.shipped.documents import shipped_contracts, shipped_disclosure
from consent_proxy.adapters.system import SystemClock, Uuid7Identifiers, running
from consent_proxy.adapters.tracing import open_tracer
from consent_proxy.api.app import Application, create_app
from consent_proxy.api.auth import Door
from consent_proxy.api.services import Services
from consent_proxy.application.forward import Walk, drain
from consent_proxy.application.ports.platform import Clock, Identifiers, LedgerHealth
from consent_proxy.application.ports.records import AccessLog, TransferReader
from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.application.ports.transfers import FactsSource
from consent_proxy.application.publish_missing import publish_missing
from consent_proxy.domain.callers import BOOTSTRAP_CALLER
from consent_proxy.domain.documents import contract_from_document, disclosure_from_document
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef
from consent_proxy.settings import Settings

#: How long sends that outlive their requests are waited for when the service stops.
DRAIN_SECONDS = 5.0


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
        _migrated(cluster.owner_url, service_role=_role(cluster.service_url))
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
                return _migrated(cluster.owner_url, service_role=_role(cluster.service_url))
        except EmbeddedPostgresError as error:
            raise StartError(str(error)) from error
    service = settings.database_url
    role = _role(service.get_secret_value()) if service is not None else None
    return _migrated(owner.get_secret_value(), service_role=role)


def _migrated(owner_url: str, *, service_role: str | None) -> MigrationResult:
    try:
        return migrate(owner_url, service_role=service_role)
    except MigrationFailed as error:
        raise StartError(str(error)) from error


def open_manifests(settings: Settings) -> FileManifestCatalogue:
    """The manifests shipped and those of ``MANIFESTS_DIR``. Raises ``StartError``."""
    try:
        return FileManifestCatalogue(manifests_dir=settings.manifests_dir)
    except ManifestFileInvalid as error:
        raise StartError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the command line works with: the rules, the record, and nothing that sends."""

    database: Database
    settings: Settings
    facts: FactsSource
    rulebook: Rulebook
    reader: TransferReader
    health: LedgerHealth
    access_log: AccessLog
    transparency: PostgresTransparencyLog
    clock: Clock
    ids: Identifiers

    @property
    def whole_health(self) -> LedgerHealth:
        """Its health, and whether the secrets kept there open."""
        settings = self.settings
        keys = (_revealed(settings.secret_key) or "", *settings.previous_keys)
        return HealthWithKeptSecrets(self.health, database=self.database, keys=keys)

    async def find_subject(self, identifier: SubjectIdentifier) -> SubjectRef | None:
        """The reference of a person, if there is one. Raises ``LedgerUnavailable`` and ``StartError``."""
        keyring = await _keyring(self.database, self.settings)
        try:
            return await PostgresSubjects(self.database, digests=keyring).find(identifier)
        finally:
            await keyring.aclose()


@asynccontextmanager
async def open_desk(settings: Settings, *, progress: Callable[[str], None] | None = None) -> AsyncIterator[Desk]:
    """A desk at the database of the settings, or at the embedded one, which runs as long as somebody uses it."""
    with open_store(settings, progress=progress) as store:
        settings = settings.model_copy(update={"secret_key": SecretStr(store.secret_key)})
        async with _database(store.service_url) as database:
            desk = _desk(database, settings)
            if store.embedded:
                await _publish_shipped(desk)
            yield desk


def check_start(settings: Settings) -> None:
    """Raise ``StartError`` for what will not mend itself: no schema, locked secrets, wrong manifests. Blocking.

    A database that is away is no such thing: the service waits for it with its door shut.
    """

    async def look() -> None:
        async with _database(_revealed(settings.database_url) or "") as database:
            await (await _keyring(database, settings)).aclose()

    open_manifests(settings)
    asyncio.run(look())


def publish_shipped(settings: Settings) -> None:
    """Publish the shipped disclosure and sample contracts where there are none of that kind yet. Blocking."""

    async def publish() -> None:
        async with _database(_revealed(settings.database_url) or "") as database:
            await _publish_shipped(_desk(database, settings))

    asyncio.run(publish())


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
    url = _revealed(settings.database_url)
    if url is None:
        raise StartError("CONSENT_PROXY_DATABASE_URL is not set")
    async with AsyncExitStack() as stack:
        tracer = open_tracer(environment=settings.environment)
        stack.callback(tracer.close)  # the last of all: a collector that is away must not hold up an outcome
        database = await stack.enter_async_context(_database(url))
        keyring = await _keyring(database, settings)
        stack.push_async_callback(keyring.aclose)
        log = await open_transfer_log(database, clock=SystemClock(), send_within=settings.send_within)
        stack.push_async_callback(log.aclose)
        outbound = Outbound(OutboundTransport())
        stack.push_async_callback(outbound.aclose)
        meter = PrometheusMeter(providers=("fal", "replicate"), load=log.load)
        mark = LedgerMark(database, folder=data_dir(settings))
        desk = _desk(database, settings, mark=mark)
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
    key = _revealed(settings.bootstrap_admin_key)
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


def _desk(database: Database, settings: Settings, *, mark: LedgerMark | None = None) -> Desk:
    mark = mark or LedgerMark(database, folder=data_dir(settings))
    clock, bootstrap_caller = SystemClock(), BOOTSTRAP_CALLER if settings.bootstrap_admin_key is not None else None
    return Desk(
        database=database,
        settings=settings,
        facts=PostgresFactsSource(database, bootstrap_caller=bootstrap_caller),
        rulebook=PostgresRulebook(database, send_within=settings.send_within),
        reader=PostgresTransferReader(database),
        health=HealthWithMark(PostgresHealth(database, clock=clock), mark=mark),
        access_log=PostgresAccessLog(database),
        transparency=PostgresTransparencyLog(database),
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
        previous=settings.previous_keys,
    )
    try:
        await keyring.start()
    except (SchemaUnfit, SecretsLocked) as error:
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
