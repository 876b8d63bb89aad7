{{/* What does not fit together, each with what to do about it. All of it is told at once. Types, bounds and unknown keys
are the schema's. */}}

{{- define "rtcc-bridge.checks" -}}
{{- $problems := list -}}
{{- range $topic := list "process" "scaling" "gpu" "broker" "database" "objects" "galleries" "audit" "policy" "secrets" "network" "exposure" "monitoring" -}}
{{- $problems = concat $problems (splitList "\n" (include (printf "rtcc-bridge.check.%s" $topic) $ | trim)) -}}
{{- end -}}
{{- with compact $problems -}}
{{- fail (printf "\n\nthe values do not fit together:\n  - %s\n" (join "\n  - " (uniq .))) -}}
{{- end -}}
{{- end -}}

{{/* Each check gives lines. */}}

{{- define "rtcc-bridge.check.process" -}}
{{- if include "rtcc-bridge.isSingle" . }}
{{- range $role := list "web" "consumer" "matcher" "relay" }}
{{- $own := index $.Values $role }}
{{- if gt (int $own.replicas) 1 }}
{{ $role }}.replicas is {{ int $own.replicas }}, and database.type sqlite, which serves one process with all roles: leave {{ $role }}.replicas out, or set database.type to postgresql
{{- end }}
{{- if dig "autoscaling" "enabled" false $own }}
{{ $role }}.autoscaling is on, and database.type sqlite, which serves one process with all roles: turn it off, or set database.type to postgresql
{{- end }}
{{- if $own.settings }}
{{ $role }}.settings is set, and database.type sqlite, where one process has all roles: set single.settings instead
{{- end }}
{{- end }}
{{- else if .Values.single.settings }}
single.settings is set, and database.type postgresql, where each role has a process of its own: set web.settings, consumer.settings, matcher.settings or relay.settings instead
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
serviceAccount.create is off and serviceAccount.name empty: name the account that is there already
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.scaling" -}}
{{- range $role := list "web" "matcher" }}
{{- $own := index $.Values $role }}
{{- $scaling := $own.autoscaling }}
{{- if $scaling.enabled }}
{{- if not (kindIs "invalid" $own.replicas) }}
{{ $role }}.replicas is set to {{ int $own.replicas }} and {{ $role }}.autoscaling is on, which would both decide on the number of pods: set {{ $role }}.replicas to null, or turn autoscaling off
{{- end }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{ $role }}.autoscaling.minReplicas is {{ int $scaling.minReplicas }}, which is more than maxReplicas {{ int $scaling.maxReplicas }}: lower the one or raise the other
{{- end }}
{{- end }}
{{- end }}
{{- $scaling := .Values.matcher.autoscaling }}
{{- $partitions := dig "kafka" "topics" "partitions" 6 (fromYaml (include "rtcc-bridge.settings" (dict "root" . "role" "matcher"))) | int }}
{{- if and $scaling.enabled (gt (int $scaling.maxReplicas) $partitions) }}
matcher.autoscaling.maxReplicas is {{ int $scaling.maxReplicas }}, and each topic has {{ $partitions }} partitions, so some matchers would stand idle: lower it, or raise settings.kafka.topics.partitions and run `rtcc-bridge topics check --apply`
{{- end }}
{{- if and $scaling.enabled (eq .Values.kafka.authentication "token") }}
matcher.autoscaling is on, and kafka.authentication token: the chart cannot give KEDA tokens for the broker. Turn autoscaling off, or use password or certificate
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.gpu" -}}
{{- $matcher := .Values.matcher }}
{{- if and $matcher.gpu.enabled (eq $matcher.image "cpu") }}
matcher.gpu is on, and matcher.image cpu, which has no CUDA: leave matcher.image out, or turn matcher.gpu off
{{- end }}
{{- $limits := (index .Values (include "rtcc-bridge.isSingle" . | empty | ternary "matcher" "single")).resources.limits | default dict }}
{{- if and (not $matcher.gpu.enabled) (hasKey $limits $matcher.gpu.resource) }}
resources.limits asks for {{ $matcher.gpu.resource }}, and matcher.gpu is off, so that it would lie idle: set matcher.gpu.enabled, and leave the GPU to matcher.gpu.count
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.broker" -}}
{{- $kafka := .Values.kafka }}
{{- if not $kafka.bootstrapServers }}
kafka.bootstrapServers is empty: name host:port of one or more brokers
{{- end }}
{{- if and (has $kafka.authentication (list "password" "token" "certificate")) (not $kafka.tls.enabled) }}
kafka.authentication is {{ $kafka.authentication }}, and kafka.tls.enabled off, which would send what proves the identity readable over the network: turn kafka.tls.enabled on, or set kafka.authentication to none
{{- end }}
{{- if and (eq $kafka.authentication "token") (not $kafka.token.endpoint) }}
kafka.authentication is token, and kafka.token.endpoint empty: name the authority's token endpoint
{{- end }}
{{- if and (ne $kafka.authentication "token") $kafka.token.endpoint }}
kafka.token.endpoint is set, and kafka.authentication {{ $kafka.authentication }}, which takes no tokens: set it to token, or leave the endpoint out
{{- end }}
{{- range $role := splitList " " (include "rtcc-bridge.parties" .) }}
{{- if include "rtcc-bridge.hasNeed" (dict "role" $role "what" "broker") }}
{{- $party := include "rtcc-bridge.party" (dict "role" $role) }}
{{- if and (eq $kafka.authentication "certificate") (not (include "rtcc-bridge.certificateOf" (dict "root" $ "role" $role))) }}
kafka.authentication is certificate, and kafka.certificates.{{ $party }} empty: name the Secret with its certificate
{{- end }}
{{- if and (has $kafka.authentication (list "password" "token")) (not (index $kafka.users $party)) }}
kafka.users.{{ $party }} is empty, and kafka.authentication {{ $kafka.authentication }} needs a user: name it
{{- end }}
{{- end }}
{{- end }}
{{- include "rtcc-bridge.check.ca" (dict "path" "kafka.tls.ca" "ca" $kafka.tls.ca) }}
{{- include "rtcc-bridge.check.ca" (dict "path" "kafka.token.ca" "ca" $kafka.token.ca) }}
{{- if and (not $kafka.tls.enabled) (or $kafka.tls.ca.secret $kafka.tls.ca.configMap) }}
kafka.tls.ca is set, and kafka.tls.enabled off: turn it on, or leave the authorities out
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.ca" -}}
{{- if and .ca.secret .ca.configMap }}
{{ .path }}.secret and {{ .path }}.configMap are both set: keep one of the two
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.database" -}}
{{- include "rtcc-bridge.check.ca" (dict "path" "database.ca" "ca" .Values.database.ca) }}
{{- end -}}

