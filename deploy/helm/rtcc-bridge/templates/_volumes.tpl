{{/* The files of a pod: settings and secrets, which are read, and what is written. */}}

{{/* Takes (dict "root" $ "role" "matcher"). The two folders of settings and secrets, and those that are written to. */}}
{{- define "rtcc-bridge.mounts" -}}
- {name: settings, mountPath: /etc/rtcc-bridge, readOnly: true}
{{- if include "rtcc-bridge.secretFiles" . | trim }}
- {name: secrets, mountPath: /run/secrets/rtcc-bridge, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- if include "rtcc-bridge.hasNeed" (dict "role" .role "what" "scratch") }}
- {name: scratch, mountPath: /var/lib/rtcc-bridge/scratch}
{{- end }}
{{- range include "rtcc-bridge.claims" . | fromYamlArray }}
- {name: {{ .volume }}, mountPath: /var/lib/rtcc-bridge/{{ .volume }}}
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.volumes" -}}
- name: settings
  projected:
    defaultMode: 0444
    sources:
      - configMap:
          name: {{ include "rtcc-bridge.name" . }}
      {{- if include "rtcc-bridge.hasNeed" (dict "role" .role "what" "policy") }}
      {{- $policy := .root.Values.policy }}
      {{- $holder := default (printf "%s-policy" (include "rtcc-bridge.fullname" .root)) $policy.existingConfigMap }}
      - configMap:
          name: {{ $holder }}
          items:
            - {key: policy.yaml, path: policy.yaml}
            {{- if $policy.cityKey }}
            - {key: policy.yaml.signatures, path: policy.yaml.signatures}
            {{- end }}
      {{- if $policy.cityKey }}
      - configMap:
          name: {{ include "rtcc-bridge.fullname" .root }}-policy-keys
          items:
            - {key: administrator.pem, path: administrator.pem}
            - {key: city.pem, path: city.pem}
      {{- end }}
      {{- end }}
      {{- if include "rtcc-bridge.hasRoster" . }}
      - configMap:
          name: {{ .root.Values.reports.rosterConfigMap }}
          items:
            - {key: roster.csv, path: roster.csv}
      {{- end }}
      {{- with include "rtcc-bridge.authorities" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
{{- with include "rtcc-bridge.secretFiles" . | trim }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- if include "rtcc-bridge.hasNeed" (dict "role" .role "what" "scratch") }}
- name: scratch
  emptyDir:
    sizeLimit: {{ .root.Values.tools.scratchSize }}
{{- end }}
{{- range include "rtcc-bridge.claims" . | fromYamlArray }}
- name: {{ .volume }}
  persistentVolumeClaim:
    claimName: {{ .claim }}
{{- end }}
{{- end -}}

{{/* The claims that a role mounts, each under /var/lib/rtcc-bridge. */}}
{{- define "rtcc-bridge.claims" -}}
{{- $values := .root.Values -}}
{{- $needs := splitList " " (include "rtcc-bridge.needs" .) -}}
{{- if has "packs" $needs }}
- {volume: packs, claim: {{ include "rtcc-bridge.claim" (dict "root" .root "volume" $values.packs.volume "role" "packs") }}}
{{- end }}
{{- if has "journal" $needs }}
- {volume: audit-journal, claim: {{ include "rtcc-bridge.claim" (dict "root" .root "volume" $values.auditJournal.volume "role" "audit-journal") }}}
{{- end }}
{{- if and (has "objects" $needs) (eq $values.objects.type "folder") }}
- {volume: objects, claim: {{ include "rtcc-bridge.claim" (dict "root" .root "volume" $values.objects.volume "role" "objects") }}}
{{- end }}
{{- if and (has "database" $needs) (eq $values.database.type "sqlite") }}
- {volume: database, claim: {{ include "rtcc-bridge.claim" (dict "root" .root "volume" $values.database.volume "role" "database") }}}
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.claim" -}}
{{- default (include "rtcc-bridge.name" .) .volume.existingClaim -}}
{{- end -}}

{{/* A claim, where the chart makes it. It is kept when the release is removed: evidence does not go with a program. */}}
{{- define "rtcc-bridge.persistentVolumeClaim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
{{ include "rtcc-bridge.metadata" (set . "annotations" (dict "helm.sh/resource-policy" "keep")) }}
spec:
  accessModes: [{{ .volume.accessMode | default "ReadWriteOnce" }}]
  {{- with .volume.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .volume.size }}
{{- end -}}
