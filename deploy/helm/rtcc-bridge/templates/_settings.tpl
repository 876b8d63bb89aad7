{{/* The settings file of a role: what the site set, over it what the role has of its own, over it what the chart makes.
`tests/chart` loads each with the program's own model. */}}
{{- define "rtcc-bridge.settings" -}}
{{- $values := .root.Values -}}
{{- $needs := splitList " " (include "rtcc-bridge.needs" .) -}}
{{- $secrets := splitList " " (include "rtcc-bridge.secretsOfRole" .) -}}
{{- $given := fromYaml (include "rtcc-bridge.given" .) -}}
{{- $made := dict -}}
{{- if has "broker" $needs }}{{ $_ := set $made "kafka" (fromYaml (include "rtcc-bridge.kafkaSettings" .)) }}{{ end -}}
{{- if has "database" $needs }}{{ $_ := set $made "database" (fromYaml (include "rtcc-bridge.databaseSettings" .)) }}{{ end -}}
{{- if has "journal" $needs }}{{ $_ := set $made "audit" (dict "journal_folder" "/var/lib/rtcc-bridge/audit-journal") }}{{ end -}}
{{- if has "orders" $needs }}{{ $_ := set $made.audit "signing_key_file" "/run/secrets/rtcc-bridge/audit-signing-key" }}{{ end -}}
{{- if has "objects" $needs }}{{ $_ := set $made "objects" (fromYaml (include "rtcc-bridge.objectSettings" .)) }}{{ end -}}
{{- if or (has "signs" $needs) (has "checks" $needs) -}}
{{- $_ := set $made "authority" (dict "public_keys_file" "/run/secrets/rtcc-bridge/authority-public-keys") -}}
{{- end -}}
{{- if has "signs" $needs }}{{ $_ := set $made.authority "signing_key_file" "/run/secrets/rtcc-bridge/authority-key" }}{{ end -}}
{{- if has "packs" $needs }}{{ $_ := set $made "matching" (dict "packs_directory" "/var/lib/rtcc-bridge/packs") }}{{ end -}}
{{- if has "evaluationPublicKey" $secrets }}{{ $_ := set $made.matching "evaluation_key_file" "/run/secrets/rtcc-bridge/evaluation-public-key" }}{{ end -}}
{{- if has "gpu" $needs }}{{ $_ := set $made.matching "device" (include "rtcc-bridge.device" .root) }}{{ end -}}
{{- if and (has "gpu" $needs) $values.matcher.gpu.enabled }}{{ $_ := set $made.matching "expects_gpu" true }}{{ end -}}
{{- if has "operations" $needs }}{{ $_ := set $made "operations" (dict "host" $values.operations.host "port" 9464) }}{{ end -}}
{{- if has "policy" $needs }}{{ $_ := set $made "policy" (fromYaml (include "rtcc-bridge.policySettings" .)) }}{{ end -}}
{{- $reports := dict -}}
{{- if has "packets" $needs }}{{ $_ := set $reports "signing_key_file" "/run/secrets/rtcc-bridge/packet-signing-key" }}{{ end -}}
{{- if include "rtcc-bridge.hasRoster" . }}{{ $_ := set $reports "roster_file" "/etc/rtcc-bridge/roster.csv" }}{{ end -}}
{{- with $reports }}{{ $_ := set $made "reports" . }}{{ end -}}
{{- if has "web" $needs -}}
{{- $_ := set $made "web" (dict "host" (include "rtcc-bridge.webHost" .root) "port" 8080) -}}
{{- if $values.web.expose.enabled -}}
{{- $_ := set $made.web "public_url" (printf "https://%s" $values.web.expose.host) -}}
{{- $_ := set $made.web "trusted_proxies" $values.web.expose.proxies -}}
{{- end -}}
{{- end -}}
{{- if include "rtcc-bridge.signsIn" . -}}
{{- $_ := set $made "identity" (dict "client_secret_file" "/run/secrets/rtcc-bridge/identity-client-secret") -}}
{{- if or $values.identity.ca.secret $values.identity.ca.configMap -}}
{{- $_ := set $made.identity "ca_file" (include "rtcc-bridge.caFile" (dict "ca" $values.identity.ca "path" "identity.pem")) -}}
{{- end -}}
{{- else if hasKey $given "identity" -}}
{{- /* Only the web asks the provider, and only it has the secret. */ -}}
{{- $given = omit $given "identity" -}}
{{- end -}}
{{- if and (hasKey $given "audit") (not (has "outside" $needs)) -}}
{{- /* Only who brings checkpoints outside, or looks whether that can be done, is let there. */ -}}
{{- $_ := set $given "audit" (omit $given.audit "outside_url" "witness_url" "witness_key") -}}
{{- end -}}
{{- if and (hasKey $given "matching") (not (has "packs" $needs)) -}}
{{- /* Only who works with the model pack has its volume, and `check-config` looks whether it is there. */ -}}
{{- $_ := set $given "matching" (omit $given.matching "pack") -}}
{{- end -}}
{{- $ca := $values.tracing.ca -}}
{{- if and (has "collector" $needs) (dig "tracing" "endpoint" "" $given) (or $ca.secret $ca.configMap) -}}
{{- $_ := set $made "tracing" (dict "ca_file" (include "rtcc-bridge.caFile" (dict "ca" $ca "path" "collector.pem"))) -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $given $made) -}}
{{- end -}}

{{/* What the site set for a role: `settings`, and over it the role's own. */}}
{{- define "rtcc-bridge.given" -}}
{{- $own := get (index .root.Values .role | default dict) "settings" | default dict -}}
{{- toYaml (mustMergeOverwrite (deepCopy .root.Values.settings) (deepCopy $own)) -}}
{{- end -}}

