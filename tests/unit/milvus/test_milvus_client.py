"""Calls of Milvus that cannot be answered: each ends within its time, and says what to do."""

import base64
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.milvus.client import Collection
from rtcc_bridge.milvus.templates import collection_name
from rtcc_bridge.milvus_settings import MilvusSettings
from tests.kafka_cluster.certificates import TestAuthority
from tests.milvus_kit import milvus_settings, raw_client


def settings_of(port: int) -> MilvusSettings:
    uri = f"http://127.0.0.1:{port}"
    return MilvusSettings.model_validate(
        {"uri": uri, "plain_templates": "accepted", "token": "root:hush", "timeout_seconds": 0.5}
    )


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_milvus_that_says_nothing_is_given_up(silent_port: int) -> None:
    with pytest.raises(UnavailableError, match=f"Milvus at http://127.0.0.1:{silent_port} does not connect") as raised:
        Collection(settings_of(silent_port), "any", 4).open()
    assert "hush" not in str(raised.value)


def test_a_milvus_that_is_away_is_given_up(silent_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnavailableError, match=r"does not connect within 0\.5 s"):
        Collection(settings_of(port), "any", 4).open()


def test_nothing_is_asked_of_a_milvus_that_was_not_reached(silent_port: int) -> None:
    with pytest.raises(UnavailableError, match="not reached yet"):
        Collection(settings_of(silent_port), "any", 4).count()


class Witness(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc is not typed
    """Says what was called, with which sign-in; answers nothing."""

    def __init__(self) -> None:
        self.signed_in_by: list[str] = []

    def service(self, details: Any) -> None:
        self.signed_in_by += [value for key, value in details.invocation_metadata if key == "authorization"]


@pytest.mark.parametrize("trusted", [True, False], ids=["its authority", "another one"])
def test_only_a_milvus_of_the_trusted_authority_is_signed_in_to(trusted: bool, tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "theirs")
    pem = authority.issue("localhost").read_bytes()
    witness = Witness()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[witness])
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(pem, pem)]))
    server.start()
    ca_file = (authority if trusted else TestAuthority(tmp_path / "others")).ca_file
    settings = MilvusSettings.model_validate(
        {
            "uri": f"https://localhost:{port}", "plain_templates": "accepted", "token": "matcher:hush",
            "ca_file": ca_file, "timeout_seconds": 2,
        }
    )  # fmt: skip
    try:
        with pytest.raises(UnavailableError) as raised:
            Collection(settings, "any", 4).open()
    finally:
        server.stop(0)
    assert "hush" not in str(raised.value)
    assert set(witness.signed_in_by) == ({base64.b64encode(b"matcher:hush").decode()} if trusted else set())


def test_a_collection_with_an_index_that_may_miss_somebody_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lite.db"
    Collection(milvus_settings(file), "theirs", 8).open()
    with raw_client(file) as client:
        client.release_collection("theirs")
        client.drop_index("theirs", "template")
        index = client.prepare_index_params()
        index.add_index("template", index_name="template", index_type="HNSW", metric_type="IP", M=8, efConstruction=64)
        client.create_index("theirs", index)
    with pytest.raises(ConfigurationError, match=r"HNSW with IP, and not FLAT with IP\. .*drop the collection"):
        Collection(milvus_settings(file), "theirs", 8).open()


def test_a_collection_without_a_row_says_so(tmp_path: Path) -> None:
    collection = Collection(milvus_settings(tmp_path / "lite.db"), "empty", 1)
    collection.open()
    assert collection.count() == 0
    assert collection.present("segment", np.array([1, 2], np.int64)) == set()
    (found,) = collection.nearest(np.ones((1, 1), np.float32), 5)
    assert len(found.ids) == 0


@pytest.mark.parametrize("gallery", ["city", "Città d'arte - 2", "9", "x" * 128])
def test_a_collection_is_named_as_milvus_takes_it(gallery: str, tmp_path: Path) -> None:
    name = collection_name(gallery, PackIdentity("test", "ab" * 32, 4))
    Collection(milvus_settings(tmp_path / "lite.db"), name, 4).open()
    assert name.isidentifier()
    assert name.isascii()
    assert name != collection_name(gallery, PackIdentity("test", "cd" * 32, 4))
    assert name != collection_name(gallery + " ", PackIdentity("test", "ab" * 32, 4))
