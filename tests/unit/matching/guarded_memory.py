"""Arrays in memory where whatever reads or writes beyond them ends the process."""

import ctypes
import mmap
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Kind = TypeVar("Kind", bound=np.generic)


def between_guards(array: npt.NDArray[Kind], *, last: bool) -> npt.NDArray[Kind]:
    """The same in memory of its own, between two pages that end the process when they are touched; right before the
    second one, or right after the first."""
    page = mmap.PAGESIZE
    pages = -(-array.nbytes // page)
    memory = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    offset = (pages + 1) * page - array.nbytes if last else page
    copy: npt.NDArray[Kind] = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    copy[...] = array
    library = ctypes.CDLL(None, use_errno=True)
    for guard in (start, start + (pages + 1) * page):
        if library.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    return copy
