"""Templates have length 1, do not depend on the batch they came in, and follow the pack's description."""

import asyncio
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtcc_bridge.matching.align import extract_chip
from rtcc_bridge.matching.batcher import Batcher
from rtcc_bridge.matching.device_chips import DeviceChips
from rtcc_bridge.matching.embed import Embedder, open_embedder
from rtcc_bridge.matching.errors import InferenceError, ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack, RecognizerSpec, load_pack
from rtcc_bridge.matching.session import Device, Network, open_session
from rtcc_bridge.matching.types import Float32Array, RgbImage
from tests.fixed_window import FixedWindow
from tests.unit.matching.pictures import PORTRAIT_LANDMARKS, portrait


@pytest.fixture(scope="module")
def embedder(default_pack: ModelPack) -> Embedder:
    return open_embedder(default_pack, Device.CPU, threads=1)


def _chips(pack: ModelPack, count: int) -> RgbImage:
    """The portrait, each time a little brighter or darker."""
    template = np.array(pack.recognizer.alignment_template)
    chip = extract_chip(portrait(), PORTRAIT_LANDMARKS, template, pack.recognizer.input_size)
    return np.stack([np.clip(chip.astype(int) + 2 * step, 0, 255).astype(np.uint8) for step in range(count)])


def test_templates_are_float32_of_length_one(default_pack: ModelPack, embedder: Embedder) -> None:
    templates = embedder.embed(_chips(default_pack, 3))
    assert templates.dtype == np.float32
    assert templates.shape == (3, 128)
    np.testing.assert_allclose(np.linalg.norm(templates, axis=1), 1, atol=1e-6)


def test_a_template_does_not_depend_on_its_batch(default_pack: ModelPack, embedder: Embedder) -> None:
    chips = _chips(default_pack, 70)
    together = embedder.embed(chips)
    for index in (0, 31, 32, 63, 64, 69):
        np.testing.assert_allclose(together[index], embedder.embed(chips[index : index + 1])[0], atol=1e-5)


def test_no_chips_give_no_templates(embedder: Embedder) -> None:
    assert embedder.embed(np.empty((0, 150, 150, 3), np.uint8)).shape == (0, 128)


def test_a_mirrored_chip_has_the_same_template(default_pack: ModelPack, embedder: Embedder) -> None:
    """Averaging over the mirror image makes the two the same; without it they differ."""
    chips = _chips(default_pack, 1)
    mirrored = chips[:, :, ::-1]
    np.testing.assert_allclose(embedder.embed(chips), embedder.embed(mirrored), atol=1e-6)
    single = _embedder_like(default_pack, mirrored_average=False)
    assert np.abs(single.embed(chips) - single.embed(mirrored)).max() > 1e-3


def _embedder_like(pack: ModelPack, **changes: Any) -> Embedder:
    return open_embedder(replace(pack, recognizer=replace(pack.recognizer, **changes)), Device.CPU, 1)


def test_the_average_is_of_the_raw_descriptors(default_pack: ModelPack, embedder: Embedder) -> None:
    from rtcc_bridge.matching.session import open_network  # noqa: PLC0415

    chips = _chips(default_pack, 1)
    spec = default_pack.recognizer
    network = open_network(default_pack.read(spec.file), Device.CPU, 1)
    both = np.concatenate([chips, chips[:, :, ::-1]]).astype(np.float32)
    values = ((both - spec.mean) * spec.scale).astype(np.float32).transpose(0, 3, 1, 2)
    raw = network.run(np.ascontiguousarray(values))["descriptors"].astype(np.float64)
    expected = raw.mean(axis=0) / np.linalg.norm(raw.mean(axis=0))
    np.testing.assert_allclose(embedder.embed(chips)[0], expected, atol=1e-6)


class _EchoSession:
    """Stands in for a network: its descriptor is the mean of what each input channel got, times a factor."""

    name = "x"
    shape = ("N", 3, "H", "W")

    def __init__(self, factor: float = 1.0, fails: bool = False, provider: str = "CPUExecutionProvider") -> None:
        self.factor = factor
        self.fails = fails
        self.provider = provider
        self.shapes: list[tuple[int, ...]] = []

    def get_inputs(self) -> list["_EchoSession"]:
        return [self]

    get_outputs = get_inputs

    def get_providers(self) -> list[str]:
        return [self.provider]

    def run(self, names: list[str], inputs: dict[str, Float32Array]) -> list[Float32Array]:
        if self.fails:
            raise RuntimeError("out of memory")
        values = inputs["x"]
        self.shapes.append(values.shape)
        channels_last = values if values.shape[-1] == 3 else values.transpose(0, 2, 3, 1)
        return [(channels_last.mean(axis=(1, 2)) * self.factor).astype(np.float32)]


