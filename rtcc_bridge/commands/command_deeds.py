"""Every command and the deed that it takes (P10): the one table. What is not in it is refused.

Whoever may read the settings acts as the administrator: nobody signs in at a command line, and the audit entry names
the user of the machine beside that. What takes a second person takes one who has signed in (P30).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import click

from rtcc_bridge.commands.options import OPERATOR
from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.permissions import Deed, require_permission

COMMAND_DEEDS: Final[Mapping[str, Deed]] = MappingProxyType(
    {
        "serve": Deed.LOOK_AFTER_INSTALLATION,
        "demo": Deed.LOOK_AFTER_INSTALLATION,
        "check-config": Deed.LOOK_AFTER_INSTALLATION,
        "db upgrade": Deed.LOOK_AFTER_INSTALLATION,
        "simulate": Deed.LOOK_AFTER_INSTALLATION,
        "topics create": Deed.LOOK_AFTER_INSTALLATION,
        "topics check": Deed.LOOK_AFTER_INSTALLATION,
        "topics acls": Deed.LOOK_AFTER_INSTALLATION,
        "topics pauses": Deed.LOOK_AFTER_INSTALLATION,
        "topics resume": Deed.RESUME_TOPIC,
        "dead-letters list": Deed.REPLAY_DEAD_LETTERS,
        "dead-letters count": Deed.REPLAY_DEAD_LETTERS,
        "dead-letters inspect": Deed.REPLAY_DEAD_LETTERS,
        "dead-letters replay": Deed.REPLAY_DEAD_LETTERS,
        "backup": Deed.MAKE_BACKUP,
        "restore": Deed.RESTORE_BACKUP,
        "keys status": Deed.ROTATE_KEYS,
        "keys rotate": Deed.ROTATE_KEYS,
        "keys sweep": Deed.LOOK_AFTER_INSTALLATION,
        "models list": Deed.LOOK_AFTER_INSTALLATION,
        "models add": Deed.QUALIFY_MODEL,
        "models calibrate": Deed.QUALIFY_MODEL,
        "models sign": Deed.QUALIFY_MODEL,
        "models verify": Deed.LOOK_AFTER_INSTALLATION,
        "evaluate": Deed.QUALIFY_MODEL,
        "policy sign": Deed.SIGN_POLICY,
        "policy verify": Deed.READ_DOCUMENTS,
        "policy diff": Deed.SIGN_POLICY,
        "gallery enroll": Deed.ENROLL_PICTURES,
        "gallery expunge": Deed.EXPUNGE,
        "gallery expire": Deed.EXPIRE_PICTURES,
        "gallery stats": Deed.LOOK_AFTER_INSTALLATION,
        "gallery verify": Deed.LOOK_AFTER_INSTALLATION,
        "gallery export": Deed.EXPORT_GALLERY,
        "gallery repeat": Deed.REPEAT_SEARCH,
        "audit head": Deed.EXPORT_AUDIT_LOG,
        "audit export": Deed.EXPORT_AUDIT_LOG,
        "audit verify": Deed.READ_DOCUMENTS,
        "audit prove": Deed.EXPORT_AUDIT_LOG,
        "audit receipt": Deed.EXPORT_AUDIT_LOG,
        "users add": Deed.MANAGE_ACCOUNTS,
        "users list": Deed.MANAGE_ACCOUNTS,
        "users disable": Deed.MANAGE_ACCOUNTS,
        "users password": Deed.MANAGE_ACCOUNTS,
        "tokens create": Deed.MANAGE_TOKENS,
        "tokens list": Deed.MANAGE_TOKENS,
        "tokens revoke": Deed.MANAGE_TOKENS,
        "retention preview": Deed.SEE_RETENTION,
        "retention run": Deed.PURGE,
        "retention hold": Deed.PLACE_HOLD,
        "retention release-hold": Deed.LIFT_HOLD,
        "retention holds": Deed.SEE_RETENTION,
        "retention dispose": Deed.RECORD_DISPOSITION,
        "retention receipts": Deed.SEE_RETENTION,
        "report transparency": Deed.MAKE_TRANSPARENCY_REPORT,
        "report discovery": Deed.MAKE_DISCOVERY_PACKET,
        "report access-log": Deed.MAKE_ACCESS_LOG,
        "report misuse": Deed.SEE_MISUSE_SIGNALS,
    }
)
"""By the words after `rtcc-bridge`."""


def require_operator() -> None:
    """P10: raises PolicyRefusalError when the command that is run is in no table, or the operator may not run it."""
    context = click.get_current_context()
    name = " ".join(reversed([word for word in _words(context) if word]))
    deed = COMMAND_DEEDS.get(name)
    if deed is None:
        raise PolicyRefusalError("P10", f"`{name}` stands in no table of permissions: nobody may run it.")
    require_permission(OPERATOR, deed)


def _words(context: click.Context) -> Iterator[str]:
    """The command's own name first; the program's is none of them."""
    step: click.Context | None = context
    while step is not None and step.parent is not None:
        yield step.info_name or ""
        step = step.parent
