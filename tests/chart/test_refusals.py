"""Values that contradict each other are refused with a sentence that says what to do, and so are unknown ones."""

import pytest
import yaml

from tests.chart.option_sets import PRODUCTION, SIGN_IN, SINGLE_NODE, TRIAL, TRIAL_VALUES
from tests.chart.rendering import CHART, RefusedError, helm, render

LAG = "--set=matcher.replicas=null,matcher.autoscaling.enabled=true"
IDENTITY = "networkPolicy.identity.to[0].ipBlock.cidr=192.0.2.48/28"
EXTERNAL = "externalSecrets.enabled=true,externalSecrets.storeName=s,externalSecrets.remoteKey=k"
CONTROLLER = "--set=networkPolicy.controller.from[0].ipBlock.cidr=192.0.2.96/28"
ONE_PROCESS = (*SINGLE_NODE, *SIGN_IN, CONTROLLER)
WITNESS = "networkPolicy.witness.to[0].ipBlock.cidr=192.0.2.144/28"


def without(secret: str, *others: str) -> str:
    """Each of the others in a Secret of its own, and this one in none."""
    return ",".join(["secrets.existingSecret=", *(f"secrets.{one}.secret=s" for one in others if one != secret)])


OF_PRODUCTION = (
    "databaseUrl", "masterKey", "authorityKey", "authorityPublicKeys", "auditSigningKey", "galleryKey",
    "packetSigningKey", "evaluationPublicKey", "objectsAccessKeyId", "objectsSecretAccessKey", "identityClient",
    "kafkaConsumer", "kafkaMatcher", "kafkaRelay", "kafkaOperator",
)  # fmt: skip

