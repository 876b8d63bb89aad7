"""The settings of the way from an upload to a candidate list: its intake, and the search in the gallery."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from rtcc_bridge.milvus_settings import MilvusSettings
from rtcc_bridge.settings_section import Bytes, Seconds, Section


class IntakeSettings(Section):
    """Probe intake: what an upload may be and what its sandboxed workers may use."""

    workers: int = Field(1, ge=1, le=64, description="Sandboxed decoding processes.")
    max_upload_bytes: Bytes = Field(25_000_000, description="Largest upload.")
    max_pixels: Bytes = Field(
        50_000_000, description="Largest picture; read from its header before anything is decoded."
    )
    max_detection_pixels: Bytes = Field(12_000_000, description="Faces are looked for on a copy of at most this size.")
    worker_memory_bytes: Bytes = Field(4_000_000_000, description="Address-space limit of a worker.")
    worker_timeout_seconds: Seconds = Field(
        30.0, description="Limit of one job; the worker is replaced when it is passed."
    )
    jobs_per_worker: int = Field(50, ge=1, description="A worker is replaced after this many jobs.")
    worker_rest_seconds: Seconds = Field(
        60.0, description="A worker that has read a picture is replaced when it had nothing to do for this long."
    )
    max_clip_bytes: Bytes = Field(100_000_000, description="Largest clip.")
    max_clip_seconds: Seconds = Field(300.0, description="Longest clip; read from its header before it is decoded.")
    max_clip_frames: int = Field(10_000, ge=1, le=20_000, description="Most frames of a clip.")
    clip_timeout_seconds: Seconds = Field(
        60.0, description="As worker_timeout_seconds, for a job on a clip: all of its frames are decoded once."
    )
    clip_minutes: int = Field(
        60, ge=5, le=1440, description="A clip is destroyed this long after it came, whether a frame was chosen or not."
    )
    max_waiting: int = Field(8, ge=1, le=1000, description="Jobs that may wait for a worker; more are answered 503.")
    min_face_px: int | None = Field(
        None,
        ge=12,
        le=1000,
        description="Smallest face that is looked for, in pixels of width; without it what the model pack says (20 in "
        "the default one).",
    )


class RecordsSettings(Section):
    """The record system, whose bookings and orders come on `kafka.topics.gallery_records`."""

    pictures_url: str | None = Field(
        None,
        pattern=r"^(file:///|s3://).+",
        description="The store in which the record system leaves the pictures of bookings, as file:///folder or "
        "s3://bucket/prefix; this program only reads there. Without it bookings are dead letters. Orders are always "
        "carried out.",
    )


class MatchingSettings(Section):
    """The model pack, the device and the batches."""

    pack: str = Field(
        "default", min_length=1, description="Name of the model pack, or `default` for the one built from pip packages."
    )
    packs_directory: Path = Field(Path("var/packs"), description="Where model packs are kept.")
    evaluation_key_file: Path | None = Field(
        None,
        description="Public key (Ed25519, PEM) of whoever signs model packs; without it no live gallery is searched "
        "(P28).",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where templates are made and compared.")
    expects_gpu: bool = Field(
        default=False,
        description="This machine has a GPU for the matcher. Then `gpu_lost` tells of work on the CPU also where not "
        "even the GPU's driver is found, which with `device: auto` looks like a machine that never had one.",
    )
    threads: int = Field(2, ge=1, le=256, description="CPU threads of the model and of the search.")
    batch_size: int = Field(
        32, ge=1, le=1024, description="Largest batch; smaller ones are made where larger ones bring nothing."
    )
    batch_deadline_seconds: Seconds = Field(
        0.005,
        description="Longest wait for more probes while the device is free; within it the wait follows the load, and "
        "is nothing where it would not pay.",
    )
    queue_size: int = Field(512, ge=1, description="Probes that may wait in a matcher; more are refused as busy.")
    gallery: str = Field(
        "demo", min_length=1, description="The gallery that probes of actual events are compared with."
    )
    training_gallery: str | None = Field(
        None, description="The gallery for exercises; without it they are refused (P07)."
    )
    list_length: int = Field(20, ge=1, le=50, description="Most persons on a candidate list.")
    target_fpir: float = Field(
        0.05, gt=0, lt=1, description="Accepted chance that a person who is not enrolled gets any candidate."
    )
    gallery_poll_seconds: Seconds = Field(
        0.5, description="How often the gallery's head is confirmed with the database."
    )
    gallery_stale_seconds: Seconds = Field(
        10.0, description="A matcher that cannot confirm the head for this long stops searching (P25)."
    )
    request_timeout_seconds: Seconds = Field(30.0, description="Limit of one search, from request to lead.")
    milvus: MilvusSettings = Field(default_factory=MilvusSettings)

    @model_validator(mode="after")
    def _uses_what_it_expects(self) -> Self:
        if self.expects_gpu and self.device == "cpu":
            raise ValueError(
                "expects a GPU and does not use it: set `device` to auto or cuda, or leave `expects_gpu` out"
            )
        return self
