"""Milvus Lite for tests: the real client and a real server of its protocol, in a file."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from pymilvus import MilvusClient

from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.milvus.search import MilvusSearchIndex
from rtcc_bridge.milvus.templates import MilvusTemplates
from rtcc_bridge.milvus_settings import MilvusSettings

_numbers: Final = itertools.count()

_ROWS_TO_FLUSH: Final = 5000
"""Milvus Lite compares rows one by one until they are flushed."""


def milvus_settings(file: Path, timeout_seconds: float = 60.0) -> MilvusSettings:
    return MilvusSettings(uri=str(file), plain_templates="accepted", timeout_seconds=timeout_seconds)


@contextmanager
def raw_client(file: Path) -> Iterator[MilvusClient]:
    """What is really there, asked without this program."""
    client = MilvusClient(uri=str(file))
    try:
        yield client
    finally:
        client.close()


def filled_index(file: Path, snapshot: GallerySnapshot) -> MilvusSearchIndex:
    """An index over all rows of a snapshot, in a collection of its own.

    Removed rows are there as well: Milvus may delete them any time later, and no search may show them meanwhile.
    """
    pack = PackIdentity("test", "ab" * 32, snapshot.template_length)
    service = MilvusTemplates(milvus_settings(file), f"gallery {next(_numbers)}", pack)
    if snapshot.row_count:
        service.put("segment", snapshot.image_ids, snapshot.templates_of(np.arange(snapshot.row_count)))
    index = service.open_index(snapshot)
    if snapshot.row_count > _ROWS_TO_FLUSH:
        with raw_client(file) as client:
            client.flush(index.collection.name)
    return index
