{{/* What KEDA needs to ask the broker for the lag, as the matchers' user: a name, the words of its scaler `kafka`, and
what of that it takes by reference only. */}}

{{- define "rtcc-bridge.scalerMetadata" -}}
{{- $kafka := .Values.kafka -}}
tls: {{ $kafka.tls.enabled | ternary "enable" "disable" }}
{{- if eq $kafka.authentication "password" }}
sasl: {{ get (dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512") $kafka.mechanism }}
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.scalerName" -}}
{{ include "rtcc-bridge.fullname" . }}-matcher-scaler
{{- end -}}

{{- define "rtcc-bridge.scalerAuthentication" -}}
{{- $kafka := .Values.kafka -}}
{{- $secrets := list -}}
{{- $maps := list -}}
{{- if $kafka.tls.enabled -}}
{{- with $kafka.tls.ca.secret }}{{ $secrets = append $secrets (dict "parameter" "ca" "name" . "key" $kafka.tls.ca.key) }}{{ end -}}
{{- with $kafka.tls.ca.configMap }}{{ $maps = append $maps (dict "parameter" "ca" "name" . "key" $kafka.tls.ca.key) }}{{ end -}}
{{- end -}}
{{- if eq $kafka.authentication "password" -}}
{{- $ref := fromYaml (include "rtcc-bridge.secretRef" (dict "root" . "secret" "kafkaMatcher")) -}}
{{- $secrets = append $secrets (dict "parameter" "password" "name" $ref.name "key" $ref.key) -}}
{{- $maps = append $maps (dict "parameter" "username" "name" (include "rtcc-bridge.scalerName" .) "key" "username") -}}
{{- else if eq $kafka.authentication "certificate" -}}
{{- $name := $kafka.certificates.matcher -}}
{{- $secrets = concat $secrets (list (dict "parameter" "cert" "name" $name "key" "tls.crt") (dict "parameter" "key" "name" $name "key" "tls.key")) -}}
{{- end -}}
{{- with $secrets }}
secretTargetRef:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $maps }}
configMapTargetRef:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* "yes" where matchers are scaled. */}}
{{- define "rtcc-bridge.hasScaler" -}}
{{- if .Values.matcher.autoscaling.enabled }}{{ include "rtcc-bridge.hasRole" (dict "root" . "role" "matcher") }}{{ end -}}
{{- end -}}
