"""The leaf hash that lead events cite."""

import hashlib
import json

from rtcc_bridge.audit.entries import leaf_hash

ENTRY = {"version": 1, "actor": "the analyst", "details": {"sequence": 1, "estimate": 0.05}}


def test_p22_the_hash_is_that_of_a_leaf_and_not_of_the_bare_entry() -> None:
    """RFC 9162, section 2.1.1: without the leading zero byte an inner node could pass for an entry."""
    canonical = b'{"actor":"the analyst","details":{"estimate":0.05,"sequence":1},"version":1}'
    assert leaf_hash(ENTRY) == hashlib.sha256(b"\x00" + canonical).hexdigest()
    assert leaf_hash(ENTRY) != hashlib.sha256(canonical).hexdigest()


def test_p22_the_hash_depends_on_what_is_said_and_not_on_how_it_is_written() -> None:
    rewritten = json.loads(json.dumps(dict(reversed(ENTRY.items())), indent=2))
    assert leaf_hash(rewritten) == leaf_hash(ENTRY)
    assert leaf_hash({**ENTRY, "actor": "the analyst "}) != leaf_hash(ENTRY)
