"""Reads the face-recognition network out of dlib's own serialisation format (`.dat`), without dlib.

The format is that of dlib's `dlib/serialize.h` and `dlib/dnn/{core,layers,input,loss}.h`: every integer is a control
byte (the low four bits count the bytes that follow, the high bit is the sign) and a little-endian magnitude; a float is
mantissa and exponent, two such integers; a tensor is a version, four dimensions and raw little-endian float32.
A network is nested: the version of each layer, outermost first, then the input layer, then the contents of each layer,
innermost first. Only what the published ResNet uses is understood; anything else is refused, never guessed.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.types import Float32Array

_INFINITY_EXPONENT = 32000
_TAG_VERSION = 1
_LAYER_VERSION = 2
_INPUT_LAYER_VERSION = 3
_FULLY_CONNECTED_WITHOUT_BIAS = 1


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """weights: float32 (filters, channels, rows, columns); bias: float32 (filters,); stride and padding as (y, x)."""

    weights: Float32Array
    bias: Float32Array
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """What batch normalisation became after training: gain and offset, float32 (channels,) each."""

    gain: Float32Array
    offset: Float32Array


@dataclass(frozen=True, slots=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True, slots=True)
class Pool:
    """kind is "max" or "average"; a kernel of (0, 0) pools over the whole plane."""

    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TagOrSkip:
    """A tag remembers the tensor at this point; a skip goes back to one. The format writes both the same way.

    Two in a row are tag, then skip: the way dlib writes the down-sampling residual block.
    """


@dataclass(frozen=True, slots=True)
class AddTagged:
    """Adds the remembered tensor; where shapes differ the smaller one is extended with zeros."""


@dataclass(frozen=True, slots=True, eq=False)
class FullyConnected:
    """weights: float32 (inputs, outputs); there is no bias."""

    weights: Float32Array


Layer: TypeAlias = Convolution | Affine | Relu | Pool | TagOrSkip | AddTagged | FullyConnected


@dataclass(frozen=True, slots=True)
class DlibNetwork:
    """layers: in the order of computation. channel_means: what is subtracted from red, green, blue; then / 256."""

    input_size: int
    channel_means: tuple[float, float, float]
    layers: tuple[Layer, ...]


class DatReader:
    """Takes dlib's primitive values off a byte string, one after the other.

    Every method raises ModelPackError, naming the offset, when the bytes are not what it expects.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def remaining(self) -> int:
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        if count < 0 or count > self.remaining:
            raise self.error(f"{count} more bytes were expected")
        start, self._position = self._position, self._position + count
        return self._data[start : self._position]

    def integer(self) -> int:
        control = self.take(1)[0]
        count = control & 0x0F
        if not 1 <= count <= 8 or control & 0x70:
            raise self.error("an integer was expected")
        magnitude = int.from_bytes(self.take(count), "little")
        return -magnitude if control & 0x80 else magnitude

    def pair(self) -> tuple[int, int]:
        return self.integer(), self.integer()

    def real(self) -> float:
        mantissa, exponent = self.pair()
        if exponent >= _INFINITY_EXPONENT or abs(exponent) > 2000:
            raise self.error("a finite number was expected")
        return float(mantissa) * 2.0**exponent

    def flag(self) -> bool:
        value = self.take(1)
        if value not in {b"0", b"1"}:
            raise self.error("a truth value was expected")
        return value == b"1"

    def text(self) -> str:
        return self.take(self.integer()).decode("latin-1")

    def expect(self, value: int) -> None:
        if (found := self.integer()) != value:
            raise self.error(f"{value} was expected, not {found}")

    def tensor(self) -> Float32Array:
        """A float32 array with the four dimensions (samples, channels, rows, columns)."""
        self.expect(2)
        shape = self._dimensions()
        return np.frombuffer(self.take(4 * int(np.prod(shape))), "<f4").reshape(shape)

    def view(self) -> tuple[int, ...]:
        """The dimensions of a part of a tensor (dlib's alias_tensor)."""
        self.expect(1)
        return self._dimensions()

    def _dimensions(self) -> tuple[int, ...]:
        shape = tuple(self.integer() for _ in range(4))
        if min(shape) < 0:
            raise self.error("a size was expected")
        return shape

    def error(self, problem: str) -> ModelPackError:
        return ModelPackError(
            f"dlib model file: {problem} at byte {self._position}; the file is damaged or not the published face model"
        )


