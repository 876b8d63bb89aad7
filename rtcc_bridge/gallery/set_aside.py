"""Why an image was not enrolled. That is a result that is reported: one bad picture stops nothing."""

from enum import StrEnum


class Reason(StrEnum):
    """A fixed word for counting; the detail beside it says what a person needs to know."""

    BAD_ROW = "bad_row"
    NO_SUBJECT = "no_subject"
    NO_PROVENANCE = "no_provenance"
    NO_LAWFUL_BASIS = "no_lawful_basis"
    NO_RETENTION = "no_retention"
    RETENTION_PASSED = "retention_passed"
    OUTSIDE_FOLDER = "outside_folder"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    POOR_QUALITY = "poor_quality"
    MODEL_FAILED = "model_failed"
    DUPLICATE = "duplicate"
    REMOVED = "removed"
    ALREADY_ENROLLED = "already_enrolled"
    """An earlier run enrolled it: nothing is wrong, and it is counted but not reported."""


class SetAsideError(Exception):
    """This image is left out. It never leaves the enrolment, which reports it and goes on."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
