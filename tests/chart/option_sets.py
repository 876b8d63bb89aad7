"""Sets of values that between them render each object of the chart."""

import json
from collections.abc import Mapping
from typing import Final

from rtcc_bridge.audit.note import COSIGNATURE, VerifierKey
from tests.chart.rendering import CHART, ROOT, Rendered, render
from tests.chart.signed_policy import signatures

AFFINITY: Final = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]
        }
    }
}
POLICY: Final = f"--set-file=policy.content={ROOT / 'config/policy.yaml'}"
PRODUCTION: Final = (f"--values={CHART / 'values-production.yaml'}", POLICY, *signatures())
TRIAL_VALUES: Final = (
    PRODUCTION[0],
    "--set=settings.profile=demo,settings.identity.issuer=,settings.matching.pack=default",
    "--set=web.expose.enabled=false,web.expose.ingress.enabled=false",
)
TRIAL: Final = (*TRIAL_VALUES, POLICY)
"""Several nodes without sign-in, under a policy that nobody has signed."""
SINGLE_NODE: Final = (f"--values={CHART / 'values-single-node.yaml'}", POLICY)

WITNESS_KEY: Final = str(VerifierKey("witness.example.org", bytes(32), COSIGNATURE))

SIGN_IN: Final = (
    *signatures(),
    "--set=settings.profile=production,settings.identity.issuer=https://login.example.org,settings.identity.client_id=rtcc",
    "--set=settings.identity.roles.analysts=analyst,settings.identity.roles.chiefs=supervisor",
    "--set=web.expose.enabled=true,web.expose.host=rtcc.example.org,web.expose.proxies[0]=10.2.0.0/16",
    "--set=networkPolicy.identityProvider.to[0].ipBlock.cidr=192.0.2.112/28",
)

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "production": PRODUCTION,
    "a trial on several nodes": TRIAL,
    "single node": SINGLE_NODE,
    "single node in production": (
        *SINGLE_NODE,
        *SIGN_IN,
        f"--set=settings.audit.witness_url=https://witness.example.org,settings.audit.witness_key={WITNESS_KEY}",
        "--set=networkPolicy.witness.to[0].ipBlock.cidr=192.0.2.144/28",
        "--set=networkPolicy.controller.from[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=ingress",
    ),
    "single node without a GPU": (*SINGLE_NODE, "--set=matcher.gpu.enabled=false"),
    "matchers on the CPU": (*PRODUCTION, "--set=matcher.gpu.enabled=false"),
    "matchers that need their GPU": (*PRODUCTION, "--set=matcher.gpu.onLoss=refuse"),
    "matchers by lag": (*PRODUCTION, "--set=matcher.replicas=null,matcher.autoscaling.enabled=true"),
    "matchers by lag, with certificates": (
        *PRODUCTION,
        "--set=matcher.replicas=null,matcher.autoscaling.enabled=true,kafka.authentication=certificate",
        "--set=kafka.certificates.consumer=c,kafka.certificates.matcher=m,kafka.certificates.relay=r",
        "--set=kafka.certificates.operator=o,kafka.tls.ca.configMap=,kafka.tls.ca.secret=strimzi,settings.kafka.window=64",
    ),
    "tokens, a key service, traces": (
        *PRODUCTION,
        "--set=kafka.authentication=token,kafka.token.endpoint=https://identity.example.org/token,kafka.token.scope=kafka",
        "--set=kafka.token.ca.configMap=identity-authorities,networkPolicy.identity.to[0].ipBlock.cidr=192.0.2.48/28",
        "--set=objects.keys=transit,objects.transit.url=https://vault.example.org:8200,objects.transit.earlierMasterKey=true",
        "--set=objects.transit.ca.secret=vault-authorities,networkPolicy.keyService.to[0].ipBlock.cidr=192.0.2.64/28",
        "--set=settings.tracing.endpoint=https://collector.example.org:4318/v1/traces",
        "--set=tracing.ca.secret=collector-authorities,networkPolicy.collector.to[0].ipBlock.cidr=192.0.2.80/28",
    ),
    "external secrets": (
        *PRODUCTION,
        "--set=secrets.existingSecret=,externalSecrets.enabled=true",
        "--set=externalSecrets.storeName=vault,externalSecrets.remoteKey=rtcc-bridge",
    ),
    "tools on one node": (*SINGLE_NODE, "--set=tools.enabled=true"),
    "a folder for objects": (
        *PRODUCTION,
        "--set=objects.type=folder,objects.url=,objects.ledgerUrl=,topics.job=create",
    ),
    "a broker on this machine": (
        *SINGLE_NODE,
        "--set=kafka.authentication=none,kafka.tls.enabled=false,kafka.tls.ca.configMap=",
    ),
    "a provider of an authority of one's own": (*PRODUCTION, "--set=identity.ca.configMap=identity-authorities"),
    "exposed by a Gateway": (
        *PRODUCTION,
        "--set=web.expose.ingress.enabled=false,web.expose.gateway.enabled=true",
        "--set=web.expose.gateway.name=public,web.expose.gateway.namespace=gateways",
        "--set=networkPolicy.controller.from[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=gateways",
    ),
    "everything that has a switch": (
        *PRODUCTION,
        "--set=monitoring.podMonitor.enabled=false,monitoring.serviceMonitor.enabled=true,monitoring.labels.release=kps",
        "--set=commonLabels.team=rtcc,podLabels.tier=backend,podAnnotations.example\\.org/note=yes",
        "--set=image.pullSecrets[0]=registry,image.cpu.digest=sha256:" + 64 * "a",
        "--set=serviceAccount.annotations.example\\.org/note=yes,matcher.gpu.runtimeClassName=nvidia",
        "--set=web.nodeSelector.disk=fast,web.priorityClassName=high,web.tolerations[0].key=x,web.tolerations[0].operator=Exists",
        f"--set-json=relay.affinity={json.dumps(AFFINITY)}",
        "--set=packs.volume.existingClaim=packs,operations.host=::,tools.enabled=true",
        "--set=reports.rosterConfigMap=roster",
    ),
    "nothing that has a switch": (
        *TRIAL_VALUES,
        "--set=networkPolicy.enabled=false,migration.enabled=false,topics.job=none,monitoring.podMonitor.enabled=false",
        "--set=monitoring.rules.enabled=false,monitoring.dashboards.enabled=false,web.autoscaling.enabled=false",
        "--set=serviceAccount.create=false,serviceAccount.name=own,policy.existingConfigMap=policy",
        "--set=podSecurity.runAsUser=null,podSecurity.fsGroup=null,web.preStopSeconds=0",
        "--set-json=topologySpread.keys=[]",
    ),
}


def option(name: str) -> Rendered:
    return render(*OPTIONS[name])
