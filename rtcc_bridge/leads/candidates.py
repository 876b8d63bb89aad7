"""From a candidate list to what may leave: opaque references in an order that says nothing (P16)."""

import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from rtcc_bridge.matching.types import Candidate

SEALED_LIST_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ReferencedCandidate:
    """A candidate with the reference that stands for it outside, random for this lead."""

    candidate_ref: str
    candidate: Candidate

    @property
    def image_ids(self) -> tuple[int, ...]:
        return tuple(image.image_id for image in (self.candidate.best, *self.candidate.others))


@dataclass(frozen=True, slots=True)
class PreparedCandidates:
    """A candidate list ready for a lead.

    shuffled: the candidates in a random order; the published list follows it.
    sealed_payload: the whole list by rank, with persons, images and scores, as UTF-8 JSON; for the sealed object
    only. A person whose images were removed between the search and the lead may still stand in it, without a row in
    `lead_candidates`: who shows the list goes by those rows.
    """

    shuffled: tuple[ReferencedCandidate, ...]
    sealed_payload: bytes

    @property
    def image_ids(self) -> frozenset[int]:
        return frozenset(image_id for referenced in self.shuffled for image_id in referenced.image_ids)


def prepare_candidates(candidates: Sequence[Candidate]) -> PreparedCandidates:
    """References and shuffles the candidates, which are given by rank. New references at each call."""
    ranked = [ReferencedCandidate(secrets.token_urlsafe(16), candidate) for candidate in candidates]
    shuffled = list(ranked)
    secrets.SystemRandom().shuffle(shuffled)
    return PreparedCandidates(tuple(shuffled), _payload(ranked))


def alive_candidates(
    prepared: PreparedCandidates, alive_image_ids: Collection[int], threshold: float
) -> tuple[ReferencedCandidate, ...]:
    """The candidates that still have an image in the gallery which by itself reached the threshold (P25)."""

    def is_alive(referenced: ReferencedCandidate) -> bool:
        images = (referenced.candidate.best, *referenced.candidate.others)
        return any(image.image_id in alive_image_ids and image.similarity_score >= threshold for image in images)

    return tuple(referenced for referenced in prepared.shuffled if is_alive(referenced))


def _payload(ranked: Sequence[ReferencedCandidate]) -> bytes:
    listed = [
        {
            "rank": rank,
            "candidateRef": referenced.candidate_ref,
            "subjectId": referenced.candidate.subject_id,
            "similarityScore": referenced.candidate.similarity_score,
            "images": [
                {"imageId": image.image_id, "similarityScore": image.similarity_score}
                for image in (referenced.candidate.best, *referenced.candidate.others)
            ],
        }
        for rank, referenced in enumerate(ranked, start=1)
    ]
    document = {"version": SEALED_LIST_VERSION, "candidates": listed}
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
