"""What this process tells of its surroundings: its version and roles, the certificates and the space that it uses."""

import asyncio
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NoReturn

import structlog
from cryptography import x509

from rtcc_bridge import __version__
from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.roles import Role
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import Settings, store_folder

_SECONDS_BETWEEN: Final = 15.0

_log = structlog.get_logger(__name__)


def add_surroundings(assembly: Assembly, roles: Collection[Role]) -> None:
    core = assembly.core
    core.metrics.build_info.labels(__version__).set(1)
    for role in roles:
        core.metrics.process_role.labels(role).set(1)
    surroundings = Surroundings(core.settings, core.metrics)
    assembly.add_part("surroundings", surroundings.keep_telling)


class Surroundings:
    """What is known of the files and volumes. Of one that can no longer be read the metric goes away, since an old date
    or an old size would look as if all were well; of one that never could, readiness or the next use says why."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._files = tuple(certificate_files(settings))
        self._volumes = tuple(volumes(settings))
        self._known: set[Path] = set()

    async def keep_telling(self) -> NoReturn:
        """Looks at them now and then, until it is cancelled: certificates are replaced in place."""
        while True:
            await asyncio.to_thread(self.tell)
            await asyncio.sleep(_SECONDS_BETWEEN)

    def tell(self) -> None:
        """Sets the metrics. Blocks."""
        for setting, file in self._files:
            expiry = self._metrics.certificate_expiry_timestamp_seconds
            try:
                certificates = x509.load_pem_x509_certificates(file.read_bytes())
            except (OSError, ValueError) as error:
                expiry.remove(setting)
                self._is_unknown(file, error)
                continue
            first = min(certificate.not_valid_after_utc for certificate in certificates)
            expiry.labels(setting).set(first.timestamp())
            self._known.add(file)
        for volume, folder in self._volumes:
            free, size = self._metrics.volume_free_bytes, self._metrics.volume_size_bytes
            try:
                usage = shutil.disk_usage(folder)
            except OSError as error:
                free.remove(volume)
                size.remove(volume)
                self._is_unknown(folder, error)
                continue
            free.labels(volume).set(usage.free)
            size.labels(volume).set(usage.total)
            self._known.add(folder)

    def _is_unknown(self, path: Path, error: Exception) -> None:
        """Logs that it is so from now on."""
        if path in self._known:
            _log.warning("can no longer be read: its metrics end", path=str(path), error=str(error))
            self._known.discard(path)


def certificate_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The files with certificates that this program shows or trusts, by the setting that names each.

    One that has expired in a file stops the next start, even beside one that holds, so each file has one date.
    """
    kafka = settings.kafka
    files = {
        "kafka.tls.certificate_file": kafka.tls.certificate_file,
        "kafka.tls.ca_file": kafka.tls.ca_file,
        "kafka.sasl.token.ca_file": kafka.sasl.token.ca_file,
        "database.tls_ca_file": settings.database.tls_ca_file,
        "objects.transit_ca_file": settings.objects.transit_ca_file,
        "tracing.ca_file": settings.tracing.ca_file,
        "matching.milvus.ca_file": settings.matching.milvus.ca_file,
        "identity.ca_file": settings.identity.ca_file,
    }
    return ((setting, file) for setting, file in files.items() if file is not None)


def volumes(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The folders in which the program keeps its data on this machine."""
    if settings.database.sqlite_file is not None:
        yield "database", settings.database.sqlite_file.parent
    for volume, url in (("objects", settings.objects.url), ("ledger", settings.objects.ledger_url)):
        if (folder := store_folder(url)) is not None:
            yield volume, folder
    yield "packs", settings.matching.packs_directory
    yield "journal", settings.audit.journal_folder
