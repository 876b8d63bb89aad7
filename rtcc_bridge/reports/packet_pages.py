"""The packet for people: one page with pictures, and the same as plain text, both out of the facts. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from textwrap import wrap
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from rtcc_bridge.leads.lead import ENDED
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.reports.purpose_words import PURPOSE_WORDS

_WIDTH: Final = 100
_MASKED: Final = (
    "Faces that were not chosen are masked in every copy but the sealed original, which the agency keeps: the sha256 "
    "tells it from any other file."
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page: sentences, rows, and pictures with what they show. The first row is the head of the others;
    an empty one says that each row is a name and a value."""

    title: str
    sentences: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[tuple[str, str]] = ()


def parts_of(facts: Mapping[str, Any], missing: Sequence[str]) -> list[Part]:
    """In the order in which a lawyer reads. missing: what could not be put into the packet any more."""
    return [
        Part("What this is, and is not", [*_ended(facts), facts["notice"], *facts["limits"]]),
        *([Part("What is missing", missing)] if missing else []),
        Part("The request", rows=_pairs(_request(facts))),
        Part("The still", _still_sentences(facts), _pairs(_still(facts)), _still_pictures(facts)),
        Part("The search", _search_sentences(facts), _pairs(_search(facts))),
        Part("Every candidate considered", _candidate_sentences(facts), _candidates(facts), _candidate_pictures(facts)),
        *(_examination(one) for one in facts["examinations"]),
        Part("Release", *_release(facts)),
        Part("Who else has had it", *_outside(facts)),
        Part("What independent evidence said", *_outcomes(facts)),
        Part(
            "Everything that was done, out of the audit log",
            ["Each line is an entry of the log. The files in audit/ prove that the log holds them."],
            [
                ("at", "account", "what", "outcome", "reason"),
                *(
                    (one["at"], one["account"], one["action"], one["outcome"], one["reason"] or "")
                    for one in facts["timeline"]
                ),
            ],
        ),
    ]


