{{/* Where a secret is: name and key. Takes (dict "root" $ "secret" "masterKey"). */}}
{{- define "rtcc-bridge.secretRef" -}}
{{- $values := .root.Values -}}
{{- $own := index $values.secrets .secret -}}
{{- if $values.externalSecrets.enabled -}}
name: {{ include "rtcc-bridge.fullname" .root }}-external
{{- else -}}
name: {{ default $values.secrets.existingSecret $own.secret }}
{{- end }}
key: {{ $own.key }}
{{- end -}}

{{/* The entry of `secrets` that holds a role's proof for the broker. */}}
{{- define "rtcc-bridge.brokerSecret" -}}
kafka{{ include "rtcc-bridge.party" . | title }}
{{- end -}}

{{/* The entries of `secrets` that a role needs, with spaces between them. */}}
{{- define "rtcc-bridge.secretsOfRole" -}}
{{- $values := .root.Values -}}
{{- $needs := splitList " " (include "rtcc-bridge.needs" .) -}}
{{- $found := list -}}
{{- if and (has "database" $needs) (eq $values.database.type "postgresql") -}}
{{- $found = append $found "databaseUrl" -}}
{{- end -}}
{{- if has "keys" $needs -}}
{{- if or (eq $values.objects.keys "secret") $values.objects.transit.earlierMasterKey -}}
{{- $found = append $found "masterKey" -}}
{{- end -}}
{{- if eq $values.objects.keys "transit" -}}
{{- $found = append $found "transitToken" -}}
{{- end -}}
{{- end -}}
{{- if has "signs" $needs }}{{ $found = append $found "authorityKey" }}{{ end -}}
{{- if or (has "signs" $needs) (has "checks" $needs) }}{{ $found = append $found "authorityPublicKeys" }}{{ end -}}
{{- if has "orders" $needs }}{{ $found = append $found "auditSigningKey" }}{{ end -}}
{{- if and (has "galleries" $needs) (eq $values.objects.galleryKey "own") }}{{ $found = append $found "galleryKey" }}{{ end -}}
{{- if has "packets" $needs }}{{ $found = append $found "packetSigningKey" }}{{ end -}}
{{- if and (has "evaluation" $needs) (not (include "rtcc-bridge.isDemo" .root)) }}{{ $found = append $found "evaluationPublicKey" }}{{ end -}}
{{- if include "rtcc-bridge.usesBuckets" . -}}
{{- $found = concat $found (list "objectsAccessKeyId" "objectsSecretAccessKey") -}}
{{- end -}}
{{- if and (has "broker" $needs) (has $values.kafka.authentication (list "password" "token")) -}}
{{- $found = append $found (include "rtcc-bridge.brokerSecret" .) -}}
{{- end -}}
{{- if include "rtcc-bridge.signsIn" . -}}
{{- $found = append $found "identityClient" -}}
{{- end -}}
{{- join " " $found -}}
{{- end -}}

{{/* "yes" where the role reaches the store of the objects, or that of the bookings' pictures beside it. */}}
{{- define "rtcc-bridge.usesObjectStore" -}}
{{- $needs := splitList " " (include "rtcc-bridge.needs" .) -}}
{{- $pictures := dig "records" "pictures_url" "" (fromYaml (include "rtcc-bridge.given" .)) | default "" -}}
{{- if or (and (has "objects" $needs) (eq .root.Values.objects.type "s3")) (and (has .role (list "matcher" "single")) (hasPrefix "s3://" $pictures)) }}yes{{ end -}}
{{- end -}}

{{/* "yes" where the role shows the access key: to that store, or to the one outside that keeps checkpoints. */}}
{{- define "rtcc-bridge.usesBuckets" -}}
{{- $outside := dig "audit" "outside_url" "" (fromYaml (include "rtcc-bridge.given" .)) | default "" -}}
{{- if or (include "rtcc-bridge.usesObjectStore" .) (and (has "outside" (splitList " " (include "rtcc-bridge.needs" .))) (hasPrefix "s3://" $outside)) }}yes{{ end -}}
{{- end -}}

{{/* The entries of `secrets` that this release needs, with spaces between them. */}}
{{- define "rtcc-bridge.secretsOfRelease" -}}
{{- $found := list -}}
{{- range $role := splitList " " (include "rtcc-bridge.parties" .) -}}
{{- $found = concat $found (splitList " " (include "rtcc-bridge.secretsOfRole" (dict "root" $ "role" $role))) -}}
{{- end -}}
{{- $found | uniq | compact | sortAlpha | join " " -}}
{{- end -}}

{{/* The Secret with the certificate that a role shows to the broker. */}}
{{- define "rtcc-bridge.certificateOf" -}}
{{- index .root.Values.kafka.certificates (include "rtcc-bridge.party" .) -}}
{{- end -}}

