{{/* Small objects that several roles have. Each takes (dict "root" $ "role" "matcher"). */}}

{{/* The settings of a role; for a Job "weight" too, since it runs before those of the release are there. */}}
{{- define "rtcc-bridge.configMap" -}}
{{- $context := . -}}
{{- if .weight }}{{ $context = set . "annotations" (fromYaml (include "rtcc-bridge.hook" .)) }}{{ end -}}
apiVersion: v1
kind: ConfigMap
{{ include "rtcc-bridge.metadata" $context }}
data:
  rtcc-bridge.yaml: |
    {{- include "rtcc-bridge.settings" . | nindent 4 }}
{{- end -}}

{{- define "rtcc-bridge.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
{{ include "rtcc-bridge.metadata" . }}
spec:
  maxUnavailable: {{ int .root.Values.maxUnavailable }}
  # A pod that is not ready serves nobody, so it does not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "rtcc-bridge.selector" . | nindent 6 }}
{{- end -}}
