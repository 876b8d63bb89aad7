"""The weight files are read as arrays of numbers; a pickle that wants anything else is refused before it runs."""

import pickle
from pathlib import Path
from typing import Any

import joblib
import lz4.frame
import numpy as np
import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.modelpacks.mtcnn_weights import read_weights


def _stored(tmp_path: Path, value: Any) -> Path:
    plain = tmp_path / "weights.joblib"
    joblib.dump(value, plain)
    return _packed(tmp_path, plain.read_bytes())


def _packed(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "weights.lz4"
    path.write_bytes(lz4.frame.compress(data))
    return path


class _TouchesAFile:
    """What an attacker would put into the file: unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self._path,)


def test_arrays_are_read_in_their_order(tmp_path: Path) -> None:
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(4, np.float64)]
    first, second = read_weights(_stored(tmp_path, arrays))
    np.testing.assert_array_equal(first, arrays[0])
    np.testing.assert_array_equal(second, arrays[1])
    assert second.dtype == np.float32


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with pytest.raises(ModelPackError, match="which is not an array"):
        read_weights(_packed(tmp_path, pickle.dumps([_TouchesAFile(touched)])))
    assert not touched.exists()


def test_code_hidden_in_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    hiding = np.empty(1, dtype=object)
    hiding[0] = _TouchesAFile(touched)
    with pytest.raises(ModelPackError, match="array of objects"):
        read_weights(_stored(tmp_path, [hiding]))
    assert not touched.exists()


def test_a_file_without_a_list_of_arrays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelPackError, match="list of arrays"):
        read_weights(_stored(tmp_path, {"weights": 1}))
