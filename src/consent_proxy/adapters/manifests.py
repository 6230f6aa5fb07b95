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
        by_key = _collected(own, added)
        for extension in (extension for file in added for extension in file.extensions):
            _extend(by_key, extension)
        self._all = tuple(by_key[key] for key in sorted(by_key))
        self._drafts = tuple(draft for file in (*own, *added) for draft in file.drafts)
        self._by_model = _claims((manifest, manifest.id) for manifest in self._all)
        self._by_version = _claims((manifest, version) for manifest in self._all for version in manifest.versions)
        self._by_deployment = _claims((manifest, name) for manifest in self._all for name in manifest.deployments)

    def find(self, provider: str, model: str, *, purpose: Purpose | None = None) -> Manifest | None:
        """The manifest of exactly that model; without a ``purpose``, the one for generation before any other."""
        return _pick(self._by_model.get((provider, model), {}), purpose)

    def find_version(self, provider: str, version: str, *, purpose: Purpose | None = None) -> Manifest | None:
        """The manifest that pins this version (64 hex digits); ``purpose`` as in ``find``."""
        return _pick(self._by_version.get((provider, version), {}), purpose)

    def find_deployment(self, provider: str, deployment: str) -> Manifest | None:
        """The manifest that lists this deployment (``owner/name``); a deployment generates."""
        return _pick(self._by_deployment.get((provider, deployment), {}), None)

    def all(self) -> tuple[Manifest, ...]:
        """Every manifest, by provider, model and purpose."""
        return self._all

    def drafts(self) -> tuple[Manifest, ...]:
        """Those that nobody has reviewed. No ``find`` ever finds one."""
        return self._drafts


def _collected(own: Iterable[ManifestFile], added: Iterable[ManifestFile]) -> dict[_Key, Manifest]:
    """One manifest a model and purpose; an operator's file may put its own in the place of one of ours, and says so."""
    by_key: dict[_Key, Manifest] = {}
    for file in own:
        if file.replacing or file.extensions:
            raise ManifestFileInvalid(f"{file.name}: only an operator's own files replace or extend")
        for key, manifest in file.by_key():
            if key in by_key:
                raise ManifestFileInvalid(f"{file.name}: model '{manifest.id}' is listed twice; leave one out")
            by_key[key] = manifest
    replaceable = set(by_key)
    for file in added:
        for key, manifest in file.by_key():
            model = f"{file.name}: model '{manifest.id}' for {manifest.purpose}"
            if key in file.replacing and key not in replaceable:
                raise ManifestFileInvalid(f"{model} replaces none that came with the service; leave 'replaces' out")
            if key in by_key and key not in file.replacing:
                raise ManifestFileInvalid(f"{model} is listed already; 'replaces = true' puts yours in its place")
            replaceable.discard(key)
            by_key[key] = manifest
    return by_key


def _extend(by_key: dict[_Key, Manifest], extension: Extension) -> None:
    entry = extension.entry
    listed = {key[2]: manifest for key, manifest in by_key.items() if key[:2] == (extension.provider, entry.id)}
    manifest = _pick(listed, entry.purpose)
    if manifest is None:
        raise ManifestFileInvalid(f"{extension.file}: extension of '{entry.id}', which no file lists as a model")
    by_key[manifest.provider, manifest.id, manifest.purpose] = extended(manifest, extension)


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
