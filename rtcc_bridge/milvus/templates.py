"""A gallery's templates in Milvus."""

import hashlib
import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Int64Array
from rtcc_bridge.milvus.client import Collection
from rtcc_bridge.milvus.search import MilvusSearchIndex
from rtcc_bridge.milvus_settings import MilvusSettings

_IDS_AT_ONCE: Final = 4096
"""Ids named in one call: well below what Milvus gives back to one (16,384)."""

_MOST_ROWS: Final = {"FLAT": 16_384, "GPU_BRUTE_FORCE": 1024}
"""Of one answer, by what its index gives."""

_BYTES_AT_ONCE: Final = 16_777_216
"""Of templates in one call; Milvus takes messages of 64 MiB."""


class MilvusTemplates:
    """The `TemplateService` of one gallery: one collection, whose name tells gallery and model apart."""

    def __init__(self, settings: MilvusSettings, gallery: str, pack: PackIdentity) -> None:
        """Connects when it is used for the first time."""
        self._collection = Collection(settings, collection_name(gallery, pack), pack.template_length)
        self._rows_at_once = max(1, min(_IDS_AT_ONCE, _BYTES_AT_ONCE // (4 * pack.template_length)))
        self._most_rows = _MOST_ROWS[settings.index]
        self._is_open = False

    def missing(self, segment_id: str, image_ids: Int64Array) -> Int64Array:
        """As `TemplateService` says."""
        present: set[int] = set()
        for rows in _slices(len(image_ids), _IDS_AT_ONCE):
            present |= self._opened().present(segment_id, image_ids[rows])
        return np.flatnonzero(~np.isin(image_ids, np.fromiter(present, np.int64, len(present))))

    def put(self, segment_id: str, image_ids: Int64Array, templates: StoredTemplates) -> None:
        """As `TemplateService` says."""
        for rows in _slices(len(image_ids), self._rows_at_once):
            part = templates.take(np.arange(rows.start, rows.stop))
            self._opened().put(segment_id, image_ids[rows], part.scales, part.as_float32())

    def delete(self, image_ids: Int64Array) -> None:
        """As `TemplateService` says."""
        for rows in _slices(len(image_ids), _IDS_AT_ONCE):
            self._opened().delete(image_ids[rows])

    def open_index(self, snapshot: GallerySnapshot) -> MilvusSearchIndex:
        """As `TemplateService` says."""
        collection = self._opened()
        if (there := collection.count()) < snapshot.image_count:
            raise UnavailableError(
                f"Milvus's collection {collection.name} has {there} templates and the gallery {snapshot.image_count}. "
                "If that lasts, somebody deleted them: start the matchers anew, which then fill it up"
            )
        return MilvusSearchIndex(snapshot, collection, self._most_rows)

    def _opened(self) -> Collection:
        if not self._is_open:
            self._collection.open()
            self._is_open = True
        return self._collection


def collection_name(gallery: str, pack: PackIdentity) -> str:
    """A name that Milvus takes. Templates of another pack are in another collection: they cannot be compared."""
    digest = hashlib.sha256(f"{gallery}\n{pack.template_hash}\n{pack.template_length}".encode()).hexdigest()
    return f"gallery_{re.sub('[^A-Za-z0-9]', '_', gallery)[:40]}_{digest[:16]}"


def _slices(rows: int, at_once: int) -> Iterator[slice]:
    return (slice(start, min(start + at_once, rows)) for start in range(0, rows, at_once))
