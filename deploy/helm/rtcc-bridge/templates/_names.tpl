{{/* Names, labels and the roles. Most helpers take (dict "root" $ "role" "matcher"). */}}

{{- define "rtcc-bridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- /* 40 leaves room for the longest suffix within the 63 characters of a label. */ -}}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rtcc-bridge.name" -}}
{{- printf "%s-%s" (include "rtcc-bridge.fullname" .root) .role -}}
{{- end -}}

{{/* What finds the pods of a role. Never changed: a Deployment cannot change its selector. */}}
{{- define "rtcc-bridge.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "rtcc-bridge.labels" -}}
{{ include "rtcc-bridge.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The head of an object of a role; without a role, of the release. */}}
{{- define "rtcc-bridge.metadata" -}}
metadata:
  name: {{ .name | default (include "rtcc-bridge.name" .) }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "rtcc-bridge.labels" . | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "rtcc-bridge.isSingle" -}}
{{- if eq .Values.database.type "sqlite" }}yes{{ end -}}
{{- end -}}

{{/* The Deployments of this release. */}}
{{- define "rtcc-bridge.roles" -}}
{{- if include "rtcc-bridge.isSingle" . }}single{{ else }}web consumer matcher relay{{ end -}}
{{- end -}}

{{/* "yes" where the role has a Deployment in this release. */}}
{{- define "rtcc-bridge.hasRole" -}}
{{- if has .role (splitList " " (include "rtcc-bridge.roles" .root)) }}yes{{ end -}}
{{- end -}}

{{/* The Deployment that serves the web. */}}
{{- define "rtcc-bridge.webRole" -}}
{{- if include "rtcc-bridge.isSingle" . }}single{{ else }}web{{ end -}}
{{- end -}}

{{/* What a role needs: the one table for its settings, its secrets, its volumes and its network. A consumer has to hold
the master key to start, and opens and seals nothing. Who records approvals signs search requests, and a matcher checks
them with a key that cannot sign (P30); consumers and tools have that public key too, since `check-config` asks each process
for one. The relay alone orders the audit log, signs its checkpoints and brings them outside (P22). Templates are opened and
sealed by matchers alone, and by the commands of an operator (docs/decisions/0054). Who acts keeps a journal (P23). */}}
{{- define "rtcc-bridge.needs" -}}
{{- get (dict
  "web" "operations policy database objects keys keyService packs collector journal web signs packets misuse"
  "consumer" "operations policy broker database objects keys collector journal checks"
  "matcher" "operations policy broker database objects keys keyService packs collector journal gpu checks galleries evaluation"
  "relay" "operations policy broker database objects keys keyService collector journal signs orders outside misuse"
  "single" "operations policy broker database objects keys keyService packs collector journal web gpu signs orders outside galleries evaluation packets misuse"
  "tools" "policy broker database objects keys keyService packs scratch journal checks outside galleries packets misuse"
  "migration" "database"
  "topics" "broker"
) .role -}}
{{- end -}}

{{/* "yes" where the role needs it. Takes (dict "role" "matcher" "what" "broker"). */}}
{{- define "rtcc-bridge.hasNeed" -}}
{{- if has .what (splitList " " (include "rtcc-bridge.needs" .)) }}yes{{ end -}}
{{- end -}}

{{/* "yes" in the profile demo, whose gallery stands in for a live one. */}}
{{- define "rtcc-bridge.isDemo" -}}
{{- if eq (dig "profile" "demo" .Values.settings) "demo" }}yes{{ end -}}
{{- end -}}

{{/* As whom a role is known to the broker: the command line is the operator's. */}}
{{- define "rtcc-bridge.party" -}}
{{- if has .role (list "topics" "tools") }}operator{{ else }}{{ .role }}{{ end -}}
{{- end -}}

{{/* Who gets secrets and reaches others: the Deployments, and the Jobs that are on. */}}
{{- define "rtcc-bridge.parties" -}}
{{- include "rtcc-bridge.roles" . -}}
{{- if .Values.tools.enabled }} tools{{ end -}}
{{- if include "rtcc-bridge.hasMigration" . }} migration{{ end -}}
{{- if ne .Values.topics.job "none" }} topics{{ end -}}
{{- end -}}

{{/* SQLite lies on a volume that is not there before an installation and is in use before an upgrade: the process brings
its revision along itself. */}}
{{- define "rtcc-bridge.hasMigration" -}}
{{- if and .Values.migration.enabled (eq .Values.database.type "postgresql") }}yes{{ end -}}
{{- end -}}

{{/* The pods of a role; nothing where something else decides on their number. */}}
{{- define "rtcc-bridge.replicas" -}}
{{- $own := index .root.Values .role -}}
{{- if eq .role "single" -}}
1
{{- else if not (dig "autoscaling" "enabled" false $own) -}}
{{- kindIs "invalid" $own.replicas | ternary 2 $own.replicas -}}
{{- end -}}
{{- end -}}

{{- define "rtcc-bridge.serviceAccountName" -}}
{{- default (include "rtcc-bridge.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The account of a Job that may run before the release's own account is there. */}}
{{- define "rtcc-bridge.hookServiceAccountName" -}}
{{- .Values.serviceAccount.create | ternary "default" .Values.serviceAccount.name -}}
{{- end -}}

{{/* When the Jobs run, and what becomes of them. Takes (dict "root" $ "weight" "0"). */}}
{{- define "rtcc-bridge.hook" -}}
helm.sh/hook: {{ .root.Values.externalSecrets.enabled | ternary "post-install" "pre-install" }},pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
