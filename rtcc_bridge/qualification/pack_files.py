"""Puts what was learnt of a pack into the pack: its calibration and its evaluation."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.matching.modelpack import PACK_FILE, ModelPack, load_pack
from rtcc_bridge.modelpacks.add_pack import SIGNATURE_FILE
from rtcc_bridge.modelpacks.installed import DEFAULT_PACK

Kind: TypeAlias = Literal["calibration", "evaluation"]


def put_into_pack(pack: ModelPack, kind: Kind, write: Callable[[Path], None]) -> ModelPack:
    """Let `write` write the file, list it in pack.json, and load the pack again. Blocks.

    The file's name holds a part of its hash, so that pack.json, which is replaced in one step, always lists files that
    are there. The networks stay as they are: galleries of the pack can still be searched. A signature does not hold any
    more and is removed. Raises ConflictError for the default pack, which is built anew on every machine, ModelPackError
    when the pack is not in order.
    """
    require_own_pack(pack)
    fresh = pack.folder / f".{kind}.new"
    try:
        write(fresh)
        digest = hashlib.sha256(fresh.read_bytes()).hexdigest()
        name = f"{kind}-{digest[:12]}.json"
        fresh.replace(pack.folder / name)
    finally:
        fresh.unlink(missing_ok=True)
    document = json.loads((pack.folder / PACK_FILE).read_bytes())
    former = document[kind]
    document["files"] = {**{file: sha for file, sha in document["files"].items() if file != former}, name: digest}
    document[kind] = name
    (pack.folder / SIGNATURE_FILE).unlink(missing_ok=True)
    _replace(pack.folder / PACK_FILE, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    if former not in {None, name}:
        (pack.folder / former).unlink(missing_ok=True)
    return load_pack(pack.folder)


def require_own_pack(pack: ModelPack) -> None:
    if pack.name == DEFAULT_PACK:
        raise ConflictError(
            "the default pack is for demonstration and training and brings its own calibration: add the pack that you "
            "mean to use with `rtcc-bridge models add`"
        )


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
