"""P05: the analyst attests that the picture is no sketch, composite, generated or face-swapped one."""

import pytest

from rtcc_bridge.errors import PolicyRefusalError
from tests.probe_kit import ANALYST, ProbeKit, form, upload


async def test_without_the_attestation_not_a_byte_is_read(kit: ProbeKit) -> None:
    await kit.incident()
    with pytest.raises(PolicyRefusalError, match="Attest") as refused:
        await kit.desk.attach("incident-1", form(attested_original=False), ANALYST, upload())
    assert refused.value.rule == "P05"
    assert not kit.workers.inspected
    assert kit.object_files() == []
