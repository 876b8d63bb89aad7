"""A gallery's templates in the memory of an accelerator."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.half_probes import ROW_FACTOR
from rtcc_bridge.matching.runtime import onnxruntime
from rtcc_bridge.matching.session import Device, open_session, run_bound, session_device
from rtcc_bridge.matching.snapshot import TemplateChunk
from rtcc_bridge.matching.stored_templates import StoredTemplates

_Number = TypeVar("_Number", np.int8, np.float16)

GROUP_ROWS: Final = 32
"""Rows whose largest score stands for them in a selection, and groups whose largest stands for them in the one before:
so no selection sees more than a thousandth of the scores."""

PADDED_TO: Final = GROUP_ROWS * GROUP_ROWS

_ALIGNMENT: Final = 8
"""Numbers of a row come in multiples of this, the last ones zero: 16 bytes, by which matrix units and copies go."""

_MOST_ROWS: Final = 16_777_216
"""Of one block: the scores of a batch of 64 take 2 GB of the device's memory while it is scanned, and no kernel counts
further than 2^31. Each block costs the start of some thirty kernels, half a millisecond."""

_SPARE_ROWS: Final = 65_536
_SPARE_SHARE: Final = 16
"""Room for what comes later: so many rows, and a sixteenth of the gallery."""


@dataclass(slots=True, eq=False)
class _Block:
    """Memory on the device, float16 (N, D), N a multiple of PADDED_TO. chunks: what was last written to it, from its
    beginning. After those there are zeros up to a multiple of PADDED_TO, and then nothing that was ever written."""

    values: Any
    chunks: tuple[TemplateChunk, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ResidentRows:
    """The chunks that one version of a gallery has in a block, from its beginning. rows: how many those are.

    What follows them in the block is padding, zero, or belongs to a later version.
    """

    block: _Block
    chunks: tuple[TemplateChunk, ...]
    rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """What a scan reads: the rows and their padding."""
        return self.rows + -self.rows % PADDED_TO, int(self.block.values.shape()[1])

    @property
    def address(self) -> int:
        return int(self.block.values.data_ptr())


class DeviceMemory:
    """Brings templates to the device. Opened once for all versions of a gallery; used by one thread at a time."""

    def __init__(self, device: Device) -> None:
        """DeviceError: CUDA was asked for and cannot be used. Blocks."""
        graph = files("rtcc_bridge.matching.graphs").joinpath("half_rows.onnx").read_bytes()
        self._session: Any = open_session(graph, device, 1)
        self._device = session_device(self._session).value

    def put(self, values: Any) -> Any:
        """An array on the device."""
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), self._device, 0)

    def laid_out(self, chunks: Sequence[TemplateChunk], older: Sequence[ResidentRows] = ()) -> tuple[ResidentRows, ...]:
        """These chunks on the device, each template as fl16(ROW_FACTOR * template), copied there where they are not.

        older: the next older version, in use meanwhile. What both have in common stays where it is, and what is new is
        written behind it: a search of the older version never sees another value in one of its rows. Blocks.
        """
        kept, new = _kept(chunks, older)
        if kept and new and kept[-1].block.chunks == older[-1].chunks and self._has_room(kept[-1], new):
            kept[-1] = self._continued(kept[-1], new)
            new = ()
        while new:
            some = _first_of(new, _MOST_ROWS)
            kept.append(self._continued(self._opened(some), some))
            new = new[len(some) :]
        return tuple(resident for resident in kept if resident.rows)

    def _has_room(self, resident: ResidentRows, new: Sequence[TemplateChunk]) -> bool:
        return resident.rows + sum(map(len, new)) <= int(resident.block.values.shape()[0])

    def _opened(self, chunks: Sequence[TemplateChunk]) -> ResidentRows:
        """A block with room for these chunks and some more."""
        rows, length = sum(map(len, chunks)), chunks[0].templates.template_length
        room = max(rows, min(_MOST_ROWS, rows + _SPARE_ROWS + rows // _SPARE_SHARE))
        shape = [room + -room % PADDED_TO, length + -length % _ALIGNMENT]
        values = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float16, self._device, 0)
        return ResidentRows(_Block(values, ()), (), 0)

    def _continued(self, resident: ResidentRows, new: Sequence[TemplateChunk]) -> ResidentRows:
        """With these chunks and padding written behind what is there."""
        chunks = (*resident.chunks, *new)
        rows, length = sum(map(len, chunks)), chunks[0].templates.template_length
        none = np.zeros((-rows % PADDED_TO, length), np.int8)
        padding = StoredTemplates(none, none, np.zeros(len(none), np.float32))
        block = resident.block
        place = block.values.data_ptr() + resident.rows * 2 * block.values.shape()[1]
        for templates in (*(chunk.templates for chunk in new), padding):
            if len(templates):
                place += self._convert(templates, place)
        block.chunks = chunks
        return ResidentRows(block, chunks, rows)

    def _convert(self, templates: StoredTemplates, place: int) -> int:
        """Writes the rows to the device's memory at `place`; returns how many bytes they take there.

        The planes are put together on the device: only they travel.
        """
        high, low = padded(templates.high), padded(templates.low)
        binding = self._session.io_binding()
        binding.bind_cpu_input("high", high)
        binding.bind_cpu_input("low", low)
        binding.bind_cpu_input("scales", ROW_FACTOR * templates.scales[:, None])
        binding.bind_output("rows", self._device, 0, np.float16, high.shape, place)
        run_bound(self._session, binding)
        return 2 * high.size


def padded(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The same rows, or with zeros at their ends where the device wants longer ones."""
    missing = -values.shape[1] % _ALIGNMENT
    return np.pad(values, ((0, 0), (0, missing))) if missing else values


def _kept(
    chunks: Sequence[TemplateChunk], older: Sequence[ResidentRows]
) -> tuple[list[ResidentRows], Sequence[TemplateChunk]]:
    """What of the chunks is on the device, and the others.

    The last chunk of a gallery that has grown is another one with the same rows at its beginning: those are written
    once more, to where they are. Where anything else differs, nothing is kept.
    """
    kept: list[ResidentRows] = []
    rest = tuple(chunks)
    for resident in older:
        common = len(resident.chunks)
        if rest[:common] != resident.chunks:
            common -= 1
            *others, last = resident.chunks
            if resident is not older[-1] or rest[:common] != tuple(others) or not _begins_with(rest[common:], last):
                return [], chunks
            kept.append(ResidentRows(resident.block, tuple(others), resident.rows - len(last)))
        else:
            kept.append(resident)
        rest = rest[common:]
    return kept, rest


def _begins_with(chunks: Sequence[TemplateChunk], last: TemplateChunk) -> bool:
    if not chunks or len(chunks[0]) < len(last):
        return False
    grown, stored = chunks[0].templates, last.templates
    return all(
        np.array_equal(new[: len(last)], old)
        for new, old in ((grown.high, stored.high), (grown.low, stored.low), (grown.scales, stored.scales))
    )


def _first_of(chunks: Sequence[TemplateChunk], rows: int) -> Sequence[TemplateChunk]:
    """The first chunks that have so many rows at most; one at least."""
    count = int(np.searchsorted(np.cumsum([*map(len, chunks)]), rows, side="right"))
    return chunks[: max(1, count)]
