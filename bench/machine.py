"""What a measurement says of its machine, and how it takes time."""

import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.types import Int8Array

_PACKAGES = ("numpy", "onnxruntime-gpu", "numkong", "faiss-cpu", "usearch")


def machine() -> str:
    """One line: processor, threads, versions, date."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    wanted = ("avx2", "avx512f", "avx512_vnni", "amx_int8")
    flags = next((set(line.split(":")[1].split()) for line in info.splitlines() if line.startswith("flags")), set())
    parts = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    have = " ".join(flag for flag in wanted if flag in flags)
    return f"{model} ({have}), Python {platform.python_version()}, {parts}, {time.strftime('%Y-%m-%d')}"


_REST_SECONDS = 0.3
"""Threads of OpenMP, OpenBLAS and ONNX Runtime go on spinning for a while after a call, on cores that the next one
needs."""


def median_ms(repeats: int, *calls: Callable[[], object]) -> list[float]:
    """Interleaved, so that what else the machine does falls on all alike; each begins on idle cores."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for seconds, call in zip(taken, calls, strict=True):
            time.sleep(_REST_SECONDS)  # nobody says when threads stop spinning after a call: nothing to wait for
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return [float(np.median(seconds) * 1000) for seconds in taken]


def readings(arrays: Sequence[Int8Array], threads: int) -> list[Callable[[], object]]:
    """Three ways to read all of these bytes, each once when it is called; the best shows what the memory allows."""
    pieces = [piece for array in arrays for piece in np.array_split(array.reshape(-1), threads * 4)]

    def read(way: Callable[[Int8Array], object]) -> None:
        with ThreadPoolExecutor(threads) as executor:
            for _ in executor.map(way, pieces):
                pass

    return [partial(read, way) for way in (_added, _largest, _compared)]


def _words(piece: Int8Array) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return piece[: len(piece) // 8 * 8].view(np.int64)


def _added(piece: Int8Array) -> object:
    return np.add.reduce(_words(piece))


def _largest(piece: Int8Array) -> object:
    return np.maximum.reduce(piece)


def _compared(piece: Int8Array) -> object:
    return np.bitwise_or.reduce(_words(piece))


def resident_bytes() -> int:
    """Memory of this process that is no file's (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))
