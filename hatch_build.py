"""Makes what is in the package and not in the repository: the pages' libraries (`scripts/browser_libraries.py`), and
the library of the search's own kernel (`scripts/int8_rows.py`)."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scripts.browser_libraries import MissingProgramError, copy_libraries
from scripts.int8_rows import WHEEL_TAG, NotCompiledError, compile_library

_EDITABLE = "editable"


class MadeFiles(BuildHookInterface[Any]):
    """A wheel without the pages' libraries is none; where one only develops, the pages do without and say so. The
    kernel may always be missing, which the wheel's name tells: only with it is it for one platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        try:
            copy_libraries()
        except (MissingProgramError, subprocess.CalledProcessError, OSError) as error:
            if version != _EDITABLE:
                raise
            self.app.display_warning(f"pictures are shown without zoom until this is put right: {error}")
        try:
            compile_library()
        except NotCompiledError as why:
            self.app.display_warning(f"without its own kernels, which make a search faster: {why}")
        else:
            if version != _EDITABLE:
                build_data |= {"pure_python": False, "tag": WHEEL_TAG}
