{{/* Whom a role reaches and who reaches it. Both directions are listed, so what is not here is refused. The picture
workers, children of the web process, reach nothing at all: their system-call filter ends one that opens a socket. */}}

{{/* The parts of `networkPolicy` that a role reaches, with spaces between them. */}}
{{- define "rtcc-bridge.reaches" -}}
{{- $values := .root.Values -}}
{{- $needs := splitList " " (include "rtcc-bridge.needs" .) -}}
{{- $found := list "dns" -}}
{{- if has "broker" $needs }}{{ $found = append $found "broker" }}{{ end -}}
{{- if and (has "broker" $needs) (eq $values.kafka.authentication "token") }}{{ $found = append $found "identity" }}{{ end -}}
{{- if and (has "database" $needs) (eq $values.database.type "postgresql") }}{{ $found = append $found "database" }}{{ end -}}
{{- if include "rtcc-bridge.usesObjectStore" . }}{{ $found = append $found "objects" }}{{ end -}}
{{- if and (has "keyService" $needs) (eq $values.objects.keys "transit") }}{{ $found = append $found "keyService" }}{{ end -}}
{{- if include "rtcc-bridge.signsIn" . }}{{ $found = append $found "identityProvider" }}{{ end -}}
{{- if has "outside" $needs -}}
{{- $given := fromYaml (include "rtcc-bridge.given" .) -}}
{{- if dig "audit" "outside_url" "" $given }}{{ $found = append $found "checkpointStore" }}{{ end -}}
{{- if dig "audit" "witness_url" "" $given }}{{ $found = append $found "witness" }}{{ end -}}
{{- end -}}
{{- if and (has "collector" $needs) (include "rtcc-bridge.traces" .) }}{{ $found = append $found "collector" }}{{ end -}}
{{- join " " $found -}}
{{- end -}}

{{/* "yes" where the role sends traces. */}}
{{- define "rtcc-bridge.traces" -}}
{{- if dig "tracing" "endpoint" "" (fromYaml (include "rtcc-bridge.settings" .)) }}yes{{ end -}}
{{- end -}}

{{/* Takes (dict "root" $ "role" "matcher"), for a Job "weight" too. */}}
{{- define "rtcc-bridge.networkPolicy" -}}
{{- $values := .root.Values -}}
{{- $role := .role -}}
{{- $context := . -}}
{{- if .weight }}{{ $context = set . "annotations" (fromYaml (include "rtcc-bridge.hook" .)) }}{{ end -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "rtcc-bridge.metadata" $context }}
spec:
  podSelector:
    matchLabels:
      {{- include "rtcc-bridge.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- if include "rtcc-bridge.hasNeed" (dict "role" $role "what" "operations") }}
  ingress:
    # The kubelet's probes come from the pod's own node, which is always allowed.
    - from:
        {{- toYaml $values.networkPolicy.prometheus.from | nindent 8 }}
      ports:
        - {protocol: TCP, port: 9464}
    {{- if and $values.web.expose.enabled (include "rtcc-bridge.hasNeed" (dict "role" $role "what" "web")) }}
    - from:
        {{- toYaml $values.networkPolicy.controller.from | nindent 8 }}
      ports:
        - {protocol: TCP, port: 8080}
    {{- end }}
  {{- else }}
  ingress: []
  {{- end }}
  egress:
    {{- range $part := splitList " " (include "rtcc-bridge.reaches" .) }}
    {{- $peers := index $values.networkPolicy $part }}
    # {{ $part }}
    - to:
        {{- toYaml $peers.to | nindent 8 }}
      ports:
        {{- range $peers.ports }}
        - {protocol: TCP, port: {{ int . }}}
        {{- if eq $part "dns" }}
        - {protocol: UDP, port: {{ int . }}}
        {{- end }}
        {{- end }}
    {{- end }}
{{- end -}}
