{{- define "pyrtr.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pyrtr.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pyrtr.labels" -}}
{{ include "pyrtr.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* HTTP or HTTPS, as probes and Prometheus have to ask. */}}
{{- define "pyrtr.scheme" -}}
{{- if .Values.settings.HTTP_TLS_CERT }}https{{ else }}http{{ end -}}
{{- end -}}

{{/* The environment that follows from values. What settings say besides comes before it, so that this counts. */}}
{{- define "pyrtr.environment" -}}
- name: HOST
  value: "0.0.0.0,::"
- name: STATE
  value: /state
- name: HTTP_PORT
  value: "8080"
- name: RTR_PORT
  value: {{ ternary "8323" "False" .Values.plain | quote }}
{{- with .Values.tls }}
{{- if .secretName }}
- name: TLS_PORT
  value: "8324"
- name: TLS_CERT
  value: /tls/tls.crt
- name: TLS_KEY
  value: /tls/tls.key
{{- if .clientCertificates }}
- name: TLS_CLIENT_CA
  value: /tls/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.slurm }}
- name: SLURM
  value: /slurm
{{- end }}
{{- with .Values.httpToken }}
{{- if .secretName }}
- name: HTTP_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .secretName }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- if or .Values.fleet.servers .Values.fleet.secretName }}
- name: FLEET
{{- if .Values.fleet.secretName }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.fleet.secretName }}
      key: {{ .Values.fleet.key }}
{{- else }}
  value: {{ join "," .Values.fleet.servers | quote }}
{{- end }}
- name: FLEET_NAME
  value: {{ .Values.fleet.name | default (include "pyrtr.fullname" .) | quote }}
{{- end }}
{{- end -}}
