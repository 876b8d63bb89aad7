"""What is said of a segment that cannot be read."""

from rtcc_bridge.storage.galleries import SegmentRecord


def damaged_segment(segment: SegmentRecord, first_version: int | None, cause: str) -> str:
    """What to tell of a segment that cannot be read. first_version: the first that searches one of its rows."""
    whole = "no version searches its rows"
    if first_version is not None:
        before = first_version - 1
        whole = f"version {before} and earlier ones do without it" if before else "no version does without it"
    return (
        f"segment {segment.segment_id} of gallery {segment.gallery} cannot be read ({cause}). {whole[0].upper()}"
        f"{whole[1:]}. Copy objects/{segment.object_key} from a backup into the object store: it never changes. "
        "`rtcc-bridge gallery verify` tells how much it holds"
    )
