"""Runs the recognition network: chips in, templates out."""

from typing import Final

import cv2
import numpy as np

from rtcc_bridge.matching.device_chips import DeviceChips
from rtcc_bridge.matching.errors import InferenceError, ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, RecognizerSpec
from rtcc_bridge.matching.session import Device, Network, open_network
from rtcc_bridge.matching.types import Float32Array, RgbImage

_MOST_IMAGES: Final = 64
"""Images per run of the network on the host (a mirrored chip counts too): what bounds the memory of one call."""

_MOST_FACES: Final = 64
"""The same on a device: its memory holds more, and its shapes are made ready beforehand."""


class Embedder:
    """Computes templates. Blocks; may be called from several threads at once."""

    def __init__(self, network: Network, spec: RecognizerSpec, chips: DeviceChips | None = None) -> None:
        """chips: makes the network's input on the device that it runs on; without it the host does.

        On CUDA a new batch shape costs a new plan, so batches there are filled up to a power of two. On a CPU an empty
        place costs as much as a face (docs/batching.md).
        """
        self._network = network
        self._spec = spec
        self._chips = chips
        self._mean = np.array(spec.mean, np.float32)
        self._scale = np.array(spec.scale, np.float32)
        self._images_a_face = 2 if spec.mirrored_average else 1
        self._most_faces = _MOST_FACES if chips is not None else _MOST_IMAGES // self._images_a_face

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
        descriptors = self._described(chips)
        lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths <= 0).any():
            raise InferenceError("the network gave a descriptor that is not finite or has no length")
        templates = np.asarray(descriptors / lengths, np.float32)
        descriptors.fill(0)  # small arrays are kept by numpy for the next one, with what was in them
        return templates

    def check(self) -> None:
        """Embeds a grey chip: InferenceError when the network, or the device that it runs on, does not work."""
        size = self._spec.input_size
        self.embed(np.full((1, size, size, 3), 127, np.uint8))

    def warm_up(self) -> None:
        """Runs every shape that batches are filled up to once, so that no face waits for its plan. Blocks."""
        size = self._spec.input_size
        faces = 1
        while self._network.device is Device.CUDA and faces <= self._most_faces:
            self._run(np.full((faces, size, size, 3), 127, np.uint8))
            faces *= 2

    def _described(self, chips: RgbImage) -> Float32Array:
        """Raw descriptors float32 (N, length), averaged where the spec says so."""
        descriptors = np.empty((len(chips), self._spec.template_length), np.float32)
        for start in range(0, len(chips), self._most_faces):
            batch = chips[start : start + self._most_faces]
            images = self._run(batch).reshape(self._images_a_face, -1, self._spec.template_length)[:, : len(batch)]
            descriptors[start : start + len(batch)] = images.sum(axis=0) / np.float32(self._images_a_face)
            images.fill(0)
        return descriptors

    def _run(self, chips: RgbImage) -> Float32Array:
        """What the network says of the chips, some more that fill the batch, and then of their mirror images."""
        count = 1 << (len(chips) - 1).bit_length() if self._network.device is Device.CUDA else len(chips)
        filled = np.pad(chips, ((0, count - len(chips)), (0, 0), (0, 0), (0, 0))) if count > len(chips) else chips
        if self._chips is not None:
            (descriptors,) = self._network.run_resident(self._chips.prepared(filled)).values()
        else:
            images = _with_mirror_images(filled) if self._spec.mirrored_average else filled
            (descriptors,) = self._network.run(self._input(images)).values()
        expected = (self._images_a_face * count, self._spec.template_length)
        if descriptors.shape != expected:
            raise InferenceError(f"the network gave descriptors of shape {descriptors.shape}, not {expected}")
        return descriptors

    def _input(self, images: RgbImage) -> Float32Array:
        """The network's input.

        A channel at a time, straight to its place: several times as fast as normalising first and transposing then.
        """
        count, height, width, _ = images.shape
        planar = self._spec.layout == "NCHW"
        values = np.empty((count, 3, height, width) if planar else (count, height, width, 3), np.float32)
        for channel in range(3):
            plane = values[:, channel] if planar else values[..., channel]
            source = channel if self._spec.colour_order == "RGB" else 2 - channel
            np.subtract(images[..., source], self._mean[channel], out=plane)
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
    on_device = network.device is Device.CUDA and network.takes_any_batch
    chips = DeviceChips(pack.recognizer, network.device) if on_device else None
    embedder = Embedder(network, pack.recognizer, chips)
    try:
        embedder.check()
        embedder.warm_up()
    except InferenceError as error:
        raise ModelPackError(f"{pack.folder}: the network does not fit its pack.json: {error}") from error
    return embedder