def page(name: str, made_at: datetime, parts: Sequence[Part]) -> str:
    """One HTML file; its pictures lie beside it."""
    environment = Environment(
        loader=PackageLoader("rtcc_bridge.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("packet.html").render(name=name, made_at=made_at, parts=parts)


def plain_text(name: str, made_at: datetime, parts: Sequence[Part]) -> str:
    lines = [name, f"made {made_at:%Y-%m-%d %H:%M} UTC", ""]
    for part in parts:
        lines += [part.title.upper(), ""]
        for sentence in part.sentences:
            lines += wrap(sentence, _WIDTH, break_long_words=False)
        head, *rows = part.rows or [()]
        for row in rows:
            cells = (
                [f"{name}: {cell}" for name, cell in zip(head, row, strict=True) if cell] if head else [": ".join(row)]
            )
            lines += wrap("; ".join(cells), _WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False)
        lines += [f"- {words}: {file}" for file, words in part.pictures]
        lines.append("")
    return "\n".join(lines)


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [(), *((name, str(value)) for name, value in values.items() if value not in {None, ""})]


def _request(facts: Mapping[str, Any]) -> dict[str, Any]:
    request, approval = facts["request"], facts["approval"]
    return {
        "lead": facts["leadId"],
        "incident": request["incidentId"],
        "case": request["caseNumber"],
        "purpose": PURPOSE_WORDS[Purpose(request["purpose"])],
        "legal basis": request["legalBasis"],
        "warrant or exigency": request["warrantOrExigency"],
        "analyst who attached the still": request["analyst"],
        "requestor": request["requestor"],
        "attached at": request["attachedAt"],
        "approval": approval["state"],
        "approved by": approval["by"],
        "approved at": approval["at"],
        "the approval was to follow by": approval["deferredUntil"],
        "result": facts["result"],
        "state": facts["reviewState"],
        "exercise": "yes, no actual event" if facts["exercise"] else None,
        "policy (sha256)": facts["policyHash"],
    }


def _still(facts: Mapping[str, Any]) -> dict[str, Any]:
    still = facts["still"]
    edits = "; ".join(", ".join(f"{key} {value}" for key, value in step.items()) for step in still["edits"])
    return {
        "sha256 of the original": still["originalSha256"],
        **_cut_from(still["cutFrom"]),
        "size": f"{still['width']} x {still['height']} pixels",
        "edits, in their order": edits or "none",
        "faces found": len(still["faces"]),
        "face chosen": still["chosenFace"],
        "chosen at": still["chosenAt"],
    }


def _cut_from(cut: Mapping[str, Any] | None) -> dict[str, Any]:
    """Which frame of which clip the original was; nothing for a picture that was attached as one."""
    if cut is None:
        return {}
    across, down = cut["pixelAspect"]
    return {
        "the original is a frame of a clip": f"frame {cut['frame']}, at {cut['milliseconds'] / 1000:.3f} s",
        "sha256 of the clip": cut["clipSha256"],
        "container and codec of the clip": f"{cut['container']}, {cut['codec']}",
        "turned upright by": f"{cut['rotation']} degrees clockwise",
        "pixels of the clip": "square" if across == down else f"{across}:{down}, made square",
    }


def _still_sentences(facts: Mapping[str, Any]) -> list[str]:
    chosen = facts["still"]["chosenFace"]
    quality = [
        sentence
        for one in facts["still"]["faces"]
        if chosen is None or one["number"] == chosen
        for sentence in one["quality"]["sentences"]
    ]
    return [
        _MASKED,
        *quality,
    ]


def _still_pictures(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    words = {
        "pictures/still.jpg": "the still after its edits, the other faces masked",
        "pictures/face-searched.png": "the very pixels that were searched",
    }
    return [(file, words[file]) for file in facts["still"]["files"]]


def _search(facts: Mapping[str, Any]) -> dict[str, Any]:
    search, model = facts["search"] or {}, facts["model"] or {}
    return {
        "gallery": search.get("gallery"),
        "version of the gallery": search.get("galleryVersion"),
        "people and pictures compared": search.get("gallerySize"),
        "model pack": search.get("modelPack"),
        "model pack (sha256)": search.get("modelHash"),
        "model version": model.get("version"),
        "calibration (sha256)": model.get("calibrationSha256"),
        "evaluation (sha256)": model.get("evaluationSha256"),
        "longest list": search.get("listLength"),
    }


def _search_sentences(facts: Mapping[str, Any]) -> list[str]:
    if facts["search"] is None:
        return ["Nothing was searched: the picture was too poor, or damaged."]
    estimate = facts["search"]["estimatedFpir"]
    value, low, high = (f"{100 * estimate[name]:.3g}" for name in ("value", "low", "high"))
    said = (
        f"Of 100 searches for people who are not in a gallery of this size about {value} list somebody all the same, "
        f"by the model's calibration (95 % interval {low} to {high})."
    )
    return [said]


def _candidate_sentences(facts: Mapping[str, Any]) -> list[str]:
    hidden = sum(one["person"] is None and not one["removedFromGallerySince"] for one in facts["candidates"])
    said = ["By rank: the model's own order, which no examiner saw before the conclusion."]
    if hidden:
        said.append(
            f"{hidden} of them were not released to anybody. Who they are, and their pictures, is told by a packet "
            "that an order of the court asks for."
        )
    return said if facts["candidates"] else ["The search listed nobody, or the list is kept no longer."]


def _candidates(facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        ("rank", "similarity score", "pictures", "released", "the agency's reference"),
        *(
            (
                str(one["rank"]),
                f"{one['similarityScore']:.4f}",
                str(one["picturesCompared"]),
                "yes" if one["released"] else "",
                "removed from the gallery since" if one["removedFromGallerySince"] else one["person"] or "not told",
            )
            for one in facts["candidates"]
        ),
    ]


def _candidate_pictures(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (file, f"candidate {one['number']}, {_taken(one['picturesTakenOn'][file])}")
        for one in facts["candidates"]
        for file in one["pictures"]
    ]


def _taken(day: str | None) -> str:
    return "date not known" if day is None else f"taken on {day}"


def _examination(one: Mapping[str, Any]) -> Part:
    if not one["conclusions"]:
        return Part(f"Round {one['round']}: {one['part']}", ["Not concluded: the lead ended before."])
    said = [f"By {one['examiner']}, taken {one['takenAt']}, concluded {one['concludedAt']}."]
    if one["file"]:
        said.append(
            f"Filed as {one['file']}, whose sha256 stood in the audit log (examination.conclude) from that moment on, "
            "before anybody else knew of it."
        )
    rows = [("candidate", "conclusion", "how", "what was seen"), *(_conclusion(row) for row in one["conclusions"])]
    return Part(f"Round {one['round']}: {one['part']}", said, rows)


def _conclusion(row: Mapping[str, Any]) -> tuple[str, ...]:
    seen = "; ".join(
        f"{part['component']} {part['finding']}" + (f" ({part['note']})" if part["note"] else "")
        for part in row["findings"]
        if part["finding"] != "not_visible"
    )
    how = "at first sight" if row["atFirstSight"] else "compared part by part"
    how += "".join(f", with {aid}" for aid in row["aids"])
    return (str(row["candidate"]), row["conclusion"], how, "; ".join(filter(None, (seen, row["note"]))))


def _release(facts: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, ...]]]:
    release = facts["release"]
    if release is None:
        return ["Nothing was released to anybody."], []
    said = [f"By {release['releasedBy']} to {release['requestor']} at {release['releasedAt']}."]
    said += [f"Candidate {one['candidate']}: {one['conclusion']}." for one in release["candidates"]]
    said += [f"Dissent: an examiner came to {one['conclusion']} on {one['candidate']}." for one in release["dissent"]]
    rows: list[tuple[str, ...]] = [
        ("received by", "at", "knows of the withdrawal since"),
        *((one["account"], one["receivedAt"], one["knowsOfWithdrawalSince"] or "") for one in release["receivers"]),
    ]
    return said, rows


def _ended(facts: Mapping[str, Any]) -> list[str]:
    if facts["reviewState"] not in ENDED:
        return []
    return ["This lead had been taken back, or had ended, before this packet was made: nobody may act on it."]


def _outside(facts: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, ...]]]:
    said = ["Should the lead be taken back, whoever handed a packet over tells its receiver, and notes that they know."]
    if any(one["kind"] == "system" for one in facts["receiversOutside"]):
        said.append("A system reads the events of leads, which name nobody.")
    rows = [
        (
            f"system {one['name']}" if one["kind"] == "system" else one["name"],
            one["office"],
            one["receivedAt"],
            one["handedOverBy"] or "",
            one["knowsOfWithdrawalSince"] or "",
        )
        for one in facts["receiversOutside"]
    ]
    return said, [("receiver", "office", "at", "handed over by", "knows of the withdrawal since"), *rows]


def _outcomes(facts: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, ...]]]:
    if not facts["outcomes"]:
        return ["No outcome was reported."], []
    return [], [("outcome", "investigator", "reported at", "evidence"), *(_rows_of_outcomes(facts))]


def _rows_of_outcomes(facts: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in facts["outcomes"]:
        items = [
            " ".join(str(item[name]) for name in ("kind", "itemNumber", "obtainedAt") if item.get(name))
            for item in one["evidence"]
        ]
        yield one["outcome"], one["investigator"], one["reportedAt"], "; ".join(items)
