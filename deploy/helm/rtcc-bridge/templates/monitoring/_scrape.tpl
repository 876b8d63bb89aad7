{{/* What a PodMonitor and a ServiceMonitor have in common: one endpoint, under the job that the
alerts know. Roles and pods are told apart by the labels `container` and `pod`, which the operator adds. */}}
{{- define "rtcc-bridge.endpoint" -}}
port: ops
path: /metrics
interval: {{ .Values.monitoring.intervalSeconds }}s
relabelings:
  - {targetLabel: job, replacement: rtcc-bridge}
{{- end -}}

{{/* Every pod of the daemon, whatever its role; the Jobs open no port. */}}
{{- define "rtcc-bridge.scraped" -}}
{{- include "rtcc-bridge.selector" (dict "root" . "role" "") -}}
{{- end -}}
