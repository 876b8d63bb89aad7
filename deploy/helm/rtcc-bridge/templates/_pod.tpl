{{/* The pods: what a Deployment of the daemon and a Job of the command line have in common, and the Deployment. */}}

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

{{/* Takes (dict "root" $ "role" "matcher"). The two folders of settings and secrets, and those that are written to. */}}
{{- define "rtcc-bridge.mounts" -}}
- {name: settings, mountPath: /etc/rtcc-bridge, readOnly: true}
{{- if include "rtcc-bridge.secretFiles" . }}
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
      - configMap:
          name: {{ default (printf "%s-policy" (include "rtcc-bridge.fullname" .root)) .root.Values.policy.existingConfigMap }}
          items:
            - {key: policy.yaml, path: policy.yaml}
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

{{/* The Deployment of a role. Takes (dict "root" $ "role" "matcher"). */}}
{{- define "rtcc-bridge.deployment" -}}
{{- $values := .root.Values -}}
{{- $preStop := include "rtcc-bridge.preStopSeconds" . | int -}}
apiVersion: apps/v1
kind: Deployment
{{ include "rtcc-bridge.metadata" . }}
spec:
  {{- with include "rtcc-bridge.replicas" . }}
  replicas: {{ . }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    {{- include "rtcc-bridge.strategy" . | nindent 4 }}
  selector:
    matchLabels:
      {{- include "rtcc-bridge.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "rtcc-bridge.labels" . | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # The program reads both when it starts, so a change replaces the pods of the roles that it concerns.
        checksum/settings: {{ include "rtcc-bridge.settings" . | sha256sum }}
        checksum/policy: {{ $values.policy.content | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "rtcc-bridge.serviceAccountName" .root }}
      {{- include "rtcc-bridge.podSecurity" . | nindent 6 }}
      # What is under way is ended within the program's own limit; five seconds are for the rest.
      terminationGracePeriodSeconds: {{ add $preStop (include "rtcc-bridge.shutdownSeconds" .) 5 }}
      {{- include "rtcc-bridge.placement" . | trim | nindent 6 }}
      containers:
        - name: {{ .role }}
          image: {{ include "rtcc-bridge.image" . }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          command: [rtcc-bridge]
          args: [serve, --roles, {{ eq .role "single" | ternary "web,consumer,matcher,relay" .role | quote }}]
          env:
            {{- include "rtcc-bridge.env" . | nindent 12 }}
          ports:
            - {name: ops, containerPort: 9464, protocol: TCP}
            {{- if include "rtcc-bridge.hasNeed" (dict "role" .role "what" "web") }}
            - {name: http, containerPort: 8080, protocol: TCP}
            {{- end }}
          # Nothing answers before the process has opened what it needs; the other two begin after that.
          startupProbe:
            httpGet: {path: /healthz, port: ops}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: {{ div $values.operations.startSeconds 5 }}
          livenessProbe:
            httpGet: {path: /healthz, port: ops}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          # Each dependency has two seconds to answer.
          readinessProbe:
            httpGet: {path: /readyz, port: ops}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
          {{- if $preStop }}
          lifecycle:
            preStop:
              sleep: {seconds: {{ $preStop }}}
          {{- end }}
          resources:
            {{- include "rtcc-bridge.resources" . | nindent 12 }}
          {{- include "rtcc-bridge.containerSecurity" . | nindent 10 }}
          volumeMounts:
            {{- include "rtcc-bridge.mounts" . | nindent 12 }}
      volumes:
        {{- include "rtcc-bridge.volumes" . | nindent 8 }}
{{- end -}}

{{/* A Job of the command line that runs before an installation or an upgrade.
Takes (dict "root" $ "role" "migration" "args" (list "db" "upgrade") "weight" "5"). */}}
{{- define "rtcc-bridge.job" -}}
{{- $values := .root.Values -}}
apiVersion: batch/v1
kind: Job
{{ include "rtcc-bridge.metadata" (set . "annotations" (fromYaml (include "rtcc-bridge.hook" .))) }}
spec:
  backoffLimit: 6
  activeDeadlineSeconds: {{ (index $values .role).deadlineSeconds }}
  # Settings that have to be corrected (exit code 3) are not tried again.
  podFailurePolicy:
    rules:
      - action: FailJob
        onExitCodes: {containerName: {{ .role }}, operator: In, values: [3]}
  template:
    metadata:
      labels:
        {{- include "rtcc-bridge.labels" . | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ include "rtcc-bridge.hookServiceAccountName" .root }}
      {{- include "rtcc-bridge.podSecurity" . | nindent 6 }}
      containers:
        - name: {{ .role }}
          image: {{ include "rtcc-bridge.image" . }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          command: [rtcc-bridge]
          args: {{ toJson .args }}
          env:
            {{- include "rtcc-bridge.env" . | nindent 12 }}
          resources:
            {{- include "rtcc-bridge.resources" . | nindent 12 }}
          {{- include "rtcc-bridge.containerSecurity" . | nindent 10 }}
          volumeMounts:
            {{- include "rtcc-bridge.mounts" . | nindent 12 }}
      volumes:
        {{- include "rtcc-bridge.volumes" . | nindent 8 }}
{{- end -}}