CONTRADICTIONS = {
    "a GPU with the image for the CPU": (PRODUCTION, "matcher.image=cpu", "matcher.image cpu, which has no CUDA"),
    "a GPU that nobody uses": (
        PRODUCTION,
        "matcher.gpu.enabled=false,matcher.resources.limits.nvidia\\.com/gpu=1",
        "resources.limits asks for nvidia.com/gpu, and matcher.gpu is off",
    ),
    "several relays on SQLite": (SINGLE_NODE, "relay.replicas=2", "relay.replicas is 2, and database.type sqlite"),
    "several web processes on SQLite": (SINGLE_NODE, "web.replicas=3", "web.replicas is 3, and database.type sqlite"),
    "several consumers on SQLite": (
        SINGLE_NODE,
        "consumer.replicas=2",
        "consumer.replicas is 2, and database.type sqlite",
    ),
    "several matchers on SQLite": (
        SINGLE_NODE,
        "matcher.replicas=2",
        "matcher.replicas is 2, and database.type sqlite",
    ),
    "scaled matchers on SQLite": (
        SINGLE_NODE,
        "matcher.autoscaling.enabled=true",
        "matcher.autoscaling is on, and database.type sqlite",
    ),
    "settings of a role on SQLite": (
        SINGLE_NODE,
        "web.settings.web.uploads=2",
        "web.settings is set, and database.type sqlite",
    ),
    "settings of one process on PostgreSQL": (
        PRODUCTION,
        "single.settings.web.uploads=2",
        "single.settings is set, and database.type postgresql",
    ),
    "web scaled and fixed": (PRODUCTION, "web.replicas=3", "web.replicas is set to 3 and web.autoscaling is on"),
    "matchers scaled and fixed": (
        PRODUCTION,
        "matcher.autoscaling.enabled=true",
        "matcher.replicas is set to 2 and matcher.autoscaling is on",
    ),
    "fewest above most": (
        PRODUCTION,
        "web.autoscaling.minReplicas=5",
        "web.autoscaling.minReplicas is 5, which is more than maxReplicas 4",
    ),
    "more matchers than partitions": (
        (*PRODUCTION, LAG),
        "matcher.autoscaling.maxReplicas=13",
        "each topic has 12 partitions, so some matchers would stand idle",
    ),
    "tokens for KEDA": (
        (*PRODUCTION, LAG),
        f"kafka.authentication=token,kafka.token.endpoint=https://i/t,{IDENTITY}",
        "the chart cannot give KEDA tokens",
    ),
    "no broker": (PRODUCTION, "kafka.bootstrapServers=null", "kafka.bootstrapServers is empty"),
    "a password without TLS": (
        PRODUCTION,
        "kafka.tls.enabled=false,kafka.tls.ca.configMap=",
        "kafka.authentication is password, and kafka.tls.enabled off",
    ),
    "authorities without TLS": (
        PRODUCTION,
        "kafka.authentication=none,kafka.tls.enabled=false",
        "kafka.tls.ca is set, and kafka.tls.enabled off",
    ),
    "tokens from nowhere": (PRODUCTION, f"kafka.authentication=token,{IDENTITY}", "kafka.token.endpoint empty"),
    "a token endpoint for nothing": (
        PRODUCTION,
        "kafka.token.endpoint=https://i/t",
        "kafka.token.endpoint is set, and kafka.authentication password, which takes no tokens",
    ),
    "no certificate": (
        PRODUCTION,
        "kafka.authentication=certificate,kafka.certificates.consumer=c,kafka.certificates.matcher=m,kafka.certificates.operator=o",
        "kafka.certificates.relay empty",
    ),
    "no user": (PRODUCTION, "kafka.users.operator=", "kafka.users.operator is empty"),
    "authorities twice": (
        PRODUCTION,
        "database.ca.secret=s",
        "database.ca.secret and database.ca.configMap are both set",
    ),
    "no bucket": (PRODUCTION, "objects.url=", "objects.type is s3, and objects.url empty"),
    "a bucket and a folder": (SINGLE_NODE, "objects.url=s3://b/o", "objects.url is set, and objects.type folder"),
    "a ledger's bucket and a folder": (SINGLE_NODE, "objects.ledgerUrl=s3://b/o", "objects.ledgerUrl names a bucket"),
    "no key service": (
        PRODUCTION,
        "objects.keys=transit,networkPolicy.keyService.to[0].ipBlock.cidr=192.0.2.64/28",
        "objects.transit.url empty",
    ),
    "a key service for nothing": (
        PRODUCTION,
        "objects.transit.url=https://v",
        "objects.transit.url is set, and objects.keys secret",
    ),
    "a volume of one node for several": (
        PRODUCTION,
        "packs.volume.accessMode=ReadWriteOnce",
        "packs.volume.accessMode is ReadWriteOnce, and several pods on several nodes need it",
    ),
    "objects on one node for several": (
        PRODUCTION,
        "objects.type=folder,objects.url=,objects.ledgerUrl=,objects.volume.accessMode=ReadWriteOnce",
        "objects.volume.accessMode is ReadWriteOnce",
    ),
    "a journal on one node for several": (
        PRODUCTION,
        "auditJournal.volume.accessMode=ReadWriteOnce",
        "auditJournal.volume.accessMode is ReadWriteOnce, and several pods on several nodes need it",
    ),
    "galleries' own key for one process": (
        SINGLE_NODE,
        "objects.galleryKey=own",
        "where one process has all roles and would hold both keys",
    ),
    "galleries' own key that is everybody's": (
        PRODUCTION,
        "secrets.galleryKey.key=master-key",
        "secrets.galleryKey and secrets.masterKey are the same key of the same Secret",
    ),
    "galleries' own key for nothing": (
        TRIAL,
        "objects.galleryKey=shared,secrets.galleryKey.secret=s",
        "secrets.galleryKey.secret is set, and objects.galleryKey shared",
    ),
    "a web that could open every template": (
        PRODUCTION,
        "objects.galleryKey=shared",
        "objects.galleryKey is shared, and settings.profile production",
    ),
    "an evaluation for a gallery that needs none": (
        TRIAL,
        "secrets.evaluationPublicKey.secret=s",
        "secrets.evaluationPublicKey.secret is set, and settings.profile demo",
    ),
    "checkpoints that stay in the pod": (
        PRODUCTION,
        "settings.audit.outside_url=file:///tmp/checkpoints",
        "settings.audit.outside_url is a folder, which goes with the pod",
    ),
    "a witness who is not known again": (
        PRODUCTION,
        f"settings.audit.witness_url=https://w,{WITNESS}",
        "settings.audit.witness_url is set, and settings.audit.witness_key empty",
    ),
    "a witness who is not asked": (
        PRODUCTION,
        "settings.audit.witness_key=w+0123abcd+a2V5",
        "settings.audit.witness_key is set, and settings.audit.witness_url empty",
    ),
    "two policies": (
        TRIAL,
        "policy.existingConfigMap=p",
        "policy.content and policy.existingConfigMap are both set",
    ),
    "signatures apart from their policy": (
        TRIAL_VALUES,
        "policy.existingConfigMap=p,policy.signatures=s",
        "policy.signatures and policy.existingConfigMap are both set",
    ),
    "one key for two signatures": (
        TRIAL,
        "policy.administratorKey=k",
        "of policy.administratorKey and policy.cityKey one is set",
    ),
    "a signed policy without signatures": (
        PRODUCTION,
        "policy.signatures=",
        "policy.cityKey is set, and policy.signatures empty",
    ),
    "no policy": (TRIAL_VALUES, "policy.content=", "there is no policy: give the file with --set-file"),
    "no secret": (
        SINGLE_NODE,
        without(
            "masterKey", "authorityKey", "authorityPublicKeys", "auditSigningKey", "packetSigningKey", "kafkaSingle"
        ),
        "secrets.masterKey is needed, and no Secret named that holds it",
    ),
    "no key for the galleries": (
        PRODUCTION,
        without("galleryKey", *OF_PRODUCTION),
        "secrets.galleryKey is needed, and no Secret named that holds it",
    ),
    "no key for discovery packets": (
        PRODUCTION,
        without("packetSigningKey", *OF_PRODUCTION),
        "secrets.packetSigningKey is needed, and no Secret named that holds it",
    ),
    "no key for the pack's evaluation": (
        PRODUCTION,
        without("evaluationPublicKey", *OF_PRODUCTION),
        "secrets.evaluationPublicKey is needed, and no Secret named that holds it",
    ),
    "secrets and external secrets": (
        PRODUCTION,
        EXTERNAL,
        "externalSecrets is on, and secrets.existingSecret set",
    ),
    "one secret and external secrets": (
        PRODUCTION,
        f"secrets.existingSecret=,{EXTERNAL},secrets.masterKey.secret=m",
        "externalSecrets is on, and secrets.masterKey.secret set",
    ),
    "external secrets from nowhere": (
        PRODUCTION,
        "secrets.existingSecret=,externalSecrets.enabled=true,externalSecrets.remoteKey=k",
        "externalSecrets.storeName empty",
    ),
    "external secrets of nothing": (
        PRODUCTION,
        "secrets.existingSecret=,externalSecrets.enabled=true,externalSecrets.storeName=s",
        "externalSecrets.remoteKey empty",
    ),
    "an account that nobody makes": (PRODUCTION, "serviceAccount.create=false", "serviceAccount.name empty"),
    "a network that lets everybody out": (
        PRODUCTION,
        "networkPolicy.database.to=null",
        "networkPolicy.database.to is empty, and pods have to reach it",
    ),
    "checkpoints to nowhere": (
        PRODUCTION,
        "networkPolicy.checkpointStore.to=null",
        "networkPolicy.checkpointStore.to is empty, and pods have to reach it",
    ),
    "a witness behind a wall": (
        PRODUCTION,
        "settings.audit.witness_url=https://w,settings.audit.witness_key=w+0123abcd+a2V5",
        "networkPolicy.witness.to is empty, and pods have to reach it",
    ),
    "traces to nowhere": (
        PRODUCTION,
        "settings.tracing.endpoint=https://collector:4318/v1/traces",
        "networkPolicy.collector.to is empty, and pods have to reach it",
    ),
    "metrics for everybody": (PRODUCTION, "networkPolicy.prometheus.from=null", "would let everybody read the metrics"),
    "a web for everybody": (
        PRODUCTION,
        "networkPolicy.controller.from=null",
        "networkPolicy.controller.from is empty, and web.expose on",
    ),
    "Ingress and Gateway": (
        PRODUCTION,
        "web.expose.gateway.enabled=true,web.expose.gateway.name=g",
        "web.expose.ingress and web.expose.gateway are both on",
    ),
    "everybody as anybody": (
        PRODUCTION,
        "settings.profile=demo",
        "settings.profile demo, where whoever reaches the web acts as anybody",
    ),
    "people under an unsigned policy": (
        PRODUCTION,
        "policy.signatures=,policy.administratorKey=,policy.cityKey=",
        "policy.administratorKey and policy.cityKey empty, so no process would start",
    ),
    "people without a provider": (
        PRODUCTION,
        "settings.identity.issuer=",
        "settings.identity.issuer empty, so nobody could sign in",
    ),
    "people who cannot reach the page": (
        ONE_PROCESS,
        "web.expose.enabled=false",
        "web.expose off, so that nobody reaches the page",
    ),
    "no proxy that is believed": (PRODUCTION, "web.expose.proxies=null", "web.expose.proxies empty"),
    "an Ingress without TLS": (
        PRODUCTION,
        "web.expose.ingress.tlsSecret=",
        "there is no exposure without TLS",
    ),
    "a route to no Gateway": (
        PRODUCTION,
        "web.expose.ingress.enabled=false,web.expose.gateway.enabled=true",
        "web.expose.gateway.name empty",
    ),
    "an Ingress without a name": (
        PRODUCTION,
        "web.expose.host=",
        "web.expose.host empty",
    ),
    "an Ingress to nothing": (
        TRIAL,
        "web.expose.ingress.enabled=true",
        "web.expose.ingress is on, and web.expose.enabled off",
    ),
    "scraped twice": (
        PRODUCTION,
        "monitoring.serviceMonitor.enabled=true",
        "monitoring.podMonitor and monitoring.serviceMonitor are both on",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_refused_with_a_sentence(case: str) -> None:
    base, changed, sentence = CONTRADICTIONS[case]
    with pytest.raises(RefusedError) as raised:
        render(*base, f"--set={changed}")
    said = str(raised.value)
    assert "the values do not fit together" in said
    lines = [line for line in said.splitlines() if line.startswith("  - ")]
    assert any(sentence in line for line in lines), said
    assert len(lines) == 1, said


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(RefusedError) as raised:
        render()
    said = str(raised.value)
    for part in (
        "kafka.bootstrapServers",
        "objects.url",
        "there is no policy",
        "secrets.databaseUrl",
        "networkPolicy.broker",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("matchers.replicas=2", "matchers"),
        ("matcher.replica=2", "replica"),
        ("settings.kafka.windows=64", "windows"),
        ("settings.kafka.group_instance_id=one", "group_instance_id"),
        ("settings.kafka.sasl.password=secret-of-the-test", "sasl"),
        ("settings.database.url=sqlite+aiosqlite:///x", "url"),
        ("web.settings.web.host=0.0.0.0", "host"),
        ("networkPolicy.broker.to[0].address=192.0.2.1", "address"),
        ("kafka.authentication=kerberos", "authentication"),
        ("matcher.gpu.count=0", "count"),
        ("settings.process.shutdown_seconds=40", "shutdown_seconds"),
        ("settings.profile=staging", "profile"),
    ],
)
def test_the_schema_refuses_what_is_unknown_or_out_of_bounds(changed: str, named: str) -> None:
    with pytest.raises(RefusedError) as raised:
        render(*PRODUCTION, f"--set={changed}")
    said = str(raised.value)
    assert "schema" in said
    assert named in said
    assert "secret-of-the-test" not in said


def test_another_chart_may_include_this_one() -> None:
    assert render(*PRODUCTION, "--set=global.anything=1").objects


def test_the_profiles_need_nothing_but_the_policy() -> None:
    for base in (PRODUCTION, SINGLE_NODE):
        said = helm("template", str(CHART), base[0]).stderr
        assert "there is no policy" in said
        assert [line for line in said.splitlines() if line.startswith("  - ") and "policy" not in line] == []


def test_the_profile_of_production_is_no_trial() -> None:
    web = yaml.safe_load(render(*PRODUCTION).settings_text("web"))
    assert web["profile"] == "production"
    assert web["identity"]["issuer"]
    assert web["matching"]["pack"] != "default"
    assert {"administrator_key_file", "city_key_file"} <= web["policy"].keys()
