"""The sealed cut-out of a probe's chosen face."""

from collections.abc import Sequence

import numpy as np

from rtcc_bridge.errors import IntegrityError, NotFoundError
from rtcc_bridge.matching.types import FaceCrop
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.probes import ProbeRecord


async def open_crop(database: Database, vault: ObjectVault, probe: ProbeRecord) -> FaceCrop:
    """Raises IntegrityError when it is not the crop that was sealed and described, NotFoundError when it is gone.

    Neither will ever pass by itself: a store that is away or not the right one raises UnavailableError.
    """
    width, height, landmarks = probe.crop_width, probe.crop_height, probe.crop_landmarks
    if probe.purged_at is not None:
        raise NotFoundError("the face of this search was purged: its receipt says when")
    if probe.crop_object is None or width is None or height is None or landmarks is None:
        raise IntegrityError(f"probe {probe.probe_id} has authority but no crop")
    async with database.read() as tx:
        key = await vault.key_of(tx, probe.crop_object)
    return crop_of(await vault.unseal(probe.crop_object, key), width, height, landmarks, f"probe {probe.probe_id}")


def crop_of(data: bytes, width: int, height: int, landmarks: Sequence[Sequence[float]], whose: str) -> FaceCrop:
    """The cut-out whose pixels these are, five landmarks within it; whose: for the error. Raises IntegrityError."""
    if len(data) != width * height * 3:
        raise IntegrityError(f"the crop of {whose} does not have as many bytes as its size says")
    points = np.array(landmarks, np.float32)
    if points.shape != (5, 2) or not np.isfinite(points).all() or not np.ptp(points, axis=0).any():
        raise IntegrityError(f"the landmarks of {whose} cannot be aligned")
    return FaceCrop(np.frombuffer(data, np.uint8).reshape(height, width, 3), points)
