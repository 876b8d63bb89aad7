"""A service outside this process that keeps a gallery's templates and searches them there."""

from typing import Protocol

from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Int64Array


class TemplateService(Protocol):
    """Keeps a copy; the sealed segments are the truth. Followers of several processes write to it at once, and each may
    be behind: so a row is only ever written as its segment has it, and deleted when the database says that its image
    was removed, which it stays. In whatever order that happens, every living row is there once its follower wrote it.

    All methods block, and raise UnavailableError when the service does not do it.
    """

    def missing(self, segment_id: str, image_ids: Int64Array) -> Int64Array:
        """The places, int64 (n,), of those images that the service does not have from this segment."""
        ...

    def put(self, segment_id: str, image_ids: Int64Array, templates: StoredTemplates) -> None:
        """Writes the templates of these images, all of this segment."""
        ...

    def delete(self, image_ids: Int64Array) -> None:
        """Deletes images; those that are not there are no error."""
        ...

    def open_index(self, snapshot: GallerySnapshot) -> SearchIndex:
        """An index over the rows of a snapshot of ids alone (`GallerySnapshot.of_ids`), which the service has all.

        UnavailableError too when it has fewer. ConfigurationError: the service is not set up as the settings say.
        """
        ...
