"""Discovery packets (P20): everything of one lead, or of every search of one case, in one ZIP that stands alone."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rtcc_bridge.audit.commitments import Name, NameKind
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.leads import ledger
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.leads.lead import ENDED
from rtcc_bridge.leads.ledger import ReceiverKind
from rtcc_bridge.policy import case_numbers
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.reasons import stated_words
from rtcc_bridge.probes.steps import names_of
from rtcc_bridge.reports.disclosure_orders import require_order
from rtcc_bridge.reports.packet_archive import FORMAT, Packet, archive
from rtcc_bridge.reports.packet_builder import PacketBuilder, as_json
from rtcc_bridge.reports.packet_readme import readme
from rtcc_bridge.reports.packet_sources import PacketSources, require_named
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.whole_lead import WholeLead, find_lead, gather, searches_of_case
from rtcc_bridge.storage import outside_receivers, probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.orders import DISCLOSURE_ORDERS, DisclosureOrderRecord
from rtcc_bridge.storage.outside_receivers import OutsideReceiverRecord
from rtcc_bridge.storage.probes import ProbeRecord

ACTION: Final = "lead.discovery_packet"
MAX_NAME_CHARACTERS: Final = 256
_TOLD_BY_PACKET: Final = "The packet says that the lead had ended."


@dataclass(frozen=True, slots=True)
class HandedTo:
    """Whom a packet is handed to. name: the person's, or the reference of their matter there."""

    office: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketOrder:
    """Why a packet is made, and for whom: they enter the ledger of its leads' receivers (P19).

    disclosure: the order of two people by which every candidate is identified (P17); without one those are who were
    released. policies: kept policy files, for leads that were made under another one than that in place.
    """

    reason: str
    handed_to: HandedTo
    disclosure: str | None = None
    policies: tuple[Path, ...] = ()


class DiscoveryDesk:
    """Where packets are made. Nowhere else do score, rank and the person behind a reference stand in one place."""

    def __init__(
        self,
        parts: ReportParts,
        vault: ObjectVault,
        workers: PictureReader,
        sources: PacketSources,
        load_key: Callable[[], Ed25519PrivateKey],
    ) -> None:
        """load_key: reads the key that signs; blocks; raises ConfigurationError."""
        self._parts = parts
        self._vault = vault
        self._workers = workers
        self._sources = sources
        self._load_key = load_key

    async def of_lead(self, account: Account, lead_id: str, order: PacketOrder) -> Packet:
        """The packet of one lead. An entry in the audit log names its manifest before anybody has it.

        Raises PolicyRefusalError (P10; P12: an analyst, or its examiners have not concluded; P17: the order for more is
        not good for it), NotFoundError, InvalidInputError (no reason, for nobody; a policy that it was not made under),
        ConfigurationError (no key), UnavailableError, BusyError.
        """
        async with self._parts.watching(account, ACTION, lead_id):
            require_permission(account, Deed.MAKE_DISCOVERY_PACKET)
            require_never_examines(account)
            lead = await find_lead(self._parts.database, lead_id)
            return await self._make(account, f"discovery-lead-{lead_id}", [lead], [], order)

    async def of_case(self, account: Account, case_number: str, order: PacketOrder) -> Packet:
        """The packet of every search of one case. Stills without a lead are told, without their pictures.

        Raises as `of_lead` does, and NotFoundError when the case has no lead.
        """
        async with self._parts.watching(account, ACTION, "case"):
            require_permission(account, Deed.MAKE_DISCOVERY_PACKET)
            require_never_examines(account)
            async with self._parts.database.read() as tx:
                found = await searches_of_case(tx, case_numbers.case_number(case_number))
            with_lead = [lead for _, lead in found if lead is not None]
            if not with_lead:
                raise NotFoundError("No lead belongs to this case.")
            without = [probe for probe, lead in found if lead is None]
            name = f"discovery-case-{self._parts.clock.now():%Y%m%dT%H%M%SZ}"  # not its number: that is no file's name
            return await self._make(account, name, with_lead, without, order)

    async def _make(
        self,
        account: Account,
        name: str,
        found: Sequence[LeadRecord],
        without_lead: Sequence[ProbeRecord],
        wanted: PacketOrder,
    ) -> Packet:
        wanted = _stated(wanted)
        parts, made_at = self._parts, self._parts.clock.now()
        order = await self._order(wanted, found, made_at)
        named = frozenset[str]() if order is None else frozenset(order.lead_ids)
        await asyncio.to_thread(require_named, wanted.policies, {str(lead.data["policyHash"]) for lead in found})
        key = await asyncio.to_thread(self._load_key)
        builder = PacketBuilder(parts.database, self._vault, self._workers, self._sources, wanted.policies, made_at)
        whole, index, receivers = [], [], []
        for number, lead in enumerate(found, start=1):
            one = await gather(parts.database, self._vault, lead.lead_id, identify_all=lead.lead_id in named)
            receivers.append(_receiver(one.lead, wanted.handed_to, account, made_at))
            one = replace(one, receivers=(*one.receivers, ledger.receiver(receivers[-1])))
            whole.append(one)
            index.append({"folder": f"lead-{number}", **await builder.add_lead(f"lead-{number}", one)})
        await builder.add_log_key()
        files, missing = builder.contents.files, tuple(builder.contents.missing)
        files["packet.json"] = as_json(
            {
                "format": FORMAT,
                "name": name,
                "madeAt": rfc3339(made_at),
                "madeBy": account.name,
                "handedTo": asdict(wanted.handed_to),
                "reason": wanted.reason,
                **_ordered(order),
                "missing": list(missing),
                "leads": index,
                "stillsWithoutALead": [_without_lead(probe) for probe in without_lead],
            }
        )
        identified = [str(one["folder"]) for one in index if one["leadId"] in named]
        receiver = f"{wanted.handed_to.name}, {wanted.handed_to.office}"
        files["README.txt"] = readme(
            name, made_at, account.name, receiver, missing, identified=identified, leads=len(whole)
        )
        packet = await asyncio.to_thread(archive, name, files, key, made_at, missing)
        await parts.audit.prepare(_name_of(wanted.handed_to))
        await self._note(account, whole, receivers, packet, wanted, order)
        return packet

    async def _order(
        self, wanted: PacketOrder, found: Sequence[LeadRecord], now: datetime
    ) -> DisclosureOrderRecord | None:
        if wanted.disclosure is None:
            return None
        async with self._parts.database.read() as tx:
            return await require_order(tx, wanted.disclosure, {lead.lead_id for lead in found}, now)

    async def _note(
        self,
        account: Account,
        whole: Sequence[WholeLead],
        receivers: Sequence[OutsideReceiverRecord],
        packet: Packet,
        wanted: PacketOrder,
        order: DisclosureOrderRecord | None,
    ) -> None:
        """An entry for each lead, so that its receipts, and the access logs of people on it, tell of the packet.

        Whom it is handed to is in each lead's ledger from this moment on. The order is used up with it: of two packets
        that are made by one at a time, one is had.
        """
        common: dict[str, Any] = {
            "manifestSha256": packet.manifest_sha256,
            "leads": len(whole),
            "reason": wanted.reason,
            "handedTo": {"office": wanted.handed_to.office},  # the name is a commitment, as all names are
        }
        async with self._parts.database.write() as tx:
            if order is not None:
                now = self._parts.clock.now()
                await require_order(tx, order.order_id, {one.lead.lead_id for one in whole}, now, lock=True)
                await DISCLOSURE_ORDERS.use(tx, order.order_id, now)
            await outside_receivers.add_all(tx, await _entered(tx, whole, receivers))
            for one, receiver in zip(whole, receivers, strict=True):
                by_order = order if order is not None and one.lead.lead_id in order.lead_ids else None
                identified = "released" if by_order is None else "all"
                details = {**common, "receiver": receiver.receiver_id, "identified": identified, **_ordered(by_order)}
                names = names_of(case_number=one.probe.case_number, requestor=one.probe.requestor)
                names["receiver"] = _name_of(wanted.handed_to)
                await self._parts.note(tx, account, ACTION, one.lead.lead_id, "made", details, names)


