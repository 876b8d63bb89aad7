"""What a picture worker does with an upload: find faces, cut one out, make a preview. It embeds nothing (P04)."""

import contextlib
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from rtcc_bridge.matching.align import aligned_crop
from rtcc_bridge.matching.crop import crop_face, mask_bystanders
from rtcc_bridge.matching.decode import DecodeLimits, decode
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.edits import Brightness, Contrast, Crop, Edit, Rotate, apply_edits
from rtcc_bridge.matching.errors import UnreadableImageError
from rtcc_bridge.matching.modelpack import load_pack
from rtcc_bridge.matching.pipeline import FaceFinder
from rtcc_bridge.matching.quality import assess
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.types import Box, DetectedFace, FaceCrop, RgbImage, Verdict
from rtcc_bridge.probes.clip_messages import (
    ClipAnswer,
    ClipIndex,
    ClipIndexRequest,
    ClipRequest,
    ClipSheet,
    ClipSheetRequest,
    ClipStill,
    ClipStillRequest,
)
from rtcc_bridge.probes.worker_messages import (
    CroppedFace,
    CropRequest,
    FoundFacesReport,
    InspectRequest,
    PortraitRequest,
    Preview,
    PreviewRequest,
    SeenPortrait,
)

if TYPE_CHECKING:
    from rtcc_bridge.probes.clip_reader import ClipReader

_JPEG_QUALITY: Final = 90
_WARM_UP_MODES: Final = (
    ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"),
    ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "I;16"),
    ("WEBP", "RGB"), ("WEBP", "RGBA"),
)  # fmt: skip