def _spec(pack: ModelPack, **changes: Any) -> RecognizerSpec:
    common: dict[str, Any] = {"input_size": 32, "template_length": 3, "mirrored_average": False}
    return replace(pack.recognizer, **(common | changes))


def _coloured_chip() -> RgbImage:
    return np.broadcast_to(np.array([10, 60, 200], np.uint8), (1, 32, 32, 3)).copy()


@pytest.mark.parametrize(("colour_order", "layout"), [("RGB", "NCHW"), ("BGR", "NCHW"), ("RGB", "NHWC")])
def test_colour_order_normalisation_and_layout_follow_the_pack(
    default_pack: ModelPack, colour_order: str, layout: str
) -> None:
    session = _EchoSession()
    spec = _spec(default_pack, colour_order=colour_order, layout=layout, mean=(10.0, 20.0, 30.0), scale=(1.0, 0.5, 2.0))
    (template,) = Embedder(Network(session), spec).embed(_coloured_chip())
    ordered = np.array([10, 60, 200] if colour_order == "RGB" else [200, 60, 10])
    expected = (ordered - (10, 20, 30)) * (1.0, 0.5, 2.0)
    np.testing.assert_allclose(template, expected / np.linalg.norm(expected), atol=1e-6)
    assert session.shapes == [(1, 3, 32, 32) if layout == "NCHW" else (1, 32, 32, 3)]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("colour_order", ["RGB", "BGR"])
@pytest.mark.parametrize("mirrored", [False, True], ids=["single", "mirrored"])
def test_what_is_made_on_a_device_is_what_the_host_makes(
    default_pack: ModelPack, layout: str, colour_order: str, mirrored: bool
) -> None:
    chips = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), np.uint8)
    numbers: dict[str, Any] = {"mean": (10.0, 20.0, 30.0), "scale": (1.0, 0.5, 2.0)}
    spec = _spec(default_pack, layout=layout, colour_order=colour_order, mirrored_average=mirrored, **numbers)
    images = np.concatenate([chips, chips[:, :, ::-1]]) if mirrored else chips
    ordered = images if colour_order == "RGB" else images[..., ::-1]
    expected = (ordered - np.array(spec.mean, np.float32)) * np.array(spec.scale, np.float32)
    made = DeviceChips(spec, Device.CPU).prepared(chips).numpy()
    np.testing.assert_array_equal(made, expected.transpose(0, 3, 1, 2) if layout == "NCHW" else expected)


def test_templates_of_chips_made_on_a_device_are_the_same(default_pack: ModelPack, embedder: Embedder) -> None:
    spec = default_pack.recognizer
    network = Network(open_session(default_pack.read(spec.file), Device.CPU, 1))
    chips = _chips(default_pack, 5)
    resident = Embedder(network, spec, DeviceChips(spec, Device.CPU))
    np.testing.assert_allclose(resident.embed(chips), embedder.embed(chips), atol=1e-6)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 0.0])
def test_numbers_that_are_no_template_are_an_error(default_pack: ModelPack, factor: float) -> None:
    embedder = Embedder(Network(_EchoSession(factor)), _spec(default_pack))
    with np.errstate(all="ignore"), pytest.raises(InferenceError, match="not finite or has no length"):
        embedder.embed(_coloured_chip())


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 70])
@pytest.mark.parametrize("mirrored", [False, True], ids=["single", "mirrored"])
def test_on_cuda_batches_have_few_shapes_and_nobody_sees_it(
    default_pack: ModelPack, count: int, mirrored: bool
) -> None:
    chips = np.random.default_rng(1).integers(1, 256, (count, 32, 32, 3), np.uint8)
    spec = _spec(default_pack, mirrored_average=mirrored)
    filled, plain = _EchoSession(provider="CUDAExecutionProvider"), _EchoSession()
    np.testing.assert_array_equal(
        Embedder(Network(filled), spec).embed(chips), Embedder(Network(plain), spec).embed(chips)
    )
    assert {shape[0] for shape in filled.shapes} <= {1, 2, 4, 8, 16, 32, 64}
    assert sum(shape[0] for shape in plain.shapes) == count * (1 + mirrored), "a CPU computes no empty place"


