"""A Prometheus server of one's own, for tests and pictures: it scrapes what it is given and answers queries."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

START_SECONDS: Final = 30.0
JOB: Final = "rtcc-bridge"


class PrometheusError(Exception):
    """The server did not start, or does not accept a query."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server. `http` lives as long as it."""

    address: str
    http: aiohttp.ClientSession

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """The series now, each with `metric` and `value`. Raises PrometheusError for what is no PromQL."""
        found: list[dict[str, Any]] = (await self._ask("query", {"query": expr}))["result"]
        return found

    async def query_range(self, expr: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series between two moments, each with `metric` and `values`. Raises PrometheusError."""
        asked = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        found: list[dict[str, Any]] = (await self._ask("query_range", asked))["result"]
        return found

    async def exemplars(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        """The exemplars of the series in the expression."""
        asked = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        found: list[dict[str, Any]] = await self._ask("query_exemplars", asked)
        return found

    async def targets(self) -> list[dict[str, Any]]:
        """What is scraped, with `health` and `lastError`."""
        found: list[dict[str, Any]] = (await self._ask("targets", {}))["activeTargets"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule, with `health`, `state` and `lastError`."""
        return [rule for group in (await self._ask("rules", {}))["groups"] for rule in group["rules"]]

    async def _ask(self, what: str, asked: Mapping[str, str]) -> Any:
        async with self.http.get(f"{self.address}/api/v1/{what}", params=asked) as answer:
            document = await answer.json()
        if document["status"] != "success":
            raise PrometheusError(f"{document['error']}: {asked.get('query', what)}")
        return document["data"]


@asynccontextmanager
async def running_prometheus(
    folder: Path, targets: Sequence[str], rule_file: Path | None = None, scrape_seconds: float = 1.0
) -> AsyncIterator[Prometheus]:
    """The server of the distribution's package `prometheus`, with its data in `folder`. Raises PrometheusError.

    targets: host:port of each process. Rules are evaluated as often as their file says.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise PrometheusError("there is no Prometheus here: install the package prometheus")
    settings = folder / "prometheus.yml"
    settings.write_text(yaml.safe_dump(_settings(targets, rule_file, scrape_seconds)), encoding="utf-8")
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with (folder / "prometheus.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            program, f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage", "--log.level=warn",
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as http:
            await _until_ready(process, http, address, folder / "prometheus.log")
            yield Prometheus(address, http)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _settings(targets: Sequence[str], rule_file: Path | None, scrape_seconds: float) -> dict[str, Any]:
    every = f"{round(scrape_seconds * 1000)}ms"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [] if rule_file is None else [str(rule_file)],
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": list(targets)}]}],
    }


async def _until_ready(
    process: asyncio.subprocess.Process, http: aiohttp.ClientSession, address: str, log: Path
) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                try:
                    async with http.get(f"{address}/-/ready") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise PrometheusError(f"Prometheus was not ready within {START_SECONDS:g} s; see {log}") from error
    raise PrometheusError(f"Prometheus ended with exit code {process.returncode}; see {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
