"""Where the keys of authority tokens come from (P30): one to sign requests with, and its public half to check them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.policy.authority_token import TokenSigner, TokenVerifier
from rtcc_bridge.secret_files import read_secret_file
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.master_key import load_master_keys

SIGNING_KEY: Final = "authority.signing_key_file"
PUBLIC_KEYS: Final = "authority.public_keys_file"

_END_OF_KEY: Final = b"-----END PUBLIC KEY-----"
_MOST_BYTES: Final = 64 * 1024
_HELP: Final = "Make a pair with `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`"
_DERIVED_FOR: Final = b"rtcc-bridge search authority"


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """What this process has. A part that cannot do without asks `require_…` when it is put together."""

    signer: TokenSigner | None = None
    verifier: TokenVerifier | None = None

    def require_signer(self) -> TokenSigner:
        """Raises ConfigurationError when this process may not ask for searches."""
        if self.signer is None:
            raise _problem(SIGNING_KEY, "is needed by the roles web and relay, which sign search requests", _HELP)
        return self.signer

    def require_verifier(self) -> TokenVerifier:
        """Raises ConfigurationError when this process cannot tell a request with authority from another."""
        if self.verifier is None:
            raise _problem(PUBLIC_KEYS, "is needed by the role matcher, which searches nothing unsigned", _HELP)
        return self.verifier


def load_authority_keys(settings: Settings) -> AuthorityKeys:
    """Reads what the settings name; a demo's master key has to be there. Blocks. Raises ConfigurationError.

    A process that signs can check its own tokens too, and those of every key in the file of public keys. Where the demo
    names no file, the pair follows from the master keys, so that all processes of one installation have the same one;
    the last master key of its source signs, since the others know it too while a rotation reaches them.
    """
    section = settings.authority
    public = tuple(_public_keys(section.public_keys_file)) if section.public_keys_file is not None else ()
    if section.signing_key_file is not None:
        signer = TokenSigner(_private_key(section.signing_key_file))
        return AuthorityKeys(signer, TokenVerifier((signer.public_key, *public)))
    if public:
        return AuthorityKeys(None, TokenVerifier(public))
    derived = tuple(_derived(settings))
    if not derived:
        return AuthorityKeys()
    return AuthorityKeys(derived[-1], TokenVerifier([signer.public_key for signer in derived]))


def key_problems(settings: Settings) -> Iterator[ConfigurationProblem]:
    """What `serve` would refuse to start for, whatever its roles; master keys apart. Blocks."""
    section = settings.authority
    try:
        if section.signing_key_file is None and section.public_keys_file is None:
            if not _can_be_derived(settings):
                AuthorityKeys().require_signer()
        else:
            load_authority_keys(settings)
    except ConfigurationError as error:
        yield from error.problems


def _can_be_derived(settings: Settings) -> bool:
    objects = settings.objects
    return settings.profile == "demo" and (objects.master_key is not None or objects.master_key_file is not None)


def _derived(settings: Settings) -> Iterator[TokenSigner]:
    if _can_be_derived(settings):
        for key in load_master_keys(settings.objects, may_create=False):
            yield TokenSigner(Ed25519PrivateKey.from_private_bytes(key.derive(_DERIVED_FOR)))


def _private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(read_secret_file(SIGNING_KEY, file), password=None)
    except (TypeError, ValueError) as error:  # TypeError: it is encrypted
        raise _problem(SIGNING_KEY, f"{file} is not an unencrypted private key in PEM form", _HELP) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _problem(SIGNING_KEY, f"{file} is not an Ed25519 key", _HELP)
    return key


def _public_keys(file: Path) -> Iterator[Ed25519PublicKey]:
    """One after the other in one file: while a key is replaced matchers know both."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
    except OSError as error:
        raise _problem(PUBLIC_KEYS, f"{file} cannot be read ({error.strerror})", "Name an existing file") from error
    *blocks, rest = content.split(_END_OF_KEY)
    if not blocks or rest.strip():
        raise _problem(PUBLIC_KEYS, f"{file} does not hold public keys in PEM form", _HELP)
    for block in blocks:
        try:
            key = load_pem_public_key(block + _END_OF_KEY + b"\n")
        except ValueError as error:
            raise _problem(PUBLIC_KEYS, f"{file} does not hold public keys in PEM form", _HELP) from error
        if not isinstance(key, Ed25519PublicKey):
            raise _problem(PUBLIC_KEYS, f"{file} holds a key that is no Ed25519 key", _HELP)
        yield key


def _problem(setting: str, cause: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(ConfigurationProblem(setting, cause, remedy))
