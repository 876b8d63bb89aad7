"""How the settings make a picture worker: the command line that starts one, and what it may use."""

from pathlib import Path

from rtcc_bridge.probes.worker_process import WorkerLimits, worker_command
from rtcc_bridge.settings import Settings


def picture_worker(settings: Settings, pack: Path, *, clips: bool = False) -> tuple[tuple[str, ...], WorkerLimits]:
    """The command line of a picture worker with the model pack in the folder `pack`, and what it may use.

    clips: whether it reads clips too, as the web's does.
    """
    intake = settings.intake
    limits = WorkerLimits(
        workers=intake.workers,
        max_upload_bytes=intake.max_upload_bytes,
        max_pixels=intake.max_pixels,
        max_detection_pixels=intake.max_detection_pixels,
        memory_bytes=intake.worker_memory_bytes,
        timeout_seconds=intake.worker_timeout_seconds,
        upload_timeout_seconds=settings.web.upload_timeout_seconds,
        jobs_per_worker=intake.jobs_per_worker,
        rest_seconds=intake.worker_rest_seconds,
        max_waiting=intake.max_waiting,
        max_clip_bytes=intake.max_clip_bytes if clips else 0,
        max_clip_seconds=intake.max_clip_seconds,
        max_clip_frames=intake.max_clip_frames,
        clip_timeout_seconds=intake.clip_timeout_seconds,
    )
    return worker_command(pack, intake.min_face_px, limits), limits
