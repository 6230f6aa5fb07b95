"""Where everything of an embedded server lies: the layout of its folder on disk."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """The folder given to the server. Only `cluster`, `staging` and `socket` belong to the server's account."""

    root: Path

    @property
    def cluster(self) -> Path:
        """Postgres's own data folder. It exists only when `initdb` has come to its end."""
        return self.root / "cluster"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def socket(self) -> Path:
        return self.root / "socket"

    @property
    def binaries(self) -> Path:
        """Copies of binaries that lie where the server's account cannot reach them."""
        return self.root / "binaries"

    @property
    def passwords(self) -> Path:
        return self.root / "passwords.json"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def starting(self) -> Path:
        """The lock of whoever starts or stops the server: held alone and for a moment."""
        return self.root / "starting.lock"

    @property
    def using(self) -> Path:
        """The lock of everyone who uses the server: shared for as long as they do."""
        return self.root / "using.lock"

    @property
    def serving(self) -> Path:
        """The lock that initdb and the server's processes inherit: free only when the last of them is gone."""
        return self.root / "serving.lock"


def open_folder(root: Path) -> DataFolder:
    """The layout below `root`, which is made where it is missing: closed to others, or, as root, only passable."""
    root.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    return DataFolder(root=root.resolve())