{{/* "yes" where the role looks for off-shift use (P27). */}}
{{- define "rtcc-bridge.hasRoster" -}}
{{- if and .root.Values.reports.rosterConfigMap (include "rtcc-bridge.hasNeed" (dict "role" .role "what" "misuse")) }}yes{{ end -}}
{{- end -}}

{{/* "yes" where the role lets people sign in with the identity provider. */}}
{{- define "rtcc-bridge.signsIn" -}}
{{- $given := fromYaml (include "rtcc-bridge.given" .) -}}
{{- if and (include "rtcc-bridge.hasNeed" (dict "role" .role "what" "web")) (dig "identity" "issuer" "" $given) }}yes{{ end -}}
{{- end -}}

{{/* Loopback, or every address of the pod where the web is exposed. */}}
{{- define "rtcc-bridge.webHost" -}}
{{- .Values.web.expose.enabled | ternary .Values.operations.host "127.0.0.1" -}}
{{- end -}}

{{- define "rtcc-bridge.policySettings" -}}
file: /etc/rtcc-bridge/policy.yaml
{{- if .root.Values.policy.cityKey }}
administrator_key_file: /etc/rtcc-bridge/administrator.pem
city_key_file: /etc/rtcc-bridge/city.pem
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.device" -}}
{{- if not .Values.matcher.gpu.enabled }}cpu{{ else if eq .Values.matcher.gpu.onLoss "refuse" }}cuda{{ else }}auto{{ end -}}
{{- end -}}

{{/* No group_instance_id: a Deployment's pods have a new name at each start, under which a static member would be waited
for in vain (docs/decisions). */}}
{{- define "rtcc-bridge.kafkaSettings" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $user := index $kafka.users (include "rtcc-bridge.party" .) -}}
bootstrap_servers: {{ toJson $kafka.bootstrapServers }}
client_id: {{ include "rtcc-bridge.name" . }}
{{- $sasl := has $kafka.authentication (list "password" "token") }}
security_protocol: {{ $sasl | ternary "SASL_SSL" ($kafka.tls.enabled | ternary "SSL" "PLAINTEXT") }}
{{- if $kafka.tls.enabled }}
tls:
  ca_file: {{ include "rtcc-bridge.caFile" (dict "ca" $kafka.tls.ca "path" "kafka.pem") }}
  {{- if eq $kafka.authentication "certificate" }}
  certificate_file: /run/secrets/rtcc-bridge/kafka.crt
  key_file: /run/secrets/rtcc-bridge/kafka.key
  {{- end }}
{{- end }}
{{- if eq $kafka.authentication "password" }}
sasl:
  mechanism: {{ $kafka.mechanism }}
  username: {{ $user | quote }}
  password_file: /run/secrets/rtcc-bridge/kafka-password
{{- else if eq $kafka.authentication "token" }}
sasl:
  mechanism: OAUTHBEARER
  token:
    endpoint: {{ $kafka.token.endpoint | quote }}
    client_id: {{ $user | quote }}
    client_secret_file: /run/secrets/rtcc-bridge/kafka-password
    scope: {{ empty $kafka.token.scope | ternary "null" (quote $kafka.token.scope) }}
    ca_file: {{ include "rtcc-bridge.caFile" (dict "ca" $kafka.token.ca "path" "token.pem") }}
{{- end }}
{{- end -}}

{{/* The URL of PostgreSQL has a password in it and comes from the environment. */}}
{{- define "rtcc-bridge.databaseSettings" -}}
{{- $database := .root.Values.database -}}
application_name: {{ include "rtcc-bridge.name" . }}
{{- if eq $database.type "sqlite" }}
url: sqlite+aiosqlite:////var/lib/rtcc-bridge/database/rtcc-bridge.sqlite3
{{- else if or $database.ca.secret $database.ca.configMap }}
tls_ca_file: /etc/rtcc-bridge/authorities/database.pem
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.objectSettings" -}}
{{- $objects := .root.Values.objects -}}
url: {{ eq $objects.type "s3" | ternary $objects.url "file:///var/lib/rtcc-bridge/objects" | quote }}
ledger_url: {{ empty $objects.ledgerUrl | ternary "null" (quote $objects.ledgerUrl) }}
{{- if has "masterKey" (splitList " " (include "rtcc-bridge.secretsOfRole" .)) }}
master_key_file: /run/secrets/rtcc-bridge/master-key
{{- end }}
{{- if has "galleryKey" (splitList " " (include "rtcc-bridge.secretsOfRole" .)) }}
gallery_key_file: /run/secrets/rtcc-bridge/gallery-key
{{- end }}
{{- if eq $objects.keys "transit" }}
transit_url: {{ $objects.transit.url | quote }}
transit_mount: {{ $objects.transit.mount | quote }}
transit_key: {{ $objects.transit.key | quote }}
transit_token_file: /run/secrets/rtcc-bridge/transit-token
transit_ca_file: {{ include "rtcc-bridge.caFile" (dict "ca" $objects.transit.ca "path" "transit.pem") }}
{{- end }}
{{- end -}}

{{/* Seconds between a pod's leaving its Service and SIGTERM. */}}
{{- define "rtcc-bridge.preStopSeconds" -}}
{{- include "rtcc-bridge.hasNeed" (dict "role" .role "what" "web") | empty | ternary 0 .root.Values.web.preStopSeconds | int -}}
{{- end -}}

{{/* Seconds that a process of the role takes at most to stop, as a whole number. */}}
{{- define "rtcc-bridge.shutdownSeconds" -}}
{{- $settings := fromYaml (include "rtcc-bridge.settings" .) -}}
{{- dig "process" "shutdown_seconds" 16 $settings | float64 | ceil | int -}}
{{- end -}}
