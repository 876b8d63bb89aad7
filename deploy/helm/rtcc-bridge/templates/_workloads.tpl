{{/* The two that make pods: the Deployment of a role of the daemon, and the Job of a command. */}}

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
        checksum/policy: {{ toJson $values.policy | sha256sum }}
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