{{- define "rtcc-bridge.check.objects" -}}
{{- $objects := .Values.objects }}
{{- if and (eq $objects.type "s3") (not $objects.url) }}
objects.type is s3, and objects.url empty: name s3://bucket/prefix, or set objects.type to folder
{{- end }}
{{- if and (eq $objects.type "folder") $objects.url }}
objects.url is set, and objects.type folder, which is a volume: leave objects.url out, or set objects.type to s3
{{- end }}
{{- if and (eq $objects.type "folder") $objects.ledgerUrl }}
objects.ledgerUrl names a bucket, and objects.type folder, for which the pods get no access key: leave it out, or set objects.type to s3
{{- end }}
{{- if and (eq $objects.keys "transit") (not $objects.transit.url) }}
objects.keys is transit, and objects.transit.url empty: name the server's address
{{- end }}
{{- if and (eq $objects.keys "secret") $objects.transit.url }}
objects.transit.url is set, and objects.keys secret, which does not use it: set objects.keys to transit, or leave the address out
{{- end }}
{{- include "rtcc-bridge.check.ca" (dict "path" "objects.transit.ca" "ca" $objects.transit.ca) }}
{{- if not (include "rtcc-bridge.isSingle" .) }}
{{- if and (eq $objects.type "folder") (not $objects.volume.existingClaim) (eq $objects.volume.accessMode "ReadWriteOnce") }}
objects.volume.accessMode is ReadWriteOnce, and several pods on several nodes need it: set ReadWriteMany, or database.type to sqlite
{{- end }}
{{- if and (not .Values.packs.volume.existingClaim) (eq .Values.packs.volume.accessMode "ReadWriteOnce") }}
packs.volume.accessMode is ReadWriteOnce, and several pods on several nodes need it: set ReadWriteMany, name packs.volume.existingClaim, or set database.type to sqlite
{{- end }}
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.galleries" -}}
{{- $secrets := .Values.secrets }}
{{- if eq .Values.objects.galleryKey "own" }}
{{- if include "rtcc-bridge.isSingle" . }}
objects.galleryKey is own, and database.type sqlite, where one process has all roles and would hold both keys: set objects.galleryKey to shared
{{- end }}
{{- $own := fromYaml (include "rtcc-bridge.secretRef" (dict "root" $ "secret" "galleryKey")) }}
{{- if and $own.name (eq (toJson $own) (toJson (fromYaml (include "rtcc-bridge.secretRef" (dict "root" $ "secret" "masterKey"))))) }}
secrets.galleryKey and secrets.masterKey are the same key of the same Secret, so whoever holds the one opens what the other wraps: make another key for the galleries, or set objects.galleryKey to shared
{{- end }}
{{- else }}
{{- if $secrets.galleryKey.secret }}
secrets.galleryKey.secret is set, and objects.galleryKey shared, which does not use it: set objects.galleryKey to own, or leave the Secret out
{{- end }}
{{- if and (not (include "rtcc-bridge.isDemo" .)) (not (include "rtcc-bridge.isSingle" .)) }}
objects.galleryKey is shared, and settings.profile production, so that every role could open every template (P30), and matchers do not start: set objects.galleryKey to own
{{- end }}
{{- end }}
{{- if and (include "rtcc-bridge.isDemo" .) $secrets.evaluationPublicKey.secret }}
secrets.evaluationPublicKey.secret is set, and settings.profile demo, whose gallery is searched without an evaluation: leave it out, or set settings.profile to production
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.audit" -}}
{{- if not (include "rtcc-bridge.isSingle" .) }}
{{- if and (not .Values.auditJournal.volume.existingClaim) (eq .Values.auditJournal.volume.accessMode "ReadWriteOnce") }}
auditJournal.volume.accessMode is ReadWriteOnce, and several pods on several nodes need it: set ReadWriteMany, name auditJournal.volume.existingClaim, or set database.type to sqlite
{{- end }}
{{- end }}
{{- $role := include "rtcc-bridge.isSingle" . | empty | ternary "relay" "single" }}
{{- $audit := dig "audit" dict (fromYaml (include "rtcc-bridge.given" (dict "root" $ "role" $role))) }}
{{- if hasPrefix "file:" (get $audit "outside_url" | default "") }}
settings.audit.outside_url is a folder, which goes with the pod and is in nobody else's hands: name s3://bucket/prefix of another account, or a witness (settings.audit.witness_url)
{{- end }}
{{- if and (get $audit "witness_url") (not (get $audit "witness_key")) }}
settings.audit.witness_url is set, and settings.audit.witness_key empty, so its signatures could not be checked: set the verifier key that the witness publishes (name+id+key)
{{- end }}
{{- if and (get $audit "witness_key") (not (get $audit "witness_url")) }}
settings.audit.witness_key is set, and settings.audit.witness_url empty, so nobody is asked: name the witness, or leave its key out
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.policy" -}}
{{- if and .Values.policy.content .Values.policy.existingConfigMap }}
policy.content and policy.existingConfigMap are both set: keep one of the two
{{- else if not (or .Values.policy.content .Values.policy.existingConfigMap) }}
there is no policy: give the file with --set-file policy.content=policy.yaml, or name policy.existingConfigMap
{{- end }}
{{- if and .Values.policy.signatures .Values.policy.existingConfigMap }}
policy.signatures and policy.existingConfigMap are both set: put the signatures into that ConfigMap, as policy.yaml.signatures
{{- end }}
{{- if ne (empty .Values.policy.administratorKey) (empty .Values.policy.cityKey) }}
of policy.administratorKey and policy.cityKey one is set: a policy has two signatures, so set both, or neither in the demo
{{- end }}
{{- if and (not (include "rtcc-bridge.isDemo" .)) (not (or .Values.policy.administratorKey .Values.policy.cityKey)) }}
settings.profile is production, and policy.administratorKey and policy.cityKey empty, so no process would start: set both, and give the signatures with the policy
{{- end }}
{{- if and .Values.policy.content .Values.policy.cityKey (not .Values.policy.signatures) }}
policy.cityKey is set, and policy.signatures empty: give the file with --set-file policy.signatures=policy.yaml.signatures
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.secrets" -}}
{{- $secrets := .Values.secrets }}
{{- $external := .Values.externalSecrets }}
{{- $needed := splitList " " (include "rtcc-bridge.secretsOfRelease" .) | compact }}
{{- if $external.enabled }}
{{- if not $external.storeName }}
externalSecrets is on, and externalSecrets.storeName empty: name the store
{{- end }}
{{- if not $external.remoteKey }}
externalSecrets is on, and externalSecrets.remoteKey empty: name the entry in the store
{{- end }}
{{- if $secrets.existingSecret }}
externalSecrets is on, and secrets.existingSecret set: the secrets come from one of the two. Leave secrets.existingSecret out, or turn externalSecrets off
{{- end }}
{{- range $name, $own := omit $secrets "existingSecret" }}
{{- if $own.secret }}
externalSecrets is on, and secrets.{{ $name }}.secret set: the secrets come from one of the two. Leave secrets.{{ $name }}.secret out, or turn externalSecrets off
{{- end }}
{{- end }}
{{- else }}
{{- range $name := $needed }}
{{- $ref := fromYaml (include "rtcc-bridge.secretRef" (dict "root" $ "secret" $name)) }}
{{- if not $ref.name }}
secrets.{{ $name }} is needed, and no Secret named that holds it: set secrets.existingSecret or secrets.{{ $name }}.secret, or turn externalSecrets on
{{- else if include "rtcc-bridge.seesCluster" $ }}
{{- $there := lookup "v1" "Secret" $.Release.Namespace $ref.name }}
{{- if not $there }}
the Secret {{ $ref.name }} is not in the namespace {{ $.Release.Namespace }}: make it, with the key {{ $ref.key }} (secrets.{{ $name }})
{{- else if not (hasKey ($there.data | default dict) $ref.key) }}
the Secret {{ $ref.name }} has no key {{ $ref.key }} (secrets.{{ $name }}): add it, or correct secrets.{{ $name }}.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* "yes" where Helm can ask the cluster, which it does not for `helm template`: each namespace has this ConfigMap. */}}
{{- define "rtcc-bridge.seesCluster" -}}
{{- if lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt" }}yes{{ end -}}
{{- end -}}

{{- define "rtcc-bridge.check.network" -}}
{{- $policy := .Values.networkPolicy }}
{{- if $policy.enabled }}
{{- range $role := splitList " " (include "rtcc-bridge.parties" .) }}
{{- range $part := splitList " " (include "rtcc-bridge.reaches" (dict "root" $ "role" $role)) }}
{{- if not (index $policy $part).to }}
networkPolicy.{{ $part }}.to is empty, and pods have to reach it: name its addresses (ipBlock) or its pods (selectors), or turn networkPolicy off
{{- end }}
{{- end }}
{{- end }}
{{- if not $policy.prometheus.from }}
networkPolicy.prometheus.from is empty, which would let everybody read the metrics: name Prometheus's pods
{{- end }}
{{- if and .Values.web.expose.enabled (not $policy.controller.from) }}
networkPolicy.controller.from is empty, and web.expose on, which would let everybody reach the web: name the pods of the Ingress or Gateway controller
{{- end }}
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.exposure" -}}
{{- $expose := .Values.web.expose }}
{{- $web := include "rtcc-bridge.webRole" . }}
{{- $signsIn := include "rtcc-bridge.signsIn" (dict "root" . "role" $web) }}
{{- $isDemo := include "rtcc-bridge.isDemo" . }}
{{- if and $expose.enabled $isDemo }}
web.expose is on, and settings.profile demo, where whoever reaches the web acts as anybody: set settings.profile to production, or turn web.expose off
{{- end }}
{{- if and (not $isDemo) (not $signsIn) }}
settings.profile is production, and settings.identity.issuer empty, so nobody could sign in: name the identity provider with client_id and roles
{{- end }}
{{- if and (not $isDemo) (not $expose.enabled) }}
settings.profile is production, and web.expose off, so that nobody reaches the page where people sign in: turn it on
{{- end }}
{{- if and $expose.enabled (not $expose.host) }}
web.expose is on, and web.expose.host empty: set the name that people type
{{- end }}
{{- if and $expose.enabled (not $expose.proxies) }}
web.expose is on, and web.expose.proxies empty, so nobody would be served: name the addresses of the controller's pods
{{- end }}
{{- include "rtcc-bridge.check.ca" (dict "path" "identity.ca" "ca" .Values.identity.ca) }}
{{- if and $expose.ingress.enabled $expose.gateway.enabled }}
web.expose.ingress and web.expose.gateway are both on: keep one of the two
{{- end }}
{{- range $way := list "ingress" "gateway" }}
{{- if (index $expose $way).enabled }}
{{- if not $expose.enabled }}
web.expose.{{ $way }} is on, and web.expose.enabled off: turn both on, or both off
{{- end }}
{{- end }}
{{- end }}
{{- if and $expose.ingress.enabled (not $expose.ingress.tlsSecret) }}
web.expose.ingress is on, and web.expose.ingress.tlsSecret empty: there is no exposure without TLS. Name the Secret with the certificate
{{- end }}
{{- if and $expose.gateway.enabled (not $expose.gateway.name) }}
web.expose.gateway is on, and web.expose.gateway.name empty: name the Gateway
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.check.monitoring" -}}
{{- include "rtcc-bridge.check.ca" (dict "path" "tracing.ca" "ca" .Values.tracing.ca) }}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled }}
monitoring.podMonitor and monitoring.serviceMonitor are both on, which would count everything twice: keep one of the two
{{- end }}
{{- end -}}
