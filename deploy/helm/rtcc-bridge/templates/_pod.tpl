{{/* What every pod has, of a Deployment and of a Job: its image, and what it may do. */}}

{{/* Takes (dict "root" $ "role" "matcher"). */}}
{{- define "rtcc-bridge.image" -}}
{{- $values := .root.Values -}}
{{- $gpu := include "rtcc-bridge.hasNeed" (dict "role" .role "what" "gpu") -}}
{{- $kind := "cpu" -}}
{{- if $gpu -}}
{{- $kind = default ($values.matcher.gpu.enabled | ternary "cuda" "cpu") $values.matcher.image -}}
{{- end -}}
{{- $image := index $values.image $kind -}}
{{- with $values.image.registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ default (eq $kind "cuda" | ternary (printf "%s-cuda" .root.Chart.AppVersion) .root.Chart.AppVersion) $image.tag }}
{{- end -}}
{{- end -}}

{{/* The restricted Pod Security Standard, and no token of Kubernetes. */}}
{{- define "rtcc-bridge.podSecurity" -}}
{{- $security := .root.Values.podSecurity -}}
automountServiceAccountToken: false
# A Service named like this chart would be told in variables that begin with RTCC_BRIDGE_, and the program refuses those
# that it does not know.
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with $security.runAsUser }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  {{- with $security.fsGroup }}
  fsGroup: {{ int64 . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "rtcc-bridge.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
{{- end -}}
