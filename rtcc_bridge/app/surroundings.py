"""What this process tells of its surroundings: its version and roles, the certificates and the space that it uses."""

import asyncio
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509

from rtcc_bridge import __version__
from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.roles import Role
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import Settings, store_folder

_SECONDS_BETWEEN: Final = 15.0


def add_surroundings(assembly: Assembly, roles: Collection[Role]) -> None:
    core = assembly.core
    core.metrics.build_info.labels(__version__).set(1)
    for role in roles:
        core.metrics.process_role.labels(role).set(1)
    assembly.add_part("surroundings", lambda: keep_telling(core.settings, core.metrics))


async def keep_telling(settings: Settings, metrics: Metrics) -> NoReturn:
    """Looks at the files and volumes now and then, until it is cancelled: certificates are replaced in place."""
    while True:
        await asyncio.to_thread(tell, settings, metrics)
        await asyncio.sleep(_SECONDS_BETWEEN)


def tell(settings: Settings, metrics: Metrics) -> None:
    """Sets the metrics. Blocks. Of what cannot be read nothing is told, and readiness or the next use says why."""
    for setting, file in certificate_files(settings):
        try:
            certificates = x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError):
            continue
        first = min(certificate.not_valid_after_utc for certificate in certificates)
        metrics.certificate_expiry_timestamp_seconds.labels(setting).set(first.timestamp())
    for volume, folder in volumes(settings):
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        metrics.volume_free_bytes.labels(volume).set(usage.free)
        metrics.volume_size_bytes.labels(volume).set(usage.total)


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
