"""Takes a model pack over into the folder where the program keeps its packs."""

import re
import shutil
from pathlib import Path

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import PACK_FILE, ModelPack, load_pack
from rtcc_bridge.modelpacks.staging import staging_folder

SIGNATURE_FILE = "pack.sig"
"""Beside pack.json, which it signs and which therefore cannot list it."""

_FOLDER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BUILT_IN = "default"


def add_pack(source_directory: Path, packs_directory: Path) -> Path:
    """Check a pack and copy it to `packs_directory/<its name>`; returns that folder. Blocks while files are copied.

    Copies pack.json, the files that it lists and its signature, nothing else. Adding the same pack again brings its
    signature up to date and changes nothing else.
    ModelPackError: the pack is not in order, its name cannot be a folder's, or another pack has that name.
    """
    pack = load_pack(source_directory)
    if not _FOLDER_NAME.fullmatch(pack.name) or pack.name == _BUILT_IN:
        raise ModelPackError(
            f"{source_directory / PACK_FILE}: the name {pack.name!r} cannot be used; choose one of lower-case letters, "
            f"digits, dots and hyphens, other than {_BUILT_IN!r}"
        )
    final = packs_directory / pack.name
    if not final.exists():
        packs_directory.mkdir(parents=True, exist_ok=True)
        with staging_folder(packs_directory) as staged:
            _copy(pack, staged)
            staged.rename(final)
    if load_pack(final).pack_hash != pack.pack_hash:
        raise ModelPackError(f"{final} holds another pack of that name: remove it first, or rename the new one")
    _copy_signature(pack.folder, final)
    return final


def _copy(pack: ModelPack, target: Path) -> None:
    shutil.copyfile(pack.folder / PACK_FILE, target / PACK_FILE)
    for name in pack.files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(pack.read(name))


def _copy_signature(source: Path, target: Path) -> None:
    """Not before the pack itself is known to be the same."""
    if (source / SIGNATURE_FILE).is_file() and source.resolve() != target.resolve():
        fresh = target / f".{SIGNATURE_FILE}.new"
        shutil.copyfile(source / SIGNATURE_FILE, fresh)
        fresh.replace(target / SIGNATURE_FILE)
