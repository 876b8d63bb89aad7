"""Who is shown the master key of the galleries' templates, and where there has to be one (P30, decision 54)."""

from typing import Final

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.master_keys import MasterKeys, Withheld
from rtcc_bridge.storage.open_master_keys import load_gallery_keys

SETTING: Final = "objects.gallery_key_file"
_CAUSE: Final = "is not set: every process of this installation could open the galleries' templates (P30)"
_REMEDY: Final = (
    "Name a file with a key of their own for the role matcher and for commands on galleries (head -c 32 /dev/urandom | "
    "base64); then `rtcc-bridge keys rotate --gallery --no-new-key` wraps the templates of before anew"
)
_OF_THE_MATCHER: Final = "only the role matcher opens and seals them (P30)"


def needs_own_key(settings: Settings) -> bool:
    """Whether templates need a master key of their own: in production, but for SQLite, where one process does all."""
    return settings.profile == "production" and not settings.database.is_sqlite


def require_gallery_key(settings: Settings) -> None:
    """For who opens templates. Raises ConfigurationError where they need a key of their own and none is named."""
    if settings.objects.gallery_key_file is None and needs_own_key(settings):
        raise ConfigurationError(ConfigurationProblem(SETTING, _CAUSE, _REMEDY))


async def require_other_key(settings: Settings, gallery_keys: MasterKeys | None, master_keys: MasterKeys) -> None:
    """Raises ConfigurationError where the key of their own is the one that every process has, under another name."""
    if gallery_keys is None or not needs_own_key(settings):
        return
    if master_keys.opens(await gallery_keys.current_id()):
        cause = "names the master key of all objects, which every process has (P30)"
        raise ConfigurationError(ConfigurationProblem(SETTING, cause, _REMEDY))


def load_template_keys(settings: Settings, *, opens_templates: bool, may_create: bool) -> MasterKeys | Withheld | None:
    """What wraps templates in this process; None: the master keys of all objects. Blocks.

    opens_templates: False for a process without the role matcher. It may share its settings with one: the file is not
    read then, and need not be readable. A command gets on without the key as far as it touches no template, since an
    expungement takes effect without one. Raises ConfigurationError.
    """
    if not opens_templates:
        return Withheld(_OF_THE_MATCHER)
    if settings.objects.gallery_key_file is None and needs_own_key(settings):
        return Withheld(f"{SETTING} {_CAUSE}. {_REMEDY}")
    return load_gallery_keys(settings.objects, may_create=may_create)
