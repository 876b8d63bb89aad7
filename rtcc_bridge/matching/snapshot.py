"""What a search looks at: the templates of one gallery at one version, which never change under a running search."""

from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.types import Float32Array, Int64Array

BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray = TypeVar("AnyArray", bound=npt.NDArray[np.generic])

LENGTH_TOLERANCE = 1e-3
"""How far a template's Euclidean length may lie from 1. The search's error bound rests on it."""

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class GallerySnapshot:
    """One version of a gallery. Made by `build`, never written to; whoever owns the gallery swaps one for the next.

    templates: float32 (N, D), C-contiguous, each row of Euclidean length 1, N may be 0.
    image_ids: int64 (N,), each once. subject_ids: int64 (N,), the person that each image shows.
    alive: bool (N,), False where an image was removed. Removing copies this mask and shares the templates, so that it
    costs N bytes however long the templates are; the rows' memory is given back when the owner builds anew.
    """

    name: str
    version: int
    templates: Float32Array
    image_ids: Int64Array
    subject_ids: Int64Array
    alive: BoolArray

    @classmethod
    def build(
        cls, name: str, version: int, templates: Float32Array, image_ids: Int64Array, subject_ids: Int64Array
    ) -> "GallerySnapshot":
        """Check the rows and make a snapshot in which all are alive. Takes the arrays over and makes them read-only.

        TemplateError: templates are not float32 (N, D) with D >= 1, not finite or not of length 1.
        ValueError: the ids do not fit the templates, or an image stands there twice.
        """
        check_templates(templates)
        rows = len(templates)
        for ids, what in ((image_ids, "image_ids"), (subject_ids, "subject_ids")):
            if ids.dtype != np.int64 or ids.shape != (rows,):
                raise ValueError(f"{what} has to be int64 ({rows},), not {ids.dtype} {ids.shape}")
        if len(np.unique(image_ids)) != rows:
            raise ValueError("an image id stands twice in the gallery")
        return cls(
            name,
            version,
            _read_only(np.ascontiguousarray(templates)),
            _read_only(image_ids),
            _read_only(subject_ids),
            _read_only(np.ones(rows, np.bool_)),
        )

    @property
    def template_length(self) -> int:
        return int(self.templates.shape[1])

    @property
    def image_count(self) -> int:
        """Images that are searched: removed ones do not count."""
        return int(np.count_nonzero(self.alive))

    @property
    def subject_count(self) -> int:
        """People with at least one image that is searched: the gallery size that a threshold is chosen for."""
        return len(np.unique(self.subject_ids[self.alive]))

    def appended(
        self, version: int, templates: Float32Array, image_ids: Int64Array, subject_ids: Int64Array
    ) -> "GallerySnapshot":
        """The next version with more rows; copies the templates once. Errors as in `build`.

        An id of a removed image may come back: then its old row is dropped.
        """
        added = GallerySnapshot.build(self.name, version, templates, image_ids, subject_ids)
        if added.template_length != self.template_length:
            raise TemplateError(
                f"templates of length {added.template_length} do not fit a gallery of {self.template_length}"
            )
        taken = np.isin(self.image_ids, image_ids)
        if (taken & self.alive).any():
            raise ValueError("an image id stands twice in the gallery")
        kept = self.compacted(version) if taken.any() else self
        return GallerySnapshot(
            self.name,
            version,
            _read_only(np.concatenate([kept.templates, added.templates])),
            _read_only(np.concatenate([kept.image_ids, added.image_ids])),
            _read_only(np.concatenate([kept.subject_ids, added.subject_ids])),
            _read_only(np.concatenate([kept.alive, added.alive])),
        )

    def without(self, version: int, image_ids: Int64Array) -> "GallerySnapshot":
        """The next version, in which these images are not searched. Unknown ids are no error: they are not searched."""
        alive = self.alive & ~np.isin(self.image_ids, image_ids)
        return replace(self, version=version, alive=_read_only(alive))

    def compacted(self, version: int) -> "GallerySnapshot":
        """The same living rows without the removed ones, whose bytes are gone once the older snapshots are."""
        return GallerySnapshot(
            self.name,
            version,
            _read_only(self.templates[self.alive]),
            _read_only(self.image_ids[self.alive]),
            _read_only(self.subject_ids[self.alive]),
            _read_only(np.ones(self.image_count, np.bool_)),
        )


def check_templates(templates: Float32Array, length: int | None = None) -> None:
    """TemplateError unless these are float32 (N, length), finite, of Euclidean length 1 within LENGTH_TOLERANCE.

    The norm is accumulated in float64, since a float32 sum of a long template errs by more than one would like here.
    """
    if templates.dtype != np.float32 or templates.ndim != 2 or templates.shape[1] < 1:
        raise TemplateError(f"templates have to be float32 (N, D), not {templates.dtype} {templates.shape}")
    if length is not None and templates.shape[1] != length:
        raise TemplateError(f"templates of length {templates.shape[1]} do not fit a gallery of {length}")
    for start in range(0, len(templates), _ROWS_AT_ONCE):
        rows = templates[start : start + _ROWS_AT_ONCE]
        if not np.isfinite(rows).all():
            raise TemplateError("a template holds a number that is not finite")
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
        if (np.abs(lengths - 1) > LENGTH_TOLERANCE).any():
            raise TemplateError(f"a template's length is not 1 within {LENGTH_TOLERANCE}: normalise it first")


def _read_only(array: AnyArray) -> AnyArray:
    array.flags.writeable = False
    return array
