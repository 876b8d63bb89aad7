"""Reads clips with FFmpeg's libraries (PyAV): which frames there are, and single ones of them, upright, in RGB.

The one module that knows PyAV. A clip is as hostile as any upload and its decoders are larger than those of stills, so
this runs in the sandboxed worker alone, and what is let near the bytes is on a list: the container is told by content
and opened with its one demuxer, no other is probed; of the decoders only four can be opened, by whatever a file asks
for; no protocol is allowed, so that nothing a file refers to is followed. Everything runs in the one thread that the
sandbox leaves. Frames that a decoder had to make up for damaged data are not offered: a face must not be invented.
"""

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter

from rtcc_bridge.matching.errors import UnreadableImageError
from rtcc_bridge.matching.quality_measures import relative_sharpness
from rtcc_bridge.matching.types import RgbImage
from rtcc_bridge.probes.clip_messages import (
    CODECS,
    MAX_CLIP_PIXELS,
    MOST_ASPECT,
    MOST_FRAMES,
    MOST_SHARPNESS,
    ClipFrame,
    ClipIndex,
    ClipPlace,
)

_EBML: Final = b"\x1a\x45\xdf\xa3"
_MOVIE_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""What a QuickTime or MP4 file begins with (ISO/IEC 14496-12; older QuickTime files have no ftyp)."""
_PICTURE_BRANDS: Final = frozenset({b"heic", b"heix", b"mif1", b"avif", b"avis"})
_NO_PROTOCOL: Final = "none"
_SHARPNESS_SIDE_PX: Final = 320
"""Sharpness is measured on a copy of this size: it tells a shaken frame from a steady one, and no noise from detail."""
_SOONER_FROM_THE_START: Final = 50
"""Up to this frame it is quicker to decode from the start than to look for where else to begin."""
_MOST_BROKEN_PACKETS: Final = 2000
_ASSUMED_STEP_MS: Final = 40.0
"""Between frames that say nothing of their time, in a clip that says nothing of its rate."""


@dataclass(frozen=True, slots=True)
class ClipLimits:
    """What is refused. seconds: of the clip; reading_seconds: what finding all frames may take."""

    max_bytes: int = 100_000_000
    max_seconds: float = 300.0
    max_frames: int = 10_000
    reading_seconds: float = 48.0


class ClipReader:
    """Reads one clip at a time and keeps nothing of it. Every method blocks, and raises UnreadableImageError with the
    reason not_a_clip, unsupported_format, unsupported_codec, no_video, no_frames, clip_too_long, clip_too_slow,
    too_many_pixels, too_large, corrupt or no_such_frame."""

    def __init__(self, limits: ClipLimits) -> None:
        self._limits = limits

    def index(self, data: bytes) -> ClipIndex:
        """The frames that are whole, in the order in which they are shown."""
        started = time.perf_counter()
        frames: list[ClipFrame] = []
        damaged, view = 0, None
        with self._opened(data) as film:
            self._require_short(film.stated_seconds)
            for place, frame in film.frames():
                self._require_within(place, time.perf_counter() - started)
                if frame.is_corrupt:
                    damaged += 1
                    continue
                view = view or film.view_of(frame)
                frames.append(ClipFrame(place, _sharpness(frame)))
        if view is None:
            raise UnreadableImageError(
                "no_frames",
                "the clip holds no picture that is whole: export it again from the recorder, or send a still",
            )
        seconds = {"clip": time.perf_counter() - started}
        return ClipIndex(
            film.container,
            film.codec,
            view.width,
            view.height,
            view.rotation,
            view.pixel_aspect,
            tuple(frames),
            damaged,
            seconds,
        )

    def sheet(self, data: bytes, places: Sequence[ClipPlace], max_side_px: int) -> RgbImage:
        """These frames one below the other, each of the same size and no side longer than `max_side_px`."""
        wanted = sorted(set(places), key=lambda place: place.number)
        with self._opened(data) as film:
            found = film.near(wanted)
        if len(found) < len(wanted):
            with self._opened(data) as film:
                found = film.from_the_start(wanted)
        if len(found) < len(wanted):
            raise _no_such_frame()
        cells = [film.view_of(found[place]).upright(found[place], max_side_px) for place in places]
        height, width = cells[0].shape[:2]
        return np.concatenate([_resized(cell, width, height) for cell in cells])

    def still(self, data: bytes, place: ClipPlace) -> RgbImage:
        """The frame as it is shown, in full size. Decoded from the start, as the index was: it is that very frame."""
        with self._opened(data) as film:
            found = film.from_the_start([place])
        if place not in found:
            raise _no_such_frame()
        return film.view_of(found[place]).upright(found[place], None)

    @contextmanager
    def _opened(self, data: bytes) -> Iterator["_Film"]:
        if len(data) > self._limits.max_bytes:
            raise UnreadableImageError(
                "too_large", f"the clip has more than {self._limits.max_bytes / 1e6:.0f} MB: send a shorter part of it"
            )
        kind = container_of(data)
        allowed = {
            "format_whitelist": kind,
            "codec_whitelist": ",".join(CODECS),
            "protocol_whitelist": _NO_PROTOCOL,
        }
        try:
            with av.open(io.BytesIO(data), format=kind, container_options=allowed) as container:
                yield _Film(container, kind)
        except (UnreadableImageError, MemoryError):
            raise
        except (av.FFmpegError, ValueError) as error:  # what PyAV raises on damaged bytes
            message = "the clip is damaged and cannot be read: export it again from where it came from"
            raise UnreadableImageError("corrupt", message) from error

    def _require_short(self, seconds: float) -> None:
        if seconds > self._limits.max_seconds:
            raise UnreadableImageError(
                "clip_too_long",
                f"the clip lasts {_in_words(seconds)}, and at most {_in_words(self._limits.max_seconds)} are read: cut "
                "out the part in which the face is seen best, and send that",
            )

    def _require_within(self, place: ClipPlace, spent_seconds: float) -> None:
        self._require_short(place.milliseconds / 1000)
        if place.number > min(self._limits.max_frames, MOST_FRAMES):
            raise UnreadableImageError(
                "clip_too_long",
                f"the clip has more than {self._limits.max_frames} frames: cut out the part in which the face is seen "
                "best, and send that",
            )
        if spent_seconds > self._limits.reading_seconds:
            raise UnreadableImageError(
                "clip_too_slow",
                f"reading the clip takes too long: its first {_in_words(place.milliseconds / 1000)} were read in the "
                "time that there is. Cut out a part that is shorter than that, and send it",
            )


def container_of(data: bytes) -> str:
    """The demuxer for a clip, told by its content: mov (MP4 and MOV), matroska or avi.

    UnreadableImageError: not_a_clip.
    """
    if data[4:8] in _MOVIE_BOXES and not (data[4:8] == b"ftyp" and data[8:12] in _PICTURE_BRANDS):
        return "mov"
    if data.startswith(_EBML):
        return "matroska"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    raise UnreadableImageError("not_a_clip", "this is not a clip: send an MP4, MOV, MKV or AVI file")


class _Film:
    """An open clip with its one stream of pictures."""

    def __init__(self, container: Any, kind: str) -> None:
        self._container = container
        self._stream = _moving_pictures(container)
        self.container = kind
        self.codec: str = self._stream.codec_context.name
        self._aspect = _sensible(self._stream.sample_aspect_ratio)
        context = self._stream.codec_context
        _require_size(context.width, context.height)
        # Before it is opened: threads would be new ones, which the sandbox ends the process for.
        context.thread_count = 1
        context.options = {"max_pixels": str(MAX_CLIP_PIXELS)}

    @property
    def stated_seconds(self) -> float:
        """How long the clip lasts by its own account; 0 when it says nothing."""
        stream, container = self._stream, self._container
        of_stream = 0.0 if not stream.duration or not stream.time_base else float(stream.duration * stream.time_base)
        return max(of_stream, (container.duration or 0) / av.time_base)

    def view_of(self, frame: Any) -> "_View":
        """How a frame of it is shown; also after it was closed."""
        return _View.of(frame, self._aspect)

    def frames(self) -> Iterator[tuple[ClipPlace, Any]]:
        """All frames from where the clip stands, with their places as if that were its start."""
        times = _Times(self._stream.average_rate)
        for number, frame in enumerate(self._decoded(), start=1):
            yield ClipPlace(number, times.of(frame)), frame

    def from_the_start(self, wanted: Sequence[ClipPlace]) -> dict[ClipPlace, Any]:
        """Those of the wanted frames that are there; the clip must not have been read from."""
        last = max(place.number for place in wanted)
        missing, found = set(wanted), {}
        for place, frame in self.frames():
            if place in missing and not frame.is_corrupt:
                found[place] = frame
            if place.number >= last:
                break
        return found

    def near(self, wanted: Sequence[ClipPlace]) -> dict[ClipPlace, Any]:
        """As `from_the_start`, beginning at the last key frame before them where that can be told by time. What is not
        found so may be there all the same."""
        if wanted[-1].number <= _SOONER_FROM_THE_START:
            return self.from_the_start(wanted)
        first = next(self._decoded(), None)
        base = self._stream.time_base
        if first is None or first.pts is None or not base:
            return {}
        times = {place.milliseconds: place for place in wanted}
        target = first.pts + round(Fraction(wanted[0].milliseconds, 1000) / base)
        self._container.seek(target, stream=self._stream)
        found = {}
        for frame in self._decoded():
            if frame.pts is None:
                break
            milliseconds = round((frame.pts - first.pts) * base * 1000)
            if milliseconds in times and not frame.is_corrupt:
                found[times[milliseconds]] = frame
            if milliseconds > wanted[-1].milliseconds:
                break
        return found

    def _decoded(self) -> Iterator[Any]:
        """Frames in the order in which they are shown. A packet that is broken is left out, a clip that breaks off ends
        there."""
        packets, broken = self._container.demux(self._stream), 0
        while True:
            try:
                packet = next(packets, None)
            except av.InvalidDataError:
                return
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except av.InvalidDataError:
                broken += 1
                if broken > _MOST_BROKEN_PACKETS:
                    return
                continue
            for frame in decoded:
                _require_size(frame.width, frame.height)
                yield frame


class _Times:
    """Milliseconds after the first frame, by the frames' own timestamps and not by a rate, which may vary.

    They rise from frame to frame, whatever a damaged clip says, so that a frame is found by its time.
    """

    def __init__(self, rate: Fraction | None) -> None:
        self._step_ms = 1000 / float(rate) if rate else _ASSUMED_STEP_MS
        self._first: float | None = None
        self._last_ms = -1

    def of(self, frame: Any) -> int:
        if frame.time is None:
            milliseconds = self._last_ms + round(self._step_ms)
        else:
            if self._first is None:
                self._first = frame.time
            milliseconds = round((frame.time - self._first) * 1000)
        self._last_ms = max(milliseconds, self._last_ms + 1)
        return self._last_ms


@dataclass(frozen=True, slots=True)
class _View:
    """How a frame is shown: its size in square pixels, upright."""

    width: int
    height: int
    rotation: int
    pixel_aspect: tuple[int, int]

    @classmethod
    def of(cls, frame: Any, aspect: Fraction) -> "_View":
        width, height = frame.width, frame.height
        # The short side grows: no pixel that the camera saw is lost.
        if aspect > 1:
            width = round(width * aspect)
        elif aspect < 1:
            height = round(height / aspect)
        _require_size(width, height)
        rotation = _rotation(frame)
        if rotation in {90, 270}:
            width, height = height, width
        return cls(width, height, rotation, (aspect.numerator, aspect.denominator))

    def upright(self, frame: Any, max_side_px: int | None) -> RgbImage:
        """The frame as RGB; `max_side_px`: made smaller where a side is longer."""
        # One thread, said at each call: the library's default is as many as there are processors.
        rgb = VideoReformatter().reformat(frame, format="rgb24", threads=1).to_ndarray()
        turned = np.ascontiguousarray(np.rot90(np.asarray(rgb, np.uint8), -(self.rotation // 90)))
        scale = 1.0 if max_side_px is None else min(1.0, max_side_px / max(self.width, self.height))
        return _resized(turned, max(1, round(self.width * scale)), max(1, round(self.height * scale)))


def _moving_pictures(container: Any) -> Any:
    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not streams:
        raise UnreadableImageError("no_video", "the file holds no moving pictures: choose the clip itself")
    stream = streams[0]
    name = None if stream.codec_context is None else stream.codec_context.name
    if name not in CODECS:
        raise UnreadableImageError(
            "unsupported_codec",
            f"the pictures of this clip are stored as {name or 'something unknown'}, which is not read: export it as "
            "H.264, or send a still",
        )
    return stream


def _require_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnreadableImageError("corrupt", "the clip does not say how large its pictures are: export it again")
    if width * height > MAX_CLIP_PIXELS:
        raise UnreadableImageError(
            "too_many_pixels",
            f"the clip's pictures have {width} x {height} pixels, over {MAX_CLIP_PIXELS / 1e6:.1f} million: export it "
            "smaller, or send the frame as a still",
        )


def _sensible(stated: Fraction | None) -> Fraction:
    """The stated shape of a pixel; square where it is missing or makes no sense."""
    if not stated or not Fraction(1, 4) <= stated <= 4:
        return Fraction(1)
    return Fraction(stated).limit_denominator(MOST_ASPECT // 4)


def _rotation(frame: Any) -> int:
    """Degrees clockwise that stand the frame upright. A slant, which no camera notes, is left as it is."""
    counterclockwise = int(frame.rotation)
    return -counterclockwise % 360 if counterclockwise % 90 == 0 else 0


def _sharpness(frame: Any) -> int:
    scale = min(1.0, _SHARPNESS_SIDE_PX / max(frame.width, frame.height))
    width, height = max(8, round(frame.width * scale)), max(8, round(frame.height * scale))
    grey = VideoReformatter().reformat(
        frame, width=width, height=height, format="gray", interpolation=Interpolation.AREA, threads=1
    )
    return min(MOST_SHARPNESS, round(relative_sharpness(np.asarray(grey.to_ndarray(), np.uint8))))


def _resized(image: RgbImage, width: int, height: int) -> RgbImage:
    if image.shape[:2] == (height, width):
        return image
    smaller = width < image.shape[1] or height < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _no_such_frame() -> UnreadableImageError:
    return UnreadableImageError("no_such_frame", "the clip does not give this frame: choose another one")


def _in_words(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
