{{- define "tollgate.name" -}}
{{- if contains "tollgate" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-tollgate" (.Release.Name | trunc 31 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- /* Labels of a part; call with (dict "root" $ "part" "gateway"). */}}
{{- define "tollgate.selector" -}}
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "tollgate.labels" -}}
{{ include "tollgate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "tollgate.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ printf "%s@%s" $image.repository $image.digest }}{{ else }}{{ printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}{{ end }}
{{- end }}

{{- define "tollgate.serviceAccount" -}}
{{- default (ternary (include "tollgate.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "tollgate.secretVariable" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: { name: {{ .secret.name }}, key: {{ .secret.key }} }
{{- end }}

{{- /* The environment of every program. */}}
{{- define "tollgate.environment" -}}
{{- $secrets := .Values.secrets -}}
{{ include "tollgate.secretVariable" (dict "variable" "TOLLGATE_PEPPER" "secret" $secrets.pepper) }}
{{ include "tollgate.secretVariable" (dict "variable" "TOLLGATE_STORE" "secret" $secrets.store) }}
{{- with .Values.kafka.brokers }}
- name: TOLLGATE_KAFKA
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "tollgate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tollgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "tollgate.spread" -}}
{{- $selector := include "tollgate.selector" . -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- $selector | nindent 6 }}
{{- end }}
{{- end }}

{{- /* Where a pod may run; call with the values of a part. */}}
{{- define "tollgate.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* gateway.yaml: the part of the chart, over which gateway.config is laid. */}}
{{- define "tollgate.gatewayConfig" -}}
{{- $usage := dict "journal" "/var/lib/tollgate/journal" -}}
{{- if .Values.kafka.brokers -}}
{{- $_ := set $usage "kafka" (dict "brokers" .Values.kafka.brokers) -}}
{{- else -}}
{{- $_ := set $usage "sink" (printf "http://%s-billing:8090" (include "tollgate.name" .)) -}}
{{- end -}}
{{- $config := dict "listen" "0.0.0.0:8080" "admin" "0.0.0.0:9901" "drain_delay_seconds" (int .Values.gateway.drainDelaySeconds) "usage" $usage -}}
{{- if .Values.gateway.decision.enabled -}}
{{- $_ := set $config "decision" (dict "listen" "0.0.0.0:8081" "grpc_listen" (ternary "0.0.0.0:8082" "off" .Values.gateway.decision.grpc)) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.gateway.config) | toYaml }}
{{- end }}

{{- define "tollgate.billingConfig" -}}
{{- $config := dict "listen" "0.0.0.0:8090" "documents" (dict "program" "/usr/local/bin/documents") -}}
{{- if .Values.kafka.brokers -}}
{{- $_ := set $config "ingest" (dict "listen" "0.0.0.0:8091" "brokers" .Values.kafka.brokers) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.billing.config) | toYaml }}
{{- end }}

{{- /* Faults of the values that a schema cannot tell. */}}
{{- define "tollgate.check" -}}
{{- $faults := list -}}
{{- if not .Values.secrets.pepper.name }}{{ $faults = append $faults "secrets.pepper.name: name a Secret that holds the pepper, as made by: kubectl create secret generic tollgate --from-literal=pepper=$(openssl rand -hex 32)" }}{{ end -}}
{{- if not .Values.secrets.store.name }}{{ $faults = append $faults "secrets.store.name: name a Secret that holds the URL of PostgreSQL: postgres://user:password@host/database" }}{{ end -}}
{{- if not (and .Values.gateway.config.upstreams .Values.gateway.config.routes) }}{{ $faults = append $faults "gateway.config: state upstreams and routes, as in config/gateway.yaml" }}{{ end -}}
{{- if and (eq .Values.gateway.kind "Deployment") (not .Values.gateway.journal.acceptLoss) }}{{ $faults = append $faults "gateway.kind: in a Deployment, a node that dies takes usage with it; use StatefulSet, or set gateway.journal.acceptLoss" }}{{ end -}}
{{- if lt (int .Values.gateway.terminationGracePeriodSeconds) (add (int .Values.gateway.drainDelaySeconds) 30) }}{{ $faults = append $faults (printf "gateway.terminationGracePeriodSeconds: at least drainDelaySeconds + 30, which is %d" (add (int .Values.gateway.drainDelaySeconds) 30)) }}{{ end -}}
{{- if and (gt (int .Values.gateway.replicas) 1) (not .Values.secrets.redis.name) (not .Values.gateway.config.limits) }}{{ $faults = append $faults "secrets.redis.name: several gateways share the limits of plans through Redis; name a Secret with its URL, or state gateway.config.limits" }}{{ end -}}
{{- if $faults }}{{ fail (printf "\n\nThe values do not do yet:\n- %s\n" (join "\n- " $faults)) }}{{ end -}}
{{- end }}
