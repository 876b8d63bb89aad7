"""What keeps a gallery's templates instead of this process, where the settings name it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.gallery.template_service import TemplateService
from rtcc_bridge.milvus_settings import MilvusSettings

if TYPE_CHECKING:
    from rtcc_bridge.milvus.templates import MilvusTemplates


def template_service_problems(settings: MilvusSettings) -> Iterator[ConfigurationProblem]:
    """Why Milvus could not be asked from here. Without its address nothing is looked at, or imported."""
    if settings.uri is None:
        return
    try:
        _templates_class()
    except ModuleNotFoundError as error:
        yield ConfigurationProblem(
            "matching.milvus.uri",
            f"Milvus is wanted, and {error.name} is missing",
            "pip install 'rtcc-bridge[milvus]', or leave the address out",
        )
    if settings.ca_file is not None and not settings.ca_file.is_file():
        yield ConfigurationProblem("matching.milvus.ca_file", f"{settings.ca_file} is no file", "Name a PEM file")


def template_service_for(settings: MilvusSettings, gallery: str, pack: PackIdentity) -> TemplateService | None:
    """Connects to nothing yet. Raises ConfigurationError."""
    if problems := tuple(template_service_problems(settings)):
        raise ConfigurationError(*problems)
    return None if settings.uri is None else _templates_class()(settings, gallery, pack)


def template_service_version(settings: MilvusSettings) -> str:
    """Blocks. Raises UnavailableError when Milvus does not answer, ConfigurationError."""
    if problems := tuple(template_service_problems(settings)):
        raise ConfigurationError(*problems)
    from rtcc_bridge.milvus.client import Collection  # noqa: PLC0415 - its packages are an extra

    return Collection(settings, "", 1).connect()


def _templates_class() -> "type[MilvusTemplates]":
    from rtcc_bridge.milvus.templates import MilvusTemplates  # noqa: PLC0415 - its packages are an extra

    return MilvusTemplates
