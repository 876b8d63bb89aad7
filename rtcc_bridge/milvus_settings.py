"""The settings of a gallery whose templates are kept and searched by Milvus."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from rtcc_bridge.settings_section import Seconds, Section


class MilvusSettings(Section):
    """Milvus, for galleries past one machine's memory; `docs/milvus.md` says what moving there costs. Off until `uri`
    is set."""

    uri: str | None = Field(
        None,
        pattern=r"^https://[^\s/@]+/?$|^http://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]+)?/?$|^[^\s:]+\.db$",
        description="Address of Milvus, https://milvus.example.org:19530 for example; plain http only on loopback. A "
        "path that ends in .db is Milvus Lite, for trials. Needs `pip install 'rtcc-bridge[milvus]'`.",
    )
    plain_templates: Literal["refused", "accepted"] = Field(
        "refused",
        description="Milvus keeps templates in the clear, in its memory and in its object store. Say `accepted` where "
        "the agency has decided that its Milvus may.",
    )
    token: SecretStr | None = Field(
        None, description="`user:password` of Milvus, or an API key (from the environment)."
    )
    ca_file: Path | None = Field(
        None, description="CA certificates (PEM) for Milvus's certificate; those that gRPC brings without it."
    )
    database: str = Field(
        "default",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$",
        description="Milvus's database; one for each installation of this program.",
    )
    index: Literal["FLAT", "GPU_BRUTE_FORCE"] = Field(
        "FLAT", description="How Milvus compares: both look at every template, the second one on GPUs."
    )
    timeout_seconds: Seconds = Field(10.0, description="Limit of one call to Milvus, its repetitions included.")

    @model_validator(mode="after")
    def _accepted(self) -> Self:
        if self.uri is not None and self.plain_templates != "accepted":
            message = "keeps templates in the clear, so say `plain_templates: accepted`, or leave `uri` out"
            raise ValueError(message)
        return self
