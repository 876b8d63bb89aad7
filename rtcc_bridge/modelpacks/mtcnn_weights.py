"""Reads the weight files of the `mtcnn` wheel (joblib pickles under LZ4) without TensorFlow and without trusting them.

A pickle can run code. The files are pinned by hash before they come here; the unpickler still admits nothing but
NumPy arrays, so that a mistake in the pinning cannot become code execution.
"""

import io
from pathlib import Path
from typing import Any

import joblib.numpy_pickle
import lz4.frame
import numpy as np

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.types import Float32Array

_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_ADMITTED = {_ARRAY, ("numpy", "dtype"), ("numpy", "ndarray")}


class _NumbersOnlyArray(joblib.numpy_pickle.NumpyArrayWrapper):  # type: ignore[misc]
    """An array of objects would carry a pickle of its own inside: refuse it before it is read."""

    def read_array(self, unpickler: Any, ensure_native_byte_order: bool) -> Any:
        if self.dtype.hasobject:
            raise ModelPackError("the weight file holds an array of objects, not of numbers: it is refused")
        return super().read_array(unpickler, ensure_native_byte_order)


class _ArraysOnlyUnpickler(joblib.numpy_pickle.NumpyUnpickler):  # type: ignore[misc]
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise ModelPackError(f"the weight file asks for {module}.{name}, which is not an array: it is refused")
        return _NumbersOnlyArray if (module, name) == _ARRAY else super().find_class(module, name)


def read_weights(path: Path) -> list[Float32Array]:
    """The network's arrays, float32, in the order of its layers; ModelPackError when the file holds anything else."""
    data = lz4.frame.decompress(path.read_bytes())
    weights = _ArraysOnlyUnpickler(str(path), io.BytesIO(data), ensure_native_byte_order=True).load()
    if not isinstance(weights, list) or not all(isinstance(array, np.ndarray) for array in weights):
        raise ModelPackError(f"{path} does not hold a list of arrays")
    return [array.astype(np.float32) for array in weights]
