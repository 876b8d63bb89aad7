"""Lets the build copy the pages' libraries into the package (`scripts/browser_libraries.py`)."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scripts.browser_libraries import MissingProgramError, copy_libraries


class BrowserLibraries(BuildHookInterface[Any]):
    """A wheel without the libraries is none. Where one only develops, the pages do without and say so."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        try:
            copy_libraries()
        except (MissingProgramError, subprocess.CalledProcessError, OSError) as error:
            if version != "editable":
                raise
            self.app.display_warning(f"pictures are shown without zoom until this is put right: {error}")