class FaceWork:
    """Decoder, detector and quality measures, loaded once. Every method blocks and takes an untrusted upload.

    All of them raise UnreadableImageError when the picture is at fault.
    """

    def __init__(
        self,
        pack: Path,
        min_face_px: int | None,
        limits: DecodeLimits,
        max_detection_pixels: int,
        clips: "ClipWork | None" = None,
    ) -> None:
        """min_face_px: None for what the pack says. clips: None for a worker that reads stills alone.

        ModelPackError when the folder `pack` holds none in order.
        """
        self._clips = clips
        cv2.setNumThreads(1)
        self._limits = limits
        self._seconds: dict[str, float] = {}
        loaded = load_pack(pack)
        self._alignment = np.array(loaded.recognizer.alignment_template, np.float64)
        self._chip_size = loaded.recognizer.input_size
        detector = open_detector(loaded, Device.CPU, threads=1, min_face_px=min_face_px)
        self._finder = FaceFinder(detector, limits, max_detection_pixels, self._seconds.__setitem__)
        self._warm_up()

    def inspect(self, data: bytes, request: InspectRequest) -> FoundFacesReport:
        found = self._finder.find_in(self._decoded(data, request.edits))
        height, width = found.image.shape[:2]
        return FoundFacesReport(width, height, found.faces, dict(self._seconds))

    def portrait(self, data: bytes, request: PortraitRequest) -> SeenPortrait:
        image = self._decoded(data, ())
        height, width = image.shape[:2]
        faces = self._finder.detect(image)
        if len(faces) != 1:  # whoever is not enrolled need not be judged
            return SeenPortrait(width, height, len(faces), 0, (), None, dict(self._seconds))
        (numbered,) = self._finder.judge(image, faces)
        quality = numbered.quality
        crop = None if quality.verdict is Verdict.REFUSED else self._cut_out(image, numbered.face, ())
        if crop is not None and request.aligned:
            crop = self._aligned(crop)
        return SeenPortrait(width, height, 1, quality.unified_score, quality.sentences, crop, dict(self._seconds))

    def crop(self, data: bytes, request: CropRequest) -> CroppedFace:
        crop = self._cut_out(self._decoded(data, request.edits), request.chosen, request.bystanders)
        return CroppedFace(crop, dict(self._seconds))

    def preview(self, data: bytes, request: PreviewRequest) -> Preview:
        image = self._decoded(data, request.edits)
        with self._timed("preview"):
            if request.chosen is not None:
                boxes = [face.box for face in request.bystanders]
                mask_bystanders(image, np.zeros(2, np.float32), request.chosen.box, boxes)
            small = _shrunk(image, request.max_side_px)
            jpeg = _jpeg(small)
        height, width = small.shape[:2]
        return Preview(jpeg, width, height, dict(self._seconds))

    def clip(self, data: bytes, request: ClipRequest) -> ClipAnswer:
        if self._clips is None:
            raise UnreadableImageError("not_an_image", "this is not a picture: send a JPEG, PNG or WebP")
        return self._clips.answer(data, request)

    def _cut_out(self, image: RgbImage, chosen: DetectedFace, bystanders: Sequence[DetectedFace]) -> FaceCrop:
        try:
            with self._timed("crop"):
                return crop_face(image, chosen, bystanders)
        except ValueError as error:
            raise UnreadableImageError("not_a_face", f"this cannot be cut out as a face: {error}") from error

    def _aligned(self, crop: FaceCrop) -> FaceCrop:
        try:
            with self._timed("align"):
                return aligned_crop(crop, self._alignment, self._chip_size)
        except ValueError as error:
            raise UnreadableImageError("not_a_face", f"this cannot be aligned as a face: {error}") from error

    def _decoded(self, data: bytes, edits: Sequence[Edit]) -> RgbImage:
        """The picture after its edits, which always begin at the original (P05)."""
        self._seconds.clear()
        with self._timed("decode"):
            image = decode(data, self._limits)
            try:
                return apply_edits(image, edits, self._limits.max_pixels)
            except ValueError as error:
                raise UnreadableImageError("edits", f"this cannot be done: {error}") from error

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] = time.perf_counter() - started

    def _warm_up(self) -> None:
        """Do everything once, so that all that is imported late is there before the files are gone.

        Every kind of picture is decoded; the detector, to which all are the same pixels then, looks at one.
        """
        for kind, mode in _WARM_UP_MODES:
            data = _plain_picture(kind, mode)
            self._decoded(data, ())
            with contextlib.suppress(UnreadableImageError):
                self._decoded(data[: len(data) // 2], ())
        with contextlib.suppress(UnreadableImageError):
            self._decoded(b"not a picture", ())
        self.inspect(data, InspectRequest((Rotate(10.0), Crop(0, 0, 150, 150), Brightness(10), Contrast(90))))
        landmarks = np.array([[40, 50], [80, 50], [60, 70], [45, 90], [75, 90]], np.float32)
        face = DetectedFace(Box(20.0, 20.0, 100.0, 120.0), landmarks, 1.0)
        bystander = DetectedFace(Box(90.0, 20.0, 150.0, 120.0), landmarks, 1.0)
        assess(decode(data), face)
        self.crop(data, CropRequest(face, (bystander,)))
        self.preview(data, PreviewRequest(64, face, (bystander,)))


class ClipWork:
    """Reads clips for `FaceWork`. Made once, before the files are gone."""

    def __init__(self, reader: "ClipReader") -> None:
        self._reader = reader

    def answer(self, data: bytes, request: ClipRequest) -> ClipAnswer:
        """Raises UnreadableImageError when the clip is at fault. No face is looked for (P03)."""
        started = time.perf_counter()
        match request:
            case ClipIndexRequest():
                return self._reader.index(data)
            case ClipSheetRequest():
                image = self._reader.sheet(data, request.places, request.max_side_px)
                height, width = image.shape[:2]
                return ClipSheet(_jpeg(image), width, height, {"clip": time.perf_counter() - started})
            case ClipStillRequest():
                image = self._reader.still(data, request.place)
                height, width = image.shape[:2]
                return ClipStill(_png(image), width, height, {"clip": time.perf_counter() - started})


def open_clip_work(max_bytes: int, max_seconds: float, max_frames: int, reading_seconds: float) -> ClipWork:
    """Loads what reads clips, and has it read one of each kind, so that nothing is loaded later."""
    from rtcc_bridge.probes.clip_reader import ClipLimits, ClipReader  # noqa: PLC0415  for those who read clips
    from rtcc_bridge.probes.clip_warm_up import plain_clips  # noqa: PLC0415  likewise

    work = ClipWork(ClipReader(ClipLimits(max_bytes, max_seconds, max_frames, reading_seconds)))
    for data in plain_clips():
        found = work.answer(data, ClipIndexRequest())
        assert isinstance(found, ClipIndex)
        place = found.frames[-1].place
        work.answer(data, ClipSheetRequest((place,), 64))
        work.answer(data, ClipStillRequest(place))
        for broken in (data[: len(data) // 2], data[:16]):
            with contextlib.suppress(UnreadableImageError):
                work.answer(broken, ClipIndexRequest())
    return work


def _jpeg(image: RgbImage) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return jpeg.tobytes()


def _png(image: RgbImage) -> bytes:
    """Without loss. A low level of compression: the file is sealed and read again at once."""
    _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return png.tobytes()


def _shrunk(image: RgbImage, max_side_px: int) -> RgbImage:
    height, width = image.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _plain_picture(kind: str, mode: str) -> bytes:
    from PIL import Image  # noqa: PLC0415  Pillow is for those who decode

    buffer = io.BytesIO()
    Image.new(mode, (160, 160)).save(buffer, kind, exif=Image.Exif())
    return buffer.getvalue()
