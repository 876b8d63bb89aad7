"""Milvus as this program calls it: each call with a time limit, each failure an error that says what to do.

The only module that imports pymilvus, which is an extra: nothing imports this one unless `matching.milvus.uri` is set.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from grpc import RpcError
from pymilvus import DataType, MilvusClient, MilvusException

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.matching.types import Float32Array, Float64Array, Int64Array
from rtcc_bridge.milvus_settings import MilvusSettings

_METRIC: Final = "IP"
_ID, _SEGMENT, _SCALE, _TEMPLATE = "id", "segment", "scale", "template"
_SEGMENT_CHARACTERS: Final = 64
_LEAST_LENGTH: Final = 2
"""Milvus takes no vectors of one number."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """What one probe's search gave: ids int64 (n,) and Milvus's scores float64 (n,), the best first."""

    ids: Int64Array
    scores: Float64Array


class Collection:
    """One collection: for each image its id, the segment that its template is from, its scale and its numbers.

    All methods block, and raise UnavailableError when Milvus does not do what is asked within `timeout_seconds`. They
    may be called from several threads.
    """

    def __init__(self, settings: MilvusSettings, name: str, length: int) -> None:
        """Connects to nothing yet."""
        self.name = name
        self._settings = settings
        self._length = length
        self._padding = max(0, _LEAST_LENGTH - length)
        self._lock = threading.Lock()
        self._client: MilvusClient | None = None

    def connect(self) -> str:
        """Milvus's version. Has to come before anything else."""
        with self._lock:
            if self._client is None:
                self._client = self._call("connect", self._connected)
        return str(self._ask("tell its version", lambda client, **limit: client.get_server_version(**limit)))

    def open(self) -> None:
        """Connects, makes the collection unless it is there, and has it loaded.

        ConfigurationError: it is there with another index than the settings name.
        """
        self.connect()
        if not self._ask("look for the collection", lambda client, **limit: client.has_collection(self.name, **limit)):
            self._ask("make the collection", self._create)
        self._check_index()
        self._ask("load the collection", lambda client, **limit: client.load_collection(self.name, **limit))

    def count(self) -> int:
        """Rows, those of removed images that are still there included."""
        found = self._query("count its rows", filter="", output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def present(self, segment_id: str, ids: Int64Array) -> set[int]:
        """Which of these images are there with the template of this segment."""
        found = self._query(
            "say which images it has",
            filter=f'{_ID} in {ids.tolist()} and {_SEGMENT} == "{segment_id}"',
            output_fields=[_ID],
            limit=max(1, len(ids)),
        )
        return {int(row[_ID]) for row in found}

    def put(self, segment_id: str, ids: Int64Array, scales: Float32Array, templates: Float32Array) -> None:
        """Writes rows, over those with the same ids. At most as many as fit into one message."""
        padded = np.pad(templates, ((0, 0), (0, self._padding)))
        rows = [
            {_ID: image_id, _SEGMENT: segment_id, _SCALE: scale, _TEMPLATE: template}
            for image_id, scale, template in zip(ids.tolist(), scales.tolist(), padded, strict=True)
        ]
        self._ask("take templates", lambda client, **limit: client.upsert(self.name, rows, **limit))

    def delete(self, ids: Int64Array) -> None:
        """Deletes rows; those that are not there are no error."""
        self._ask("delete templates", lambda client, **limit: client.delete(self.name, ids=ids.tolist(), **limit))

    def read(self, ids: Int64Array) -> tuple[Float32Array, Float32Array]:
        """The scales (n,) and numbers (n, D) of these images, which are all different, in their order."""
        found = self._query(
            "give templates back",
            filter=f"{_ID} in {ids.tolist()}",
            output_fields=[_ID, _SCALE, _TEMPLATE],
            limit=max(1, len(ids)),
        )
        rows = {int(row[_ID]): row for row in found}
        try:
            ordered = [rows[image_id] for image_id in ids.tolist()]
        except KeyError as error:
            raise UnavailableError(
                f"Milvus's collection {self.name} has no template of image {error} any more: another matcher may have "
                "deleted it meanwhile, and then it is not asked for again"
            ) from error
        values = np.array([row[_TEMPLATE] for row in ordered], np.float32)
        values = values.reshape(len(ordered), self._length + self._padding)[:, : self._length]
        return np.array([row[_SCALE] for row in ordered], np.float32), values

    def nearest(self, probes: Float32Array, k: int, between: tuple[int, int] | None = None) -> list[Nearest]:
        """The k images of the largest scores for each probe float32 (B, D); of those with ids `between`, both included,
        if it is given."""
        padded = np.pad(probes, ((0, 0), (0, self._padding)))
        found = self._ask(
            "search",
            lambda client, **limit: client.search(
                self.name,
                data=list(padded),
                anns_field=_TEMPLATE,
                filter="" if between is None else f"{_ID} >= {between[0]} and {_ID} <= {between[1]}",
                limit=k,
                search_params={"metric_type": _METRIC},
                **limit,
            ),
        )
        if len(found) != len(probes):
            raise UnavailableError(f"Milvus answered {len(found)} of {len(probes)} probes")
        return [_nearest(hits) for hits in found]

    def _query(self, what: str, **query: Any) -> list[dict[str, Any]]:
        found = self._ask(what, lambda client, **limit: client.query(self.name, **query, **limit))
        return list(found)

    def _ask(self, what: str, call: Callable[..., Any]) -> Any:
        client = self._client
        if client is None:
            raise UnavailableError("Milvus was not reached yet")
        return self._call(what, lambda: call(client, timeout=self._settings.timeout_seconds))

    def _call(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (MilvusException, RpcError) as error:
            raise UnavailableError(
                f"Milvus at {self._settings.uri} does not {what} within {self._settings.timeout_seconds:g} s: {error}"
            ) from error

    def _connected(self) -> MilvusClient:
        settings = self._settings
        secret = {} if settings.token is None else {"token": settings.token.get_secret_value()}
        trusted = {} if settings.ca_file is None else {"server_pem_path": str(settings.ca_file)}
        return MilvusClient(
            uri=settings.uri, db_name=settings.database, timeout=settings.timeout_seconds, **secret, **trusted
        )

    def _create(self, client: MilvusClient, **limit: float) -> None:
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(_ID, DataType.INT64, is_primary=True)
        schema.add_field(_SEGMENT, DataType.VARCHAR, max_length=_SEGMENT_CHARACTERS)
        schema.add_field(_SCALE, DataType.FLOAT)
        schema.add_field(_TEMPLATE, DataType.FLOAT_VECTOR, dim=self._length + self._padding)
        index = client.prepare_index_params()
        index.add_index(_TEMPLATE, index_name=_TEMPLATE, index_type=self._settings.index, metric_type=_METRIC)
        # Strong: a search sees every row that was written before it began, by whichever matcher.
        client.create_collection(self.name, schema=schema, index_params=index, consistency_level="Strong", **limit)

    def _check_index(self) -> None:
        found = self._ask(
            "describe its index", lambda client, **limit: client.describe_index(self.name, _TEMPLATE, **limit)
        )
        asked = (self._settings.index, _METRIC)
        if found is None or (there := (found.get("index_type"), found.get("metric_type"))) != asked:
            what = "none" if found is None else " with ".join(map(str, there))
            raise ConfigurationError(
                ConfigurationProblem(
                    "matching.milvus.index",
                    f"the index of Milvus's collection {self.name} is {what}, and not {' with '.join(asked)}",
                    "Name the one that is there, or drop the collection: the matchers then fill it anew",
                )
            )


def _nearest(hits: Sequence[Any]) -> Nearest:
    ids = np.fromiter((hit[_ID] for hit in hits), np.int64, len(hits))
    scores = np.fromiter((hit["distance"] for hit in hits), np.float64, len(hits))
    best = np.argsort(-scores, kind="stable")
    return Nearest(ids[best], scores[best])
