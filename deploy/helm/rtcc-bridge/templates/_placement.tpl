{{/* What a pod takes of a node, and on which nodes it goes. */}}

{{- define "rtcc-bridge.resources" -}}
{{- $resources := deepCopy (index .root.Values .role).resources -}}
{{- $gpu := .root.Values.matcher.gpu -}}
{{- if and $gpu.enabled (include "rtcc-bridge.hasNeed" (dict "role" .role "what" "gpu")) -}}
{{- $_ := set $resources "limits" (merge (dict $gpu.resource (int $gpu.count)) ($resources.limits | default dict)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Where the pods of a role go. */}}
{{- define "rtcc-bridge.placement" -}}
{{- $own := index .root.Values .role -}}
{{- $gpu := .root.Values.matcher.gpu -}}
{{- $tolerations := $own.tolerations -}}
{{- if and $gpu.enabled (include "rtcc-bridge.hasNeed" (dict "role" .role "what" "gpu")) -}}
{{- $tolerations = concat $tolerations $gpu.tolerations -}}
{{- with $gpu.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.topologySpread.keys }}
topologySpreadConstraints:
  {{- range . }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "rtcc-bridge.selector" $ | nindent 8 }}
    # Counts each generation of pods by itself, so that an upgrade ends as evenly spread as it began.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}

{{/* How a role's pods are replaced. A second pod with a GPU, or on the same SQLite file, is not to be had meanwhile. */}}
{{- define "rtcc-bridge.strategy" -}}
{{- if eq .role "single" -}}
type: Recreate
{{- else if and (eq .role "matcher") .root.Values.matcher.gpu.enabled -}}
type: RollingUpdate
rollingUpdate: {maxSurge: 0, maxUnavailable: 1}
{{- else -}}
type: RollingUpdate
rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
{{- end -}}
{{- end -}}