{{/* The environment of a container: what the program takes from there alone. */}}
{{- define "rtcc-bridge.env" -}}
{{- $values := .root.Values -}}
{{- $secrets := splitList " " (include "rtcc-bridge.secretsOfRole" .) -}}
- name: HOME
  value: /tmp
- name: RTCC_BRIDGE_CONFIG
  value: /etc/rtcc-bridge/rtcc-bridge.yaml
{{- range $variable, $secret := dict
  "RTCC_BRIDGE_DATABASE__URL" "databaseUrl"
  "AWS_ACCESS_KEY_ID" "objectsAccessKeyId"
  "AWS_SECRET_ACCESS_KEY" "objectsSecretAccessKey" }}
{{- if has $secret $secrets }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      {{- include "rtcc-bridge.secretRef" (dict "root" $.root "secret" $secret) | nindent 6 }}
{{- end }}
{{- end }}
{{- if has "objectsAccessKeyId" $secrets }}
- name: AWS_REGION
  value: {{ $values.objects.s3.region | quote }}
{{- with $values.objects.s3.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The secrets that a role gets as files, as sources of a projected volume. The program refuses a file that others may
read: 0440 and the pod's group. */}}
{{- define "rtcc-bridge.secretFiles" -}}
{{- $secrets := splitList " " (include "rtcc-bridge.secretsOfRole" .) -}}
{{- range $path, $secret := dict
  "master-key" "masterKey"
  "transit-token" "transitToken"
  "authority-key" "authorityKey"
  "authority-public-keys" "authorityPublicKeys"
  "identity-client-secret" "identityClient"
  "audit-signing-key" "auditSigningKey"
  "gallery-key" "galleryKey"
  "packet-signing-key" "packetSigningKey"
  "evaluation-public-key" "evaluationPublicKey"
  "kafka-password" (include "rtcc-bridge.brokerSecret" .) }}
{{- if has $secret $secrets }}
{{- $ref := fromYaml (include "rtcc-bridge.secretRef" (dict "root" $.root "secret" $secret)) }}
- secret:
    name: {{ $ref.name }}
    items:
      - {key: {{ $ref.key }}, path: {{ $path }}}
{{- end }}
{{- end }}
{{- if and (include "rtcc-bridge.hasNeed" (dict "role" .role "what" "broker")) (eq .root.Values.kafka.authentication "certificate") }}
- secret:
    name: {{ include "rtcc-bridge.certificateOf" . }}
    items:
      - {key: tls.crt, path: kafka.crt}
      - {key: tls.key, path: kafka.key}
{{- end }}
{{- end -}}

{{/* One authority as a source of a projected volume. Takes (dict "ca" $values.kafka.tls.ca "path" "kafka.pem"). */}}
{{- define "rtcc-bridge.caSource" -}}
{{- $kind := empty .ca.secret | ternary "configMap" "secret" -}}
{{- if or .ca.secret .ca.configMap }}
- {{ $kind }}:
    name: {{ index .ca $kind }}
    items:
      - {key: {{ .ca.key }}, path: {{ printf "authorities/%s" .path }}}
{{- end }}
{{- end -}}

{{/* The setting that names that file, null where there is none. */}}
{{- define "rtcc-bridge.caFile" -}}
{{- if or .ca.secret .ca.configMap }}/etc/rtcc-bridge/authorities/{{ .path }}{{ else }}null{{ end -}}
{{- end -}}

{{/* The authorities that a role checks others by. */}}
{{- define "rtcc-bridge.authorities" -}}
{{- $values := .root.Values -}}
{{- $needs := splitList " " (include "rtcc-bridge.needs" .) -}}
{{- if has "broker" $needs }}
{{- if $values.kafka.tls.enabled }}{{ include "rtcc-bridge.caSource" (dict "ca" $values.kafka.tls.ca "path" "kafka.pem") }}{{ end }}
{{- if eq $values.kafka.authentication "token" }}{{ include "rtcc-bridge.caSource" (dict "ca" $values.kafka.token.ca "path" "token.pem") }}{{ end }}
{{- end }}
{{- if and (has "database" $needs) (eq $values.database.type "postgresql") }}
{{- include "rtcc-bridge.caSource" (dict "ca" $values.database.ca "path" "database.pem") }}
{{- end }}
{{- if and (has "keys" $needs) (eq $values.objects.keys "transit") }}
{{- include "rtcc-bridge.caSource" (dict "ca" $values.objects.transit.ca "path" "transit.pem") }}
{{- end }}
{{- if include "rtcc-bridge.signsIn" . }}
{{- include "rtcc-bridge.caSource" (dict "ca" $values.identity.ca "path" "identity.pem") }}
{{- end }}
{{- if has "collector" $needs }}
{{- include "rtcc-bridge.caSource" (dict "ca" $values.tracing.ca "path" "collector.pem") }}
{{- end }}
{{- end -}}
