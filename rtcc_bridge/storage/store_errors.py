"""The object store's errors in the program's own words."""

from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from rtcc_bridge.errors import NotFoundError, UnavailableError


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns an error of the store into NotFoundError or UnavailableError that begins with `what`."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{what}: it is not in the object store") from error
    except TimeoutError as error:
        raise UnavailableError(f"{what}: the object store does not answer") from error
    except (BaseError, OSError) as error:
        raise UnavailableError(f"{what}: {str(error).splitlines()[0]}") from error
