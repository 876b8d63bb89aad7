"""The index that suits the device."""

from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.search_device import DeviceSearchIndex
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.session import Device, expects_cuda
from rtcc_bridge.matching.snapshot import GallerySnapshot


def open_index(
    snapshot: GallerySnapshot, device: Device = Device.CPU, threads: int = 1, previous: SearchIndex | None = None
) -> SearchIndex:
    """An index over this snapshot: on CUDA where it is asked for or, with AUTO, to be had; else on the CPU. Blocks.

    threads: those of one search on the CPU. previous: the index of an older version of the same gallery, opened with
    the same settings, whose memory on the device is shared where it can be. DeviceError: CUDA was asked for and cannot
    be used.
    """
    if expects_cuda(device):
        older = previous if isinstance(previous, DeviceSearchIndex) else None
        index = DeviceSearchIndex(snapshot, device, threads, older)
        if index.device is Device.CUDA:
            return index
    return Int8SearchIndex(snapshot, threads)
