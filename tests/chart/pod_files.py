"""Gives a rendered container's settings the files and the environment that its pod would have, in a folder.

What stands in Secrets and in ConfigMaps of the site is made up here; everything else is what the chart rendered.
"""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.chart.rendering import ROOT, Document, Rendered, component_of, container_of, pod_of, sources_of
from tests.kafka_cluster.certificates import TestAuthority
from tests.unit.qualification.packs import paper_pack

AGENCY_PACK: Final = "PACK"
"""What values-production.yaml calls it."""
DATABASE_URL: Final = "postgresql+asyncpg://rtcc:of-the-test@database.example.org/rtcc"


class Site:
    """What the site has put into its Secrets and ConfigMaps, made when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._authority = TestAuthority(folder)
        self._client = self._authority.issue("client")
        self._authority_key = Ed25519PrivateKey.generate()

    def text(self, key: str) -> str:
        made: Mapping[str, Callable[[], str]] = {
            "database-url": lambda: DATABASE_URL,
            "master-key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
            "authority-key": lambda: _pem(self._authority_key, public=False),
            "authority-public-keys": lambda: _pem(self._authority_key, public=True),
            "audit-signing-key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
            "gallery-key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
            "packet-signing-key": lambda: _pem(Ed25519PrivateKey.generate(), public=False),
            "evaluation-public-key": lambda: _pem(Ed25519PrivateKey.generate(), public=True),
            "roster.csv": lambda: "account,begins,ends\n",
            "policy.yaml": lambda: (ROOT / "config/policy.yaml").read_text(encoding="utf-8"),
            "ca.crt": lambda: self._authority.ca_file.read_text(encoding="ascii"),
            "tls.crt": lambda: self._client.read_text(encoding="ascii"),
            "tls.key": lambda: self._client.read_text(encoding="ascii"),
        }
        return made.get(key, lambda: f"secret-of-{key}")()


def _pem(key: Ed25519PrivateKey, *, public: bool) -> str:
    if public:
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass(frozen=True)
class PodFiles:
    """settings: the file that the container's RTCC_BRIDGE_CONFIG names. mounts: mount paths and where they lie here."""

    settings: Path
    environment: Mapping[str, str]
    mounts: Mapping[str, Path]


def lay_out(rendered: Rendered, workload: Document, site: Site, root: Path) -> PodFiles:
    """Writes what the pod of this workload would find, with the rights that the kubelet gives it."""
    mounts = {
        mount["mountPath"]: root / mount["mountPath"].lstrip("/") for mount in container_of(workload)["volumeMounts"]
    }
    for folder in mounts.values():
        folder.mkdir(parents=True)
    modes = {
        mount["mountPath"]: volume["projected"]["defaultMode"]
        for volume in pod_of(workload)["spec"]["volumes"]
        for mount in container_of(workload)["volumeMounts"]
        if "projected" in volume and volume["name"] == mount["name"]
    }
    for mount_path, source in sources_of(workload):
        for path, text in _files_of(rendered, source, site):
            file = mounts[mount_path] / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(_leading_into(mounts, text), encoding="utf-8")
            _as_mounted(file, modes[mount_path])
    if (packs := mounts.get("/var/lib/rtcc-bridge/packs")) is not None:
        paper_pack(packs / AGENCY_PACK, AGENCY_PACK)
    environment = {one["name"]: _value_of(one, site) for one in container_of(workload)["env"]}
    settings = root / environment["RTCC_BRIDGE_CONFIG"].lstrip("/")
    assert settings.is_file(), f"{component_of(workload)} has no settings file"
    return PodFiles(settings, environment | {"RTCC_BRIDGE_CONFIG": str(settings)}, mounts)


def _leading_into(mounts: Mapping[str, Path], text: str) -> str:
    """The settings with their paths in the folder; one that no mount begins stays what it is."""
    old = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    path = re.compile(rf"(?P<before> |file://|sqlite\+aiosqlite:///)(?P<mount>{old})(?=[/\s])")
    return path.sub(lambda found: f"{found['before']}{mounts[found['mount']]}", text)


def _files_of(rendered: Rendered, source: Document, site: Site) -> list[tuple[str, str]]:
    reference: Document = source.get("configMap") or source["secret"]
    data: dict[str, str] = {}
    for one in rendered.of_kind("ConfigMap"):
        if one["metadata"]["name"] == reference["name"]:
            data = one["data"]
    if "items" in reference:
        return [(item["path"], data.get(item["key"]) or site.text(item["key"])) for item in reference["items"]]
    return list(data.items())


def _as_mounted(file: Path, mode: int) -> None:
    """The files of such a volume belong to root, and to the pod's group; the process is somebody else."""
    if os.geteuid() == 0:
        os.chown(file, 1, 1)
        file.chmod(mode)
    else:
        file.chmod(mode & 0o400)


def _value_of(entry: Document, site: Site) -> str:
    if "value" in entry:
        value: str = entry["value"]
        return value
    return site.text(entry["valueFrom"]["secretKeyRef"]["key"])