def parse_network(data: bytes) -> DlibNetwork:
    """Parse the bytes of `dlib_face_recognition_resnet_model_v1.dat`; ModelPackError when they are anything else."""
    reader = DatReader(data)
    reader.expect(1)
    if (loss := reader.text()) != "loss_metric_2":
        raise reader.error(f"the loss layer {loss!r} is not that of a face descriptor")
    for _ in ("margin", "distance threshold"):
        reader.real()
    versions = _read_versions(reader)
    channel_means, input_size = _read_input(reader)
    layers = tuple(_read_layer(reader, version) for version in reversed(versions))
    if reader.remaining:
        raise reader.error(f"{reader.remaining} bytes are left over")
    return DlibNetwork(input_size, channel_means, layers)


def _read_versions(reader: DatReader) -> list[int]:
    """The version numbers down to, and with, the layer that sits on the input layer."""
    versions: list[int] = []
    while not versions or versions[-1] != _INPUT_LAYER_VERSION:
        version = reader.integer()
        if version not in {_TAG_VERSION, _LAYER_VERSION, _INPUT_LAYER_VERSION}:
            raise reader.error(f"the layer version {version} is not known")
        versions.append(version)
    return versions


def _read_input(reader: DatReader) -> tuple[tuple[float, float, float], int]:
    if (kind := reader.text()) != "input_rgb_image_sized":
        raise reader.error(f"the input layer {kind!r} is not supported")
    means = (reader.real(), reader.real(), reader.real())
    rows, columns = reader.pair()
    if rows != columns:
        raise reader.error("a square input was expected")
    return means, rows


def _read_layer(reader: DatReader, version: int) -> Layer:
    if version == _TAG_VERSION:
        return TagOrSkip()
    layer = _read_details(reader)
    for _ in ("setup called", "gradient input is stale", "gradient input disabled"):
        reader.flag()
    for _ in ("input gradient", "cached output"):
        reader.tensor()
    reader.tensor()
    if version == _INPUT_LAYER_VERSION:
        reader.integer()
    return layer


def _read_details(reader: DatReader) -> Layer:
    kind = reader.text()
    match kind:
        case "con_4":
            return _read_convolution(reader)
        case "affine_":
            return _read_affine(reader)
        case "relu_":
            return Relu()
        case "max_pool_2" | "avg_pool_2":
            name = "max" if kind == "max_pool_2" else "average"
            return Pool(name, kernel=reader.pair(), stride=reader.pair(), padding=reader.pair())
        case "add_prev_":
            return AddTagged()
        case "fc_2":
            return _read_fully_connected(reader)
    raise reader.error(f"the layer {kind!r} is not supported")


def _read_convolution(reader: DatReader) -> Convolution:
    parameters = reader.tensor().reshape(-1)
    filters, kernel, stride, padding = reader.integer(), reader.pair(), reader.pair(), reader.pair()
    shape, bias_shape = reader.view(), reader.view()
    _skip_multipliers(reader)
    count = int(np.prod(shape))
    if (
        shape[0] != filters
        or shape[2:] != kernel
        or parameters.size != count + filters
        or np.prod(bias_shape) != filters
    ):
        raise reader.error("the parameters of a convolution do not fit together")
    return Convolution(parameters[:count].reshape(shape), parameters[count:], stride, padding)


def _read_affine(reader: DatReader) -> Affine:
    parameters = reader.tensor().reshape(-1)
    channels, offsets = int(np.prod(reader.view())), int(np.prod(reader.view()))
    reader.integer()
    if channels != offsets or parameters.size != 2 * channels:
        raise reader.error("the parameters of an affine layer do not fit together")
    return Affine(parameters[:channels], parameters[channels:])


def _read_fully_connected(reader: DatReader) -> FullyConnected:
    outputs, inputs = reader.pair()
    parameters = reader.tensor().reshape(-1)
    reader.view(), reader.view()
    reader.expect(_FULLY_CONNECTED_WITHOUT_BIAS)
    _skip_multipliers(reader)
    if parameters.size != inputs * outputs:
        raise reader.error("the parameters of a fully connected layer do not fit together")
    return FullyConnected(parameters.reshape(inputs, outputs))


def _skip_multipliers(reader: DatReader) -> None:
    """Learning rate and weight decay multipliers, of the weights and of the bias: only training used them."""
    for _ in range(4):
        reader.real()
