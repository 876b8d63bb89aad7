"""Opens an object store by its address."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.settings import store_folder
from rtcc_bridge.storage.durability import sync_to_disk
from rtcc_bridge.storage.store_marker import mark_if_new

if TYPE_CHECKING:
    from obstore.store import ObjectStore


def open_store(url: str, setting: str, timeout_seconds: float) -> "ObjectStore":
    """setting: which one names the address. Blocks. Raises ConfigurationError, UnavailableError."""
    if (folder := store_folder(url)) is not None:
        return _open_folder(folder, setting)
    # Client options given here replace those of the environment, where a site with its own store allows plain HTTP.
    allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"}
    options: dict[str, Any] = {
        "client_options": {"timeout": timedelta(seconds=timeout_seconds), "allow_http": allow_http},
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=timeout_seconds)},
    }
    try:
        return from_url(url, **options)
    except (BaseError, ValueError) as error:
        cause = f"no object store can be opened there ({str(error).splitlines()[0]})"
        problem = ConfigurationProblem(setting, cause, "Use file:///folder or s3://bucket/prefix")
        raise ConfigurationError(problem) from error


def _open_folder(root: Path, setting: str) -> LocalStore:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (marker := mark_if_new(root)) is not None:
            sync_to_disk(marker)
        return LocalStore(root)
    except OSError as error:
        cause = f"the folder {root} cannot be used ({error.strerror})"
        problem = ConfigurationProblem(setting, cause, "Name a folder that this user may write to, or let it")
        raise ConfigurationError(problem) from error
    except (BaseError, ValueError) as error:
        raise UnavailableError(f"the folder {root} of the object store cannot be used: {error}") from error
