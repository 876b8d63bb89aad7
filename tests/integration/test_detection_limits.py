"""The most work that one picture can make stays within the limits of a sandboxed worker."""

import subprocess
import sys

from rtcc_bridge.matching.modelpack import ModelPack

_MEMORY_BYTES = 1_600_000_000

_DETECT_A_CROWD = """
import resource, sys
from pathlib import Path

import cv2, numpy, skimage.data

from rtcc_bridge.matching.detect import detect_bounded, open_detector
from rtcc_bridge.matching.modelpack import load_pack

resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
detector = open_detector(load_pack(Path(sys.argv[1])))
face = cv2.resize(skimage.data.astronaut()[55:180, 165:285], (40, 40), interpolation=cv2.INTER_AREA)
print(len(detect_bounded(detector, numpy.tile(face, (100, 125, 1)))))
"""


def test_twenty_megapixels_of_faces_fit_into_the_memory_of_a_worker(default_pack: ModelPack) -> None:
    """12,500 faces; detection sees a copy of 12 megapixels and hands on the best 200."""
    command = [sys.executable, "-c", _DETECT_A_CROWD, str(default_pack.folder), str(_MEMORY_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 200
