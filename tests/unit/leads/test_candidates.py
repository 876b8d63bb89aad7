"""What leaves of a candidate list, and what is sealed."""

import json

from rtcc_bridge.leads.candidates import alive_candidates, prepare_candidates
from rtcc_bridge.matching.types import Candidate, ScoredImage
from tests.lead_parts import THRESHOLD, stranger

LISTED = [stranger(number) for number in range(1, 31)]


def test_p16_references_are_random_for_each_lead() -> None:
    first, second = prepare_candidates(LISTED), prepare_candidates(LISTED)
    references = [item.candidate_ref for prepared in (first, second) for item in prepared.shuffled]
    assert len(set(references)) == 60
    assert all(len(reference) >= 22 for reference in references)


def test_p16_the_published_order_is_not_that_of_the_ranks() -> None:
    orders = {tuple(item.candidate.subject_id for item in prepare_candidates(LISTED).shuffled) for _ in range(20)}
    by_rank = tuple(candidate.subject_id for candidate in LISTED)
    assert len(orders) == 20  # 30! orders: the same one twice means that nothing is shuffled
    assert by_rank not in orders
    assert {tuple(sorted(order)) for order in orders} == {by_rank}


def test_every_candidate_comes_first_now_and_then() -> None:
    firsts = {prepare_candidates(LISTED[:3]).shuffled[0].candidate.subject_id for _ in range(200)}
    assert firsts == {1, 2, 3}  # (2/3)^200 of a chance to fail


def test_the_sealed_list_keeps_the_ranks_persons_images_and_scores() -> None:
    prepared = prepare_candidates(LISTED)
    references = {item.candidate.subject_id: item.candidate_ref for item in prepared.shuffled}
    document = json.loads(prepared.sealed_payload)
    assert document["version"] == 1
    assert document["candidates"][1] == {
        "rank": 2,
        "candidateRef": references[2],
        "subjectId": 2,
        "similarityScore": LISTED[1].similarity_score,
        "images": [
            {"imageId": 20, "similarityScore": LISTED[1].similarity_score},
            {"imageId": 21, "similarityScore": 0.91},
        ],
    }
    assert [entry["rank"] for entry in document["candidates"]] == list(range(1, 31))


def test_image_ids_are_those_of_all_photos() -> None:
    assert prepare_candidates(LISTED[:2]).image_ids == {10, 11, 20, 21}


def test_p25_a_removed_person_is_left_out_and_the_order_of_the_others_stays() -> None:
    prepared = prepare_candidates(LISTED)
    alive = alive_candidates(prepared, prepared.image_ids - {50, 51}, THRESHOLD)
    assert alive == tuple(item for item in prepared.shuffled if item.candidate.subject_id != 5)


def test_p25_a_person_stays_while_an_image_is_left_that_reached_the_threshold_by_itself() -> None:
    near = Candidate(1, ScoredImage(10, 0.97), (ScoredImage(11, 0.92),))
    far = Candidate(2, ScoredImage(20, 0.97), (ScoredImage(21, 0.89),))
    alive = alive_candidates(prepare_candidates([near, far]), {11, 21}, THRESHOLD)
    assert [item.candidate for item in alive] == [near]


def test_an_empty_list_is_prepared_too() -> None:
    prepared = prepare_candidates([])
    assert prepared.shuffled == ()
    assert json.loads(prepared.sealed_payload)["candidates"] == []
