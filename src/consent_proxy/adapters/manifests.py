"""The catalogue of reviewed manifests: those that come with the service, and those an operator adds."""

from collections.abc import Iterable
from importlib.resources import as_file, files
from pathlib import Path

from consent_proxy.adapters.manifest_files import (
    Extension,
    ManifestFile,
    ManifestFileInvalid,
    extended,
    read_manifest_folder,
)
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.manifests import Manifest

_Key = tuple[str, str, Purpose]


class FileManifestCatalogue:
    """Manifests read once, from the package's own folder and then from an operator's. Names are matched exactly."""

    def __init__(self, *, manifests_dir: Path | None = None) -> None:
        """Read everything. Raises ``ManifestFileInvalid``: a service that knows its models wrongly must not start."""
        with as_file(files("consent_proxy.adapters.providers") / "manifests") as shipped:
            own = read_manifest_folder(shipped)
        added = read_manifest_folder(manifests_dir) if manifests_dir is not None else []
        self._by_key: dict[_Key, Manifest] = {}
        for file in own:
            self._take(file, may_change=False)
        for file in added:
            self._take(file, may_change=True)
        for extension in (extension for file in added for extension in file.extensions):
            self._extend(extension)
        self._by_version = _claims((m, version) for m in self.all() for version in m.versions)
        self._by_deployment = _claims((m, deployment) for m in self.all() for deployment in m.deployments)

    def find(self, provider: str, model: str, *, purpose: Purpose | None = None) -> Manifest | None:
        """The manifest of exactly that model; without a ``purpose``, the one for generation before the one for training."""
        return _pick({key[2]: m for key, m in self._by_key.items() if key[:2] == (provider, model)}, purpose)

    def find_version(self, provider: str, version: str, *, purpose: Purpose | None = None) -> Manifest | None:
        """The manifest that pins this version (64 hex digits); ``purpose`` as in ``find``."""
        return _pick(self._by_version.get((provider, version), {}), purpose)

    def find_deployment(self, provider: str, deployment: str) -> Manifest | None:
        """The manifest that lists this deployment (``owner/name``); deployments generate."""
        return _pick(self._by_deployment.get((provider, deployment), {}), None)

    def all(self) -> tuple[Manifest, ...]:
        """Every manifest, by provider, model and purpose."""
        return tuple(self._by_key[key] for key in sorted(self._by_key))

    def _take(self, file: ManifestFile, *, may_change: bool) -> None:
        if not may_change and (file.replacing or file.extensions):
            raise ManifestFileInvalid(f"{file.name}: only an operator's own files replace or extend")
        for manifest in file.manifests:
            key = (manifest.provider, manifest.id, manifest.purpose)
            if key in self._by_key and key not in file.replacing:
                advice = "say 'replaces = true' to put yours in its place" if may_change else "leave one out"
                raise ManifestFileInvalid(
                    f"{file.name}: model '{manifest.id}' ({manifest.purpose}) is listed already; {advice}"
                )
            if key not in self._by_key and key in file.replacing:
                raise ManifestFileInvalid(
                    f"{file.name}: model '{manifest.id}' ({manifest.purpose}) replaces nothing; leave 'replaces' out"
                )
            self._by_key[key] = manifest

    def _extend(self, extension: Extension) -> None:
        entry = extension.entry
        manifest = self.find(extension.provider, entry.id, purpose=entry.purpose)
        if manifest is None:
            raise ManifestFileInvalid(f"{extension.file}: extension of '{entry.id}', which no file lists as a model")
        self._by_key[manifest.provider, manifest.id, manifest.purpose] = extended(manifest, extension)


def _pick(by_purpose: dict[Purpose, Manifest], purpose: Purpose | None) -> Manifest | None:
    if purpose is not None:
        return by_purpose.get(purpose)
    return by_purpose.get(Purpose.GENERATION) or by_purpose.get(Purpose.TRAINING)


def _claims(pairs: Iterable[tuple[Manifest, str]]) -> dict[tuple[str, str], dict[Purpose, Manifest]]:
    """Who claims a version or deployment. Raises ``ManifestFileInvalid`` where two models claim one."""
    claimed: dict[tuple[str, str], dict[Purpose, Manifest]] = {}
    for manifest, name in pairs:
        by_purpose = claimed.setdefault((manifest.provider, name), {})
        if other := next((other for other in by_purpose.values() if other.id != manifest.id), None):
            raise ManifestFileInvalid(
                f"'{name}' is claimed by '{other.id}' and by '{manifest.id}' at '{manifest.provider}'; leave one out"
            )
        by_purpose[manifest.purpose] = manifest
    return claimed
