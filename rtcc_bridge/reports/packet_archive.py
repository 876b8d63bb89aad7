"""A packet as one ZIP: its files, a manifest of their hashes, and a signature of the manifest (Ed25519).

The manifest is what `sha256sum --check` reads, the signature what `openssl pkeyutl -verify` reads. So nobody needs this
program to find out whether a packet is whole.
"""

import hashlib
import io
import os
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, ConflictError, UnavailableError
from rtcc_bridge.secret_files import create_secret_file, is_absent
from rtcc_bridge.signing_keys import load_private_key
from rtcc_bridge.storage.durability import sync_folder

SETTING: Final = "reports.signing_key_file"
FORMAT: Final = "rtcc-bridge discovery packet 1"
MANIFEST: Final = "MANIFEST.sha256"
SIGNATURE: Final = "MANIFEST.sha256.sig"
PUBLIC_KEY: Final = "PUBLIC-KEY.pem"


@dataclass(frozen=True, slots=True)
class Packet:
    """A whole packet. manifest_sha256: stands in the audit log, so that it can be told whether this one was made here.

    missing: what could not be put into it any more, one sentence each.
    """

    name: str
    data: bytes
    manifest_sha256: str
    missing: tuple[str, ...]


def load_packet_key(file: Path | None, *, may_create: bool) -> Ed25519PrivateKey:
    """may_create: a missing file is created with a new key (demo profile). Blocks. Raises ConfigurationError."""
    if file is None:
        cause = "is not set: a packet that nobody has signed proves nothing"
        remedy = "Name a private key: openssl genpkey -algorithm ed25519; mode 0600"
        raise ConfigurationError(ConfigurationProblem(SETTING, cause, remedy))
    if may_create and is_absent(file):
        made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        create_secret_file(SETTING, file, made.decode("ascii"))
    return load_private_key(SETTING, file)


def archive(
    name: str, files: Mapping[str, bytes], key: Ed25519PrivateKey, made_at: datetime, missing: tuple[str, ...]
) -> Packet:
    """The ZIP; everything in it lies in a folder of the packet's name. The same files give the same bytes. Blocks."""
    manifest = _manifest(name, files)
    whole = {
        **files,
        MANIFEST: manifest,
        SIGNATURE: key.sign(manifest),
        PUBLIC_KEY: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(whole):
            entry = zipfile.ZipInfo(f"{name}/{path}", made_at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            packed.writestr(entry, whole[path])
    return Packet(name, out.getvalue(), hashlib.sha256(manifest).hexdigest(), missing)


def write_packet(packet: Packet, file: Path) -> None:
    """The file appears when it is whole, for its owner alone. Blocks. Raises ConflictError when one is there already.

    Raises UnavailableError when it cannot be written; nothing is left then.
    """
    if file.exists():
        raise ConflictError(f"{file} exists already: name a new file for each packet")
    draft = file.with_name(f"{file.name}.unfinished-{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(packet.data)
            opened.flush()
            os.fsync(descriptor)
        os.link(draft, file)  # unlike a replacement it fails when somebody else has written there meanwhile
        sync_folder(file.parent)
    except FileExistsError as error:
        raise ConflictError(f"{file} exists already: name a new file for each packet") from error
    except OSError as error:
        raise UnavailableError(f"the packet cannot be written to {file.parent}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def _manifest(name: str, files: Mapping[str, bytes]) -> bytes:
    """Its first line is a comment to `sha256sum`, and says of what packet the signature is."""
    lines = [f"# {FORMAT} {name}"]
    lines += [f"{hashlib.sha256(files[path]).hexdigest()}  {path}" for path in sorted(files)]
    return ("\n".join(lines) + "\n").encode()