def _stated(wanted: PacketOrder) -> PacketOrder:
    """Raises InvalidInputError when it does not say why, or for whom."""
    office, name = (" ".join(text.split()) for text in (wanted.handed_to.office, wanted.handed_to.name))  # one line
    handed_to = HandedTo(
        stated_words(office, "to which office the packet is handed", MAX_NAME_CHARACTERS),
        stated_words(name, "to whom it is handed there, or for which matter", MAX_NAME_CHARACTERS),
    )
    return replace(wanted, reason=stated_words(wanted.reason, "why the packet is made"), handed_to=handed_to)


def _receiver(lead: LeadRecord, handed_to: HandedTo, account: Account, made_at: datetime) -> OutsideReceiverRecord:
    """Of a lead that has ended the packet itself tells that: nobody has to be told once more."""
    told = lead.review_state in ENDED
    return OutsideReceiverRecord(
        receiver_id=secrets.token_urlsafe(16),
        lead_id=lead.lead_id,
        kind=ReceiverKind.PACKET.value,
        office=handed_to.office,
        name=handed_to.name,
        handed_over_by=account.person,
        received_at=made_at,
        withdrawal_acknowledged_at=made_at if told else None,
        acknowledged_by=account.person if told else None,
        told_at=made_at if told else None,
        told_how=_TOLD_BY_PACKET if told else None,
    )


async def _entered(
    tx: Transaction, whole: Sequence[WholeLead], receivers: Sequence[OutsideReceiverRecord]
) -> Sequence[OutsideReceiverRecord]:
    """As the ledger takes them: without words where the search is purged by now, since no purge would take them out
    again (P24), nor is anybody told of the lead's end any more.
    """
    entered = []
    for one, receiver in sorted(zip(whole, receivers, strict=True), key=lambda pair: pair[0].probe.probe_id):
        probe = await probes.find(tx, one.probe.probe_id, lock=True)
        is_kept = probe is not None and probe.purged_at is None
        entered.append(receiver if is_kept else replace(receiver, office="", name=""))
    return entered


def _name_of(handed_to: HandedTo) -> Name:
    return Name(NameKind.PERSON, handed_to.name)


def _ordered(order: DisclosureOrderRecord | None) -> dict[str, Any]:
    """On what, and by whom, more is named than was released."""
    if order is None:
        return {"courtOrder": None, "disclosureOrder": None}
    people = {"askedBy": order.asked_by, "approvedBy": order.approved_by}
    return {"courtOrder": order.court_order, "disclosureOrder": {"order": order.order_id, **people}}


def _without_lead(probe: ProbeRecord) -> dict[str, Any]:
    return {
        "probeId": probe.probe_id,
        "state": probe.state,
        "why": probe.state_reason,
        "purpose": probe.purpose,
        "analyst": probe.analyst,
        "attachedAt": rfc3339(probe.created_at),
        "originalSha256": probe.original_sha256,
    }
