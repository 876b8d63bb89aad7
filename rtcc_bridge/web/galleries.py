"""Galleries: what each holds, where it comes from, and taking somebody out for good. The desks ask every gate."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.gallery.receipts import ExpungeReceipt
from rtcc_bridge.gallery.sent_pictures import SentPictureDesk
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.storage.galleries import GalleryRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.gallery_pictures import state_of
from rtcc_bridge.web.operations import Answer, Body, Handler, Operation, WireModel, answer, read_json
from rtcc_bridge.web.oversight_words import GALLERY_KINDS, sent_picture_words
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page


class GalleryGlanceView(WireModel):
    """A gallery, and how far it is. Matchers follow its newest version, and stop when they cannot confirm it (P25)."""

    name: str
    kind: str
    version: int
    model_pack: str
    images: int = Field(description="Images that are searched.")
    removals_without_second_receipt: int = Field(description="A template may still lie in a sealed segment.")


class Galleries(WireModel):
    """All galleries by name."""

    items: tuple[GalleryGlanceView, ...]


class ExpungeRequest(WireModel):
    """Who is removed, and why."""

    person: str = Field(min_length=1, max_length=256, description="The agency's own reference.")
    reason: str = Field(min_length=1, max_length=256, description="It stays in the audit log: no name belongs there.")


class ExpungeReceiptView(WireModel):
    """The first receipt. From `removed_at` on nobody finds the person; the second one tells when the bytes are gone."""

    gallery: str
    version: int
    images_removed: int
    leads_withdrawn: int
    removed_at: AwareDatetime
    audit_leaf: str = Field(description="The hash of the entry in the audit log, which a proof is asked for with.")


async def galleries_page(request: web.Request) -> web.Response:
    """`/gallery`: every gallery."""
    services = services_of(request)
    position = services.feed.position or 0
    found = await services.galleries.every(request[ACCOUNT])
    return page(request, "galleries.html", feed_position=position, found=found, kinds=GALLERY_KINDS)


async def gallery_page(request: web.Request) -> web.Response:
    """`/gallery/{gallery}`: what it holds, what was enrolled and what was removed."""
    services, account = services_of(request), request[ACCOUNT]
    position = services.feed.position or 0
    found = await services.galleries.one(account, request.match_info["gallery"])
    may_enroll = may(account, Deed.ENROLL_PICTURES)
    sent = await services.sent_pictures.newest(account, found.gallery.name) if may_enroll else ()
    return page(
        request,
        "gallery.html",
        may_enroll=may_enroll,
        no_pictures=await _why_closed(services.sent_pictures, found.gallery) if may_enroll else None,
        sent=[(one, state_of(one), sent_picture_words(one)) for one in sent],
        most_bytes=services.settings.intake.max_upload_bytes,
        feed_position=position,
        found=found,
        kinds=GALLERY_KINDS,
        may_expunge=may(account, Deed.EXPUNGE),
        is_searched=found.gallery.name == services.settings.matching.gallery,
    )


async def list_galleries(request: web.Request) -> web.Response:
    found = await services_of(request).galleries.every(request[ACCOUNT])
    items = tuple(
        GalleryGlanceView(
            name=one.gallery.name,
            kind=one.gallery.kind,
            version=one.gallery.version,
            model_pack=one.gallery.pack_name,
            images=one.images,
            removals_without_second_receipt=one.waiting,
        )
        for one in found
    )
    return answer(Galleries(items=items))


async def expunge(request: web.Request) -> web.Response:
    """The web holds no key of templates, so the relay takes them out of the segments: the second receipt says when."""
    wanted, gallery = await read_json(request, ExpungeRequest), request.match_info["gallery"]
    expunger = services_of(request).expunger
    receipt = await expunger.expunge_subject(gallery, wanted.person, wanted.reason, request[ACCOUNT], scrubs=False)
    return answer(_receipt_view(receipt))


async def _why_closed(desk: SentPictureDesk, gallery: GalleryRecord) -> PolicyRefusalError | ConflictError | None:
    """Why no page adds to the gallery."""
    try:
        await desk.require_open(gallery)
    except (PolicyRefusalError, ConflictError) as refusal:
        return refusal
    return None


def _receipt_view(receipt: ExpungeReceipt) -> ExpungeReceiptView:
    return ExpungeReceiptView(
        gallery=receipt.gallery,
        version=receipt.version,
        images_removed=receipt.images_removed,
        leads_withdrawn=receipt.leads_withdrawn,
        removed_at=receipt.removed_at,
        audit_leaf=receipt.audit_leaf,
    )


GALLERY_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/gallery", galleries_page),
    ("GET", "/gallery/{gallery}", gallery_page),
)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/galleries",
        handler=list_galleries,
        name="listGalleries",
        summary="Every gallery with its version and how many images are searched",
        tag="galleries",
        answers=(Answer("By name.", Galleries),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/galleries/{gallery}/expunge",
        handler=expunge,
        name="expungePerson",
        summary="Remove a person from a gallery for good, at once (P25); their live leads are withdrawn",
        tag="galleries",
        body=Body(ExpungeRequest),
        answers=(Answer("The first receipt.", ExpungeReceiptView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
)
