"""What may stand in no log line and in no span, and whether it does."""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from sqlalchemy import select

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.demo.pictures import PORTRAIT_REF
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.storage.tables import gallery_images, gallery_segments, leads, object_keys, probes, subjects

_WINDOW: Final = 24
"""Bytes in a row by which a picture, a key or a template is known again."""
_MOST_FIGURES_BY_CHANCE: Final = 2
"""A duration may begin with the same digits as a figure of a template."""
_FIGURES: Final = 6


@dataclass
class Forbidden:
    """texts: by what it is. references: whole words. figures: of one template."""

    texts: dict[str, str] = field(default_factory=dict)
    references: set[str] = field(default_factory=set)
    figures: set[str] = field(default_factory=set)

    def add_bytes(self, what: str, content: bytes) -> None:
        """In each form in which bytes get into a text."""
        for place in {0, len(content) // 3, max(0, len(content) - _WINDOW)}:
            for form, text in _written(content[place : place + _WINDOW]):
                self.texts[f"{what}, {form}, from byte {place}"] = text

    def add_score(self, what: str, score: float) -> None:
        self.texts[what] = _first_figures(score)

    def add_template(self, template: Float32Array) -> None:
        self.add_bytes("template", template.tobytes())
        self.figures |= {_first_figures(figure) for figure in template.tolist() if abs(figure) > 0.01}

    def found_in(self, text: str) -> list[str]:
        found = [what for what, forbidden in self.texts.items() if forbidden in text]
        found += sorted(self.references.intersection(re.findall(r"[\w.-]+", text)))
        if sum(figure in text for figure in self.figures) > _MOST_FIGURES_BY_CHANCE:
            found.append("figures of a template")
        return found


async def of_the_gallery(core: Core) -> Forbidden:
    """Everybody who is enrolled, and the template of the one real person."""
    forbidden = Forbidden()
    async with core.database.read() as tx:
        forbidden.references.update((await tx.execute(select(subjects.c.subject_ref))).scalars())
        image = (
            await tx.execute(
                select(gallery_images)
                .join(subjects, subjects.c.subject_id == gallery_images.c.subject_id)
                .where(subjects.c.subject_ref == PORTRAIT_REF)
            )
        ).one()
        segment = (
            await tx.execute(select(gallery_segments).where(gallery_segments.c.segment_id == image.segment_id))
        ).one()
        key = await core.vault.key_of(tx, segment.object_key)
        picture_key = await core.vault.key_of(tx, image.image_object)
    rows = np.frombuffer(await core.vault.unseal(segment.object_key, key), np.uint8)
    forbidden.add_template(_row(rows, segment.rows, image.segment_row))
    forbidden.add_bytes("enrolled picture", await core.vault.unseal(image.image_object, picture_key))
    return forbidden


async def add_what_was_searched(core: Core, forbidden: Forbidden) -> None:
    """The scores of the lists and of the detector, landmarks, stills, crops, and every wrapped key."""
    async with core.database.read() as tx:
        found = (await tx.execute(select(probes))).all()
        lists = (await tx.execute(select(leads.c.candidates_object))).scalars().all()
        keys = (await tx.execute(select(object_keys.c.wrapped_key))).scalars().all()
    for number, wrapped in enumerate(keys):
        forbidden.add_bytes(f"wrapped key {number}", wrapped)
    for probe in found:
        for face in probe.faces:
            forbidden.add_score("detection score", face["detectionScore"])
            forbidden.add_score("landmark", face["landmarks"][0][0])
        for name in ("original_object", "crop_object"):
            forbidden.add_bytes(name, await _opened(core, getattr(probe, name)))
    for candidate in [each for name in lists if name for each in json.loads(await _opened(core, name))["candidates"]]:
        forbidden.add_score("similarity score", candidate["similarityScore"])


async def _opened(core: Core, object_key: str) -> bytes:
    async with core.database.read() as tx:
        key = await core.vault.key_of(tx, object_key)
    return await core.vault.unseal(object_key, key)


def values_of(line: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(line, dict):
        for value in line.values():
            yield from values_of(value)
    elif isinstance(line, list):
        for value in line:
            yield from values_of(value)
    elif isinstance(line, str):
        yield line


def _row(data: np.ndarray[Any, np.dtype[np.uint8]], rows: int, number: int) -> Float32Array:
    """Of a segment, at whose end stand the rows' scales and the two halves of their figures.

    The length of a template is that of the default pack's.
    """
    length = 128
    scales, planes = np.split(data[-rows * (4 + 2 * length) :], [4 * rows])
    high, low = planes.view(np.int8).reshape(2, rows, length)[:, number].astype(np.float32)
    template: Float32Array = scales.view("<f4")[number] * (256 * high + low)
    assert np.isclose(np.linalg.norm(template), 1.0, atol=1e-3)
    return template


def _written(content: bytes) -> Sequence[tuple[str, str]]:
    encoded = [base64.b64encode(content[shift:]).decode() for shift in range(3)]
    escaped = repr(content)[2:-1]
    return [
        ("in hexadecimal", content.hex()),
        *((f"in base64 ({shift})", text[: 4 * (len(text) // 4) - 4]) for shift, text in enumerate(encoded)),
        ("as Python writes it", escaped),
        ("as Python writes it, in JSON", json.dumps(escaped)[1:-1]),
        ("as numbers", ", ".join(map(str, content))),
    ]


def _first_figures(value: float) -> str:
    """As it is written in full, with however many digits behind these."""
    return f"{abs(value):.17f}"[: 2 + _FIGURES] if abs(value) < 1 else f"{abs(value):.17g}"[: 1 + _FIGURES]
