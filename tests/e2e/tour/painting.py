"""What the tour shows in place of photographs: painted people, so that nobody's face is in the documents."""

import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from PIL import Image, ImageDraw

from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import Box, DetectedFace, Lane, NumberedFace, Verdict
from rtcc_bridge.probes.clip_messages import ClipPlace, ClipSheet, ClipStill
from rtcc_bridge.probes.worker_messages import Preview
from tests.probe_kit import STILL_HEIGHT, STILL_WIDTH, PictureWorkers, face

PORTRAIT: Final = (480, 600)
WALL: Final = (92, 104, 118)
FLOOR: Final = (66, 72, 80)
CHOSEN: Final = Box(246.0, 96.0, 352.0, 236.0)
BYSTANDER: Final = Box(476.0, 150.0, 516.0, 204.0)
HAIRS: Final = ((46, 38, 34), (94, 66, 44), (28, 28, 32), (120, 116, 112))
Colour: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of a painted person. cut: how far down the hair goes, as a share of the face's height."""

    skin: Colour
    hair: Colour
    coat: Colour
    cut: float = 0.75


LOOKED_FOR: Final = Look((150, 106, 78), HAIRS[0], (84, 62, 66), 0.95)
PASSER_BY: Final = Look((198, 152, 120), HAIRS[1], (96, 84, 58))


def faces() -> tuple[NumberedFace, ...]:
    """The two in the still: one that can be compared, one too small."""
    found = (face(1), face(2, Verdict.REFUSED))
    return tuple(
        NumberedFace(one.number, DetectedFace(box, one.face.landmarks, one.face.detection_score), one.quality)
        for one, box in zip(found, (CHOSEN, BYSTANDER), strict=True)
    )


def paint_person(drawing: ImageDraw.ImageDraw, box: Box, look: Look) -> None:
    """A head that fills the box, on shoulders."""
    width, height = box.width, box.height

    def at(x: float, y: float) -> tuple[float, float]:
        return box.left + x * width, box.top + y * height

    drawing.ellipse((*at(-0.75, 1.08), *at(1.75, 3.4)), fill=look.coat)
    drawing.rectangle((*at(0.33, 0.85), *at(0.67, 1.22)), fill=look.skin)
    drawing.ellipse((*at(-0.07, -0.12), *at(1.07, look.cut)), fill=look.hair)
    drawing.ellipse((*at(0.0, 0.0), *at(1.0, 1.0)), fill=look.skin)
    drawing.chord((*at(-0.02, -0.08), *at(1.02, 0.56)), 180, 360, fill=look.hair)
    for left in (0.2, 0.6):
        drawing.ellipse((*at(left, 0.42), *at(left + 0.2, 0.5)), fill=(242, 240, 236))
        drawing.ellipse((*at(left + 0.07, 0.42), *at(left + 0.14, 0.5)), fill=(40, 40, 52))
        drawing.line((*at(left - 0.02, 0.37), *at(left + 0.22, 0.36)), fill=look.hair, width=max(1, int(width / 40)))
    drawing.line((*at(0.5, 0.5), *at(0.46, 0.66), *at(0.53, 0.67)), fill=(120, 84, 66), width=max(1, int(width / 60)))
    drawing.arc((*at(0.33, 0.66), *at(0.67, 0.84)), 20, 160, fill=(136, 62, 60), width=max(2, int(width / 36)))


def scene(shift: float = 0.0, chosen: bool = False) -> Image.Image:
    """What a camera saw. shift: how far the one in the middle still has to walk, in pixels; chosen: whether the other
    one is masked, as in every copy once a face was chosen (P04)."""
    picture = Image.new("RGB", (STILL_WIDTH, STILL_HEIGHT), WALL)
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((0, 380, STILL_WIDTH, STILL_HEIGHT), fill=FLOOR)
    drawing.rectangle((40, 60, 190, 380), fill=(74, 84, 96), outline=(52, 60, 70), width=4)
    drawing.rectangle((400, 40, 610, 130), fill=(150, 164, 176), outline=(52, 60, 70), width=4)
    paint_person(drawing, BYSTANDER, PASSER_BY)
    if chosen:
        drawing.rectangle((466, 136, 526, 214), fill=(20, 22, 26))
    moved = Box(CHOSEN.left - shift, CHOSEN.top, CHOSEN.right - shift, CHOSEN.bottom)
    paint_person(drawing, moved, LOOKED_FOR)
    return picture


def portrait(whose: str) -> Image.Image:
    """A photo of the gallery. A search finds people who look alike: hair alone tells these apart, so that the random
    order of a list hardly counts in the picture of a page."""
    number = hashlib.sha256(whose.encode()).digest()[0]
    picture = Image.new("RGB", PORTRAIT, (118, 128, 138))
    look = Look(LOOKED_FOR.skin, HAIRS[number % len(HAIRS)], (58, 76, 110), (0.6, 0.75, 0.95, 1.15)[number // 64])
    paint_person(ImageDraw.Draw(picture), Box(136.0, 110.0, 344.0, 400.0), look)
    return picture


def encoded(picture: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


class TourPictures(PictureWorkers):
    """Stand-ins that paint: of whatever was attached the scene, of whatever is in a gallery a portrait."""

    async def preview(
        self,
        data: bytes,
        side: int,
        chosen: DetectedFace | None = None,
        others: Sequence[DetectedFace] = (),
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
    ) -> Preview:
        shown = await super().preview(data, side, chosen, others, lane, edits)
        of_gallery = data.startswith(b"picture ")
        picture = portrait(data.decode().split(" of ")[-1]) if of_gallery else scene(chosen=chosen is not None)
        return Preview(encoded(picture, "JPEG"), *picture.size, shown.stage_seconds)

    async def clip_sheet(
        self, chunks: AsyncIterator[bytes], places: Sequence[ClipPlace], side: int, lane: Lane = Lane.ROUTINE
    ) -> ClipSheet:
        made = await super().clip_sheet(chunks, places, side, lane)
        size = (side, side * STILL_HEIGHT // STILL_WIDTH)
        sheet = Image.new("RGB", (size[0], size[1] * len(places)))
        for row, place in enumerate(places):
            sheet.paste(_frame(place).resize(size), (0, row * size[1]))
        return ClipSheet(encoded(sheet, "JPEG"), *sheet.size, made.stage_seconds)

    async def clip_still(self, chunks: AsyncIterator[bytes], place: ClipPlace, lane: Lane = Lane.ROUTINE) -> ClipStill:
        made = await super().clip_still(chunks, place, lane)
        return ClipStill(encoded(_frame(place), "PNG"), made.width, made.height, made.stage_seconds)


def _frame(place: ClipPlace) -> Image.Image:
    return scene(shift=12.0 * max(0, 20 - place.number))
