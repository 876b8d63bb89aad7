"""What a packet takes from outside the database: model pack and policy, each by the hash that the lead cites."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import PACK_FILE, ModelPack, load_pack
from rtcc_bridge.policy.policy_file import policy_hash, read_policy
from rtcc_bridge.policy.policy_signatures import signature_file_of


@dataclass(frozen=True, slots=True)
class PacketSources:
    """Where packs and policies lie. All of it blocks."""

    packs_directory: Path
    policy_file: Path
    signature_file: Path | None

    def model(self, pack_hash: str) -> ModelPack | None:
        """The installed pack of this hash, verified; None when it is not here any more."""
        for file in sorted(self.packs_directory.glob(f"*/{PACK_FILE}")):
            try:
                pack = load_pack(file.parent)
            except ModelPackError:  # another pack that was damaged: `models verify` tells
                continue
            if pack.pack_hash == pack_hash:
                return pack
        return None

    def policy(self, hashed: str, archived: Sequence[Path]) -> dict[str, bytes]:
        """The policy of this hash and its signatures: the one in place, or one of those that were kept; else nothing.

        Raises ConfigurationError when one cannot be read.
        """
        places = [(self.policy_file, self.signature_file), *((file, None) for file in archived)]
        for file, signatures in places:
            content = read_policy(file)
            if policy_hash(content) == hashed:
                found = {"policy/policy.yaml": content}
                place = signatures or signature_file_of(file)
                if place.is_file():
                    found["policy/policy.yaml.signatures"] = place.read_bytes()
                return found
        return {}


def require_named(archived: Sequence[Path], used: set[str]) -> None:
    """A policy that somebody has named and that no lead cites is a mistake. Raises InvalidInputError."""
    for file in archived:
        if policy_hash(read_policy(file)) not in used:
            raise InvalidInputError(f"No lead of this packet was made under the policy {file.name}.", "fields")


def model_files(pack: ModelPack) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The description of the pack, its calibration and its evaluation, and what the packet says of them.

    The networks themselves are named by their hashes. Raises ModelPackError.
    """
    files = {f"model/{PACK_FILE}": (pack.folder / PACK_FILE).read_bytes()}
    names: Mapping[str, str | None] = {"calibration": pack.calibration, "evaluation": pack.evaluation}
    said: dict[str, Any] = {
        "name": pack.name,
        "version": pack.version,
        "licence": pack.licence,
        "packHash": pack.pack_hash,
        "files": dict(pack.files),
    }
    for what, name in names.items():
        if name is not None:
            files[f"model/{what}.json"] = pack.read(name)
            said[f"{what}Sha256"] = hashlib.sha256(files[f"model/{what}.json"]).hexdigest()
    return files, said
