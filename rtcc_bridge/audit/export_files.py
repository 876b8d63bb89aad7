"""An export of the audit log: a folder of plain files, which any tool can read.

checkpoints.jsonl   every signed checkpoint, the smallest first: {"note": …, "signedAt": …} on each line
leaves.txt          the hash of each leaf, in hex, one on each line, in the order of the tree
entries.jsonl       the entries in the same order; each line, without its line break, is the data of its leaf
checkpoint          the newest checkpoint by itself, as other tools take it
README.txt          what this is, and how it is verified without trusting whoever made it
"""

from typing import Final

CHECKPOINTS: Final = "checkpoints.jsonl"
LEAVES: Final = "leaves.txt"
ENTRIES: Final = "entries.jsonl"
NEWEST: Final = "checkpoint"
README: Final = "README.txt"

ABOUT: Final = """\
The audit log {origin}: its first {size} entries.

  entries.jsonl      one entry on each line
  leaves.txt         for each entry the SHA-256 of a zero byte and the line, without its line break (RFC 9162, 2.1.1)
  checkpoint         the signed head of the tree over those hashes (C2SP tlog-checkpoint)
  checkpoints.jsonl  this one and all earlier ones

Verify it with the log's public key, which you should have from somebody else than whoever gave you this folder:

  rtcc-bridge audit verify FOLDER --key KEY --checkpoint A-CHECKPOINT-THAT-YOU-KEPT

It needs no network and no server. The formats are public: golang.org/x/mod/sumdb/note reads the checkpoint, and any
implementation of RFC 9162 computes its root from leaves.txt.
"""
