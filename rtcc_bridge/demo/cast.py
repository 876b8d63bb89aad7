"""Who is in the demo's gallery: the portrait among filler templates, or half of the user's own people."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.app.galleries import enroller_for
from rtcc_bridge.commands.console import ProgressBar
from rtcc_bridge.demo.checklist import CheckFailedError
from rtcc_bridge.demo.pictures import PORTRAIT_REF, FacesSplit, encode_png, portrait
from rtcc_bridge.demo.sealed_lists import is_enrolled
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.gallery.checked_rows import taken_from
from rtcc_bridge.gallery.identity import GalleryKind, normal_ref
from rtcc_bridge.gallery.receipts import EnrollReceipt, Progress
from rtcc_bridge.gallery.set_aside import SetAsideError
from rtcc_bridge.gallery.sources import ATTESTED, FolderSource, SourceRow
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.modelpacks.installed import require_calibration
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS

ACTOR = DEMO_ACCOUNTS["administrator"]
LAWFUL_BASIS = "Demonstration with public-domain or the user's own pictures"
FILLER_PROVENANCE = "Filler: drawn at random from the model pack's measured impostor distribution, nobody's face"


def _retain_until() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


class SplitSource:
    """The pictures of the people that are enrolled, without those that are kept back as probes."""

    def __init__(self, root: Path, split: FacesSplit) -> None:
        self._root = root
        self._split = split

    @property
    def root(self) -> Path:
        return self._root

    def count(self) -> int:
        return sum(len(person.enrolled) for person in self._split.enrolled)

    def rows(self) -> Iterator[SourceRow]:
        until = _retain_until().date().isoformat()
        for person in self._split.enrolled:
            for picture in person.enrolled:
                image = str(picture.relative_to(self._root))
                day = day_in_name(picture)
                words = ("The folder given as FACES", LAWFUL_BASIS, until, ATTESTED)
                yield SourceRow(image, person.reference, *words, day)


def day_in_name(picture: Path) -> str:
    """The day on which a picture was taken, where its name begins with it (`2019-05-30-front.jpg`); else empty."""
    try:
        return taken_from(picture.name[: len("2019-05-30")], datetime.now(UTC)).isoformat()
    except SetAsideError:
        return ""


async def enroll_portrait(
    core: Core, pack: ModelPack, gallery: str, folder: Path, bar: ProgressBar, fillers: int, seed: int
) -> None:
    """Enrols the one real portrait among the filler templates."""
    person = folder / PORTRAIT_REF
    person.mkdir(parents=True)
    (person / "portrait.png").write_bytes(encode_png(portrait()))
    source = FolderSource(
        folder,
        provenance="NASA portrait in the public domain, shipped by scikit-image",
        lawful_basis=LAWFUL_BASIS,
        retain_until=_retain_until().date().isoformat(),
        attested_adult=ATTESTED,
    )
    templates = require_calibration(pack).filler_templates(fillers, seed)
    async with enroller_for(core, pack) as enroller:
        receipt = await enroller.enroll(source, gallery, GalleryKind.DEMO, account=ACTOR)
        if receipt.enrolled != 1:
            raise CheckFailedError(f"the demo's own portrait was not enrolled: {dict(receipt.set_aside)}")
        await enroller.enroll_templates(
            gallery,
            GalleryKind.DEMO,
            [(templates, [f"filler-{number:06d}" for number in range(fillers)])],
            total=fillers,
            provenance=FILLER_PROVENANCE,
            lawful_basis=LAWFUL_BASIS,
            retain_until=_retain_until(),
            account=ACTOR,
            on_progress=_shown(bar, "enrolling filler templates"),
        )


async def enroll_faces(
    core: Core, pack: ModelPack, gallery: str, root: Path, split: FacesSplit, bar: ProgressBar
) -> tuple[EnrollReceipt, FacesSplit]:
    """Enrols half of the user's people.

    Returns the split as it came out: of the mated those are left that the gallery holds, under the references that it
    knows them by. Raises ConfigurationError when there is nobody.
    """
    on_progress = _shown(bar, "enrolling pictures")
    async with enroller_for(core, pack) as enroller:
        receipt = await enroller.enroll(
            SplitSource(root, split), gallery, GalleryKind.DEMO, account=ACTOR, on_progress=on_progress
        )
    mated = [
        replace(person, reference=normal_ref(person.reference))
        for person in split.mated
        if await is_enrolled(core, gallery, person.reference)
    ]
    if not mated:
        problem = ConfigurationProblem(
            str(root),
            "nobody who was enrolled has another picture to search with",
            "Give more people with two pictures or more, each of one face that is large and sharp enough",
        )
        raise ConfigurationError(problem)
    return receipt, replace(split, mated=tuple(mated))


def _shown(bar: ProgressBar, what: str) -> Callable[[Progress], None]:
    return lambda progress: bar(what, progress.done, progress.total)
