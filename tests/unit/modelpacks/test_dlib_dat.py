"""The parser of dlib's files reads what a writer of that format wrote, and refuses everything else by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.modelpacks.dlib_dat import Affine, Convolution, DatReader, FullyConnected, Pool, Relu, parse_network
from tests.unit.modelpacks import dat_writer as dat

_RANDOM = np.random.default_rng(1)


def _small_network() -> bytes:
    weights = _RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
    layers = [
        dat.convolution(weights, np.ones(4, np.float32), stride=2, padding=1),
        dat.affine(np.full(4, 2, np.float32), np.full(4, -1, np.float32)),
        dat.RELU,
        dat.pool("max", 3, 2),
        dat.pool("avg", 0, 1),
        dat.fully_connected(np.eye(4, 5, dtype=np.float32)),
    ]
    return dat.network(layers, 20, (10.5, 20.25, 30.0))


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_integers_are_read_back(value: int) -> None:
    assert DatReader(dat.integer(value)).integer() == value


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_reals_are_read_back(value: float) -> None:
    assert DatReader(dat.real(value)).real() == value


def test_a_network_is_read_back() -> None:
    network = parse_network(_small_network())
    assert (network.input_size, network.channel_means) == (20, (10.5, 20.25, 30.0))
    convolution, affine, relu, pool, whole, head = network.layers
    assert isinstance(convolution, Convolution)
    assert (convolution.weights.shape, convolution.stride, convolution.padding) == ((4, 3, 3, 3), (2, 2), (1, 1))
    assert isinstance(affine, Affine)
    assert affine.gain.tolist() == [2] * 4
    assert affine.offset.tolist() == [-1] * 4
    assert relu == Relu()
    assert pool == Pool("max", (3, 3), (2, 2), (0, 0))
    assert isinstance(whole, Pool)
    assert whole.kernel == (0, 0)
    assert isinstance(head, FullyConnected)
    assert head.weights.shape == (4, 5)


@given(st.data())
def test_a_shortened_file_is_refused(data: st.DataObject) -> None:
    whole = _small_network()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ModelPackError, match="dlib model file"):
        parse_network(whole[:cut])


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelPackError, match="dlib model file"):
        parse_network(data)


def test_bytes_after_the_network_are_refused() -> None:
    with pytest.raises(ModelPackError, match="1 bytes are left over"):
        parse_network(_small_network() + b"\0")


def test_a_layer_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(ModelPackError, match="'dropout_'"):
        parse_network(dat.network([dat.text("dropout_")], 20, (0, 0, 0)))


def test_parameters_that_do_not_fit_are_refused() -> None:
    broken = dat.affine(np.ones(4, np.float32), np.ones(3, np.float32))
    with pytest.raises(ModelPackError, match="affine layer do not fit"):
        parse_network(dat.network([broken], 20, (0, 0, 0)))
