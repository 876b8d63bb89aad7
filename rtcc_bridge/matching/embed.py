"""Runs the recognition network: chips in, templates out."""

import cv2
import numpy as np

from rtcc_bridge.matching.errors import InferenceError, ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, RecognizerSpec
from rtcc_bridge.matching.session import Device, Network, open_network
from rtcc_bridge.matching.types import Float32Array, RgbImage

_MAX_NETWORK_BATCH = 64
"""Chips per run of the network (a mirrored chip counts too): what bounds the memory of one call."""


class Embedder:
    """Computes templates. Blocks; may be called from several threads at once."""

    def __init__(self, network: Network, spec: RecognizerSpec) -> None:
        self._network = network
        self._spec = spec
        self._mean = np.array(spec.mean, np.float32)
        self._scale = np.array(spec.scale, np.float32)
        # On CUDA a new batch shape costs a new plan, so batches there are filled up to a power of two. On a CPU an
        # empty place costs as much as a face (docs/batching.md).
        self._fixed_shapes = network.device is Device.CUDA

    @property
    def spec(self) -> RecognizerSpec:
        return self._spec

    @property
    def device(self) -> Device:
        return self._network.device

    def embed(self, chips: RgbImage) -> Float32Array:
        """Templates float32 (N, length), each of Euclidean length 1, for chips uint8 (N, size, size, 3); N may be 0.

        With `mirrored_average` the raw descriptors of the chip and of its mirror image are averaged before they are
        normalised. ValueError: chips of another shape or type. InferenceError: the network failed or gave numbers that
        are no template; none of the batch is then usable.
        """
        size = self._spec.input_size
        if chips.dtype != np.uint8 or chips.shape[1:] != (size, size, 3):
            raise ValueError(f"chips have to be uint8 (N, {size}, {size}, 3), not {chips.dtype} {chips.shape}")
        if self._spec.mirrored_average:
            both = self._describe(_with_mirror_images(chips))
            descriptors = (both[: len(chips)] + both[len(chips) :]) * np.float32(0.5)
        else:
            descriptors = self._describe(chips)
        lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths <= 0).any():
            raise InferenceError("the network gave a descriptor that is not finite or has no length")
        return np.asarray(descriptors / lengths, np.float32)

    def check(self) -> None:
        """Embeds a grey chip: InferenceError when the network, or the device that it runs on, does not work."""
        size = self._spec.input_size
        self.embed(np.full((1, size, size, 3), 127, np.uint8))

    def warm_up(self) -> None:
        """Runs every shape that batches are filled up to once, so that no face waits for its plan. Blocks."""
        size = self._spec.input_size
        shape = 1
        while self._fixed_shapes and shape <= _MAX_NETWORK_BATCH:
            self._run(np.full((shape, size, size, 3), 127, np.uint8))
            shape *= 2

    def _describe(self, chips: RgbImage) -> Float32Array:
        descriptors = np.empty((len(chips), self._spec.template_length), np.float32)
        for start in range(0, len(chips), _MAX_NETWORK_BATCH):
            batch = chips[start : start + _MAX_NETWORK_BATCH]
            descriptors[start : start + len(batch)] = self._run(batch)
        return descriptors

    def _run(self, chips: RgbImage) -> Float32Array:
        filled = 1 << (len(chips) - 1).bit_length() if self._fixed_shapes else len(chips)
        (descriptors,) = self._network.run(self._input(chips, filled)).values()
        expected = (filled, self._spec.template_length)
        if descriptors.shape != expected:
            raise InferenceError(f"the network gave descriptors of shape {descriptors.shape}, not {expected}")
        return descriptors[: len(chips)]

    def _input(self, chips: RgbImage, filled: int) -> Float32Array:
        """The network's input for `filled` chips, those that are missing all zero.

        A channel at a time, straight to its place: several times as fast as normalising first and transposing then.
        """
        height, width = chips.shape[1:3]
        planar = self._spec.layout == "NCHW"
        values = np.empty((filled, 3, height, width) if planar else (filled, height, width, 3), np.float32)
        values[len(chips) :] = 0
        for channel in range(3):
            plane = values[: len(chips), channel] if planar else values[: len(chips), ..., channel]
            source = channel if self._spec.colour_order == "RGB" else 2 - channel
            np.subtract(chips[..., source], self._mean[channel], out=plane)
            np.multiply(plane, self._scale[channel], out=plane)
        return values


def _with_mirror_images(chips: RgbImage) -> RgbImage:
    """The chips and, in the same order, their mirror images."""
    both = np.concatenate([chips, chips])
    for chip, mirrored in zip(chips, both[len(chips) :], strict=True):
        cv2.flip(chip, 1, dst=mirrored)
    return both


def open_embedder(pack: ModelPack, device: Device = Device.CPU, threads: int = 1) -> Embedder:
    """Open the pack's recognition network. Blocks. ModelPackError when it is not what pack.json says; DeviceError."""
    network = open_network(pack.read(pack.recognizer.file), device, threads)
    if len(network.output_names) != 1:
        raise ModelPackError(
            f"{pack.folder / pack.recognizer.file} has {len(network.output_names)} outputs; one is supported"
        )
    embedder = Embedder(network, pack.recognizer)
    try:
        embedder.check()
        embedder.warm_up()
    except InferenceError as error:
        raise ModelPackError(f"{pack.folder}: the network does not fit its pack.json: {error}") from error
    return embedder
