"""What did not go as it should, in words."""

from collections.abc import Iterator
from contextlib import contextmanager


class Problems(list[str]):
    """Texts, in the order in which they were noted."""

    @contextmanager
    def noted(self, where: str) -> Iterator[None]:
        """Notes an error of the block and goes on after it: one more finding is better than no table."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the fault has failed by
            self.append(f"{where}: {error!r}")
