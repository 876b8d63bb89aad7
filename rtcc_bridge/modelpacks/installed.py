"""Finds the model pack that the settings name, and keeps the folder of packs."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.matching.calibration import Calibration, load_pack_calibration
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, load_pack
from rtcc_bridge.matching_settings import MatchingSettings
from rtcc_bridge.modelpacks.default_pack import ensure_default_pack

DEFAULT_PACK = "default"

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def open_pack(settings: MatchingSettings, progress: Progress) -> ModelPack:
    """The verified pack of the settings; the default one is built when it is not there yet. Blocks (seconds).

    Raises ConfigurationError that says what to do.
    """
    try:
        if settings.pack == DEFAULT_PACK:
            return load_pack(ensure_default_pack(settings.packs_directory, progress))
        return load_pack(settings.packs_directory / settings.pack)
    except ModelPackError as error:
        problem = ConfigurationProblem("matching.pack", str(error), "See `rtcc-bridge models --help`")
        raise ConfigurationError(problem) from error


def require_calibration(pack: ModelPack) -> Calibration:
    """The pack's calibration. Raises ConfigurationError: without it no threshold means anything."""
    calibration = load_pack_calibration(pack)
    if calibration is None:
        problem = ConfigurationProblem(
            "matching.pack",
            f"the pack {pack.name} has no calibration",
            f"Run: rtcc-bridge models calibrate {pack.folder.name} FOLDER, with pictures of people who are labelled",
        )
        raise ConfigurationError(problem)
    return calibration


def installed_packs(directory: Path) -> list[Path]:
    """The folders below `directory` that hold a pack.json, by name."""
    return sorted(file.parent for file in directory.glob("*/pack.json"))
