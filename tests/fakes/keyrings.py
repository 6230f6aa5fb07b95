"""A keyring of made-up secrets, for what signs and digests without a database."""

from consent_proxy.adapters.secrets import Keyring, Secret, SecretName


def made_up_keyring() -> Keyring:
    """The same secrets in every run."""
    return Keyring(Secret(name=name, version=1, value=name.encode().ljust(32, b".")) for name in SecretName)
