"""What commands work with: the rules, the record and the manifests on a database, and nothing that sends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from consent_proxy.adapters.manifest_files import ManifestFileInvalid
from consent_proxy.adapters.manifests import FileManifestCatalogue
from consent_proxy.adapters.postgres.accesses import PostgresAccessLog
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.facts import PostgresFactsSource
from consent_proxy.adapters.postgres.health import PostgresHealth
from consent_proxy.adapters.postgres.keyring import PostgresKeyring
from consent_proxy.adapters.postgres.mark import HealthWithMark, LedgerMark
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.schema import SchemaUnfit
from consent_proxy.adapters.postgres.secrets import HealthWithKeptSecrets
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.postgres.transfers import PostgresTransferReader
from consent_proxy.adapters.postgres.transparency import PostgresTransparencyLog
from consent_proxy.adapters.secrets import SecretsLocked
from consent_proxy.adapters.shipped.documents import shipped_contracts, shipped_disclosure
from consent_proxy.adapters.system import SystemClock, Uuid7Identifiers
from consent_proxy.application.ports.platform import Clock, Identifiers, LedgerHealth
from consent_proxy.application.ports.records import AccessLog, TransferReader
from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.application.ports.transfers import FactsSource
from consent_proxy.application.publish_missing import publish_missing
from consent_proxy.bootstrap.store import StartError, data_dir, open_store, revealed
from consent_proxy.domain.callers import BOOTSTRAP_CALLER
from consent_proxy.domain.documents import contract_from_document, disclosure_from_document
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef
from consent_proxy.settings import Settings


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
        keys = (revealed(settings.secret_key) or "", *settings.previous_keys)
        return HealthWithKeptSecrets(self.health, database=self.database, keys=keys)

    async def find_subject(self, identifier: SubjectIdentifier) -> SubjectRef | None:
        """The reference of a person, if there is one. Raises ``LedgerUnavailable`` and ``StartError``."""
        keyring = await opened_keyring(self.database, self.settings)
        try:
            return await PostgresSubjects(self.database, digests=keyring).find(identifier)
        finally:
            await keyring.aclose()


@asynccontextmanager
async def open_desk(settings: Settings, *, progress: Callable[[str], None] | None = None) -> AsyncIterator[Desk]:
    """A desk at the database of the settings, or at the embedded one, which runs as long as somebody uses it."""
    with open_store(settings, progress=progress) as store:
        settings = settings.model_copy(update={"secret_key": SecretStr(store.secret_key)})
        async with database_at(store.service_url) as database:
            desk = desk_at(database, settings)
            if store.embedded:
                await _publish_shipped(desk)
            yield desk


def check_start(settings: Settings) -> None:
    """Raise ``StartError`` for what will not mend itself: no schema, locked secrets, wrong manifests. Blocking.

    A database that is away is no such thing: the service waits for it with its door shut.
    """

    async def look() -> None:
        async with database_at(revealed(settings.database_url) or "") as database:
            await (await opened_keyring(database, settings)).aclose()

    open_manifests(settings)
    asyncio.run(look())


def publish_shipped(settings: Settings) -> None:
    """Publish the shipped disclosure and sample contracts where there are none of that kind yet. Blocking."""

    async def publish() -> None:
        async with database_at(revealed(settings.database_url) or "") as database:
            await _publish_shipped(desk_at(database, settings))

    asyncio.run(publish())


def desk_at(database: Database, settings: Settings, *, mark: LedgerMark | None = None) -> Desk:
    """The desk on a database. ``mark`` is the service's own, where one is kept."""
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
async def database_at(url: str) -> AsyncIterator[Database]:
    """A pool on the database, up or away. Raises ``StartError`` for what is no address of one."""
    try:
        database = await open_database(url)
    except ValueError as error:
        raise StartError("CONSENT_PROXY_DATABASE_URL has to be a postgresql:// address") from error
    try:
        yield database
    finally:
        await database.aclose()


async def opened_keyring(database: Database, settings: Settings) -> PostgresKeyring:
    """The secrets, open or waiting for the database; to be closed. Raises ``StartError``: no schema, or locked."""
    keyring = PostgresKeyring(
        database,
        secret_key=revealed(settings.secret_key) or "",
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