@pytest.mark.parametrize(
    ("provider", "shapes"), [("CUDAExecutionProvider", [1, 2, 4, 8, 16, 32, 64]), ("CPUExecutionProvider", [])]
)
def test_every_shape_runs_once_before_a_face_needs_it(
    default_pack: ModelPack, provider: str, shapes: list[int]
) -> None:
    session = _EchoSession(provider=provider)
    Embedder(Network(session), _spec(default_pack)).warm_up()
    assert [shape[0] for shape in session.shapes] == shapes


class _PoisonedSession:
    """A real session that gives numbers that are none for a picture that is all white."""

    def __init__(self, session: Any, white: float) -> None:
        self._session = session
        self._white = white
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs
        self.get_providers = session.get_providers

    def run(self, names: list[str], inputs: dict[str, Float32Array]) -> list[Float32Array]:
        (values,) = inputs.values()
        (descriptors,) = self._session.run(names, inputs)
        descriptors[(values[:, 0] == np.float32(self._white)).all(axis=(1, 2))] = np.nan
        return [descriptors]


async def test_a_batch_with_one_poisoned_picture_fails_only_that_picture(
    default_pack: ModelPack, embedder: Embedder
) -> None:
    spec = default_pack.recognizer
    session = open_session(default_pack.read(spec.file), Device.CPU, 1)
    white = (np.float32(255) - np.float32(spec.mean[0])) * np.float32(spec.scale[0])
    fragile = Embedder(Network(_PoisonedSession(session, float(white))), spec)
    chips = _chips(default_pack, 4)
    chips[2] = 255

    def process(batch: list[RgbImage]) -> list[Float32Array]:
        return list(fragile.embed(np.stack(batch)))

    async with Batcher(process, policy=FixedWindow(4, 60.0), queue_limit=4) as batcher:
        found = await asyncio.gather(*(batcher.submit(chip) for chip in chips), return_exceptions=True)
    assert isinstance(found[2], InferenceError)
    assert "not finite" in str(found[2])
    for index in (0, 1, 3):
        template = found[index]
        assert isinstance(template, np.ndarray)
        np.testing.assert_allclose(template, embedder.embed(chips[index : index + 1])[0], atol=1e-5)


def test_a_network_that_fails_is_an_error(default_pack: ModelPack) -> None:
    embedder = Embedder(Network(_EchoSession(fails=True)), _spec(default_pack))
    with pytest.raises(InferenceError, match="out of memory"):
        embedder.embed(_coloured_chip())


@pytest.mark.parametrize(
    "chips", [np.zeros((1, 150, 150, 3), np.float32), np.zeros((1, 112, 112, 3), np.uint8), np.zeros((2, 2), np.uint8)]
)
def test_chips_of_another_kind_are_refused(embedder: Embedder, chips: Any) -> None:
    with pytest.raises(ValueError, match="chips have to be uint8"):
        embedder.embed(chips)


def test_several_threads_may_embed_at_once(default_pack: ModelPack, embedder: Embedder) -> None:
    chips = _chips(default_pack, 4)
    expected = embedder.embed(chips)
    found: dict[int, Float32Array] = {}
    threads = [
        threading.Thread(target=lambda i=index: found.update({i: embedder.embed(chips[i : i + 1])}))
        for index in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for index in range(4):
        np.testing.assert_allclose(found[index][0], expected[index], atol=1e-5)


def test_a_pack_whose_description_does_not_fit_its_network_is_refused(default_pack: ModelPack, tmp_path: Path) -> None:
    folder = shutil.copytree(default_pack.folder, tmp_path / "pack")
    description = json.loads((folder / "pack.json").read_text())
    description["recognizer"]["template_length"] = 512
    (folder / "pack.json").write_text(json.dumps(description))
    with pytest.raises(ModelPackError, match=r"does not fit its pack\.json"):
        open_embedder(load_pack(folder))
