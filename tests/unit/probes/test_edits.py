"""Edits as JSON: one form for people, database and worker, read strictly."""

import json
from typing import Any

import pytest

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.matching.edits import MOST_EDITS, Brightness, Contrast, Crop, Rotate
from rtcc_bridge.probes.edits import edits_from_json, edits_to_json
from rtcc_bridge.probes.worker_messages import InspectRequest, decode_request, encode_request
from rtcc_bridge.probes.worker_protocol import ProtocolError

EDITS = (Crop(1, 2, 300, 400), Rotate(-12.5), Brightness(-20), Contrast(150))


def test_what_is_written_is_read_again() -> None:
    assert edits_from_json(json.loads(json.dumps(edits_to_json(EDITS)))) == EDITS
    assert decode_request(encode_request(InspectRequest(EDITS))) == InspectRequest(EDITS)


@pytest.mark.parametrize(
    "steps",
    [
        None,
        {},
        "rotate",
        ["rotate"],
        [{}],
        [{"do": "paint"}],
        [{"do": ["crop"]}],
        [{"do": "rotate"}],
        [{"do": "rotate", "degrees": "90"}],
        [{"do": "rotate", "degrees": True}],
        [{"do": "rotate", "degrees": 181}],
        [{"do": "rotate", "degrees": float("nan")}],
        [{"do": "rotate", "degrees": float("inf")}],
        [{"do": "rotate", "degrees": 10**400}],
        [{"do": "rotate", "degrees": 1, "more": 1}],
        [{"do": "brightness", "percent": 1.5}],
        [{"do": "contrast", "percent": 0}],
        [{"do": "crop", "left": -1, "top": 0, "right": 20, "bottom": 20}],
        [{"do": "crop", "left": 0, "top": 0, "right": 20}],
        [{"do": "rotate", "degrees": 1}] * (MOST_EDITS + 1),
    ],
    ids=lambda steps: str(steps)[:60],
)
def test_what_is_no_list_of_steps_is_refused(steps: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        edits_from_json(steps)
    assert refused.value.reason == "edits"


def test_a_worker_reads_no_other_step_either() -> None:
    asked = {**json.loads(encode_request(InspectRequest())), "edits": [{"do": "paint"}]}
    with pytest.raises(ProtocolError):
        decode_request(json.dumps(asked).encode())
