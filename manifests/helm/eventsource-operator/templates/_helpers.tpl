{{- define "evs.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "evs.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "evs.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of this release; never changes once installed. */}}
{{- define "evs.selector" -}}
app.kubernetes.io/name: {{ include "evs.fullname" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "evs.labels" -}}
app.kubernetes.io/name: {{ include "evs.fullname" . }}
app.kubernetes.io/part-of: eventsource-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "evs.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* subjects: the operator's account */}}
{{- define "evs.subjects" -}}
- kind: ServiceAccount
  name: {{ include "evs.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The rights that the operator itself needs in a namespace that it serves. */}}
{{- define "evs.rules" -}}
- apiGroups: [eventsource-operator.dev]
  resources: [eventsources]
  verbs: [get, list, watch, patch]
- apiGroups: [eventsource-operator.dev]
  resources: [eventsources/status]
  verbs: [patch]
- apiGroups: [eventsource-operator.dev]
  resources: [eventsourcecheckpoints]
  verbs: [get, list, create, patch, delete]
- apiGroups: [eventsource-operator.dev]
  resources: [eventsources/finalizers]
  verbs: [update]
- apiGroups: [authorization.k8s.io]
  resources: {{ .Values.allNamespaces | ternary "[subjectaccessreviews, localsubjectaccessreviews]" "[localsubjectaccessreviews]" }}
  verbs: [create]
{{- if .Values.allNamespaces }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What the Argo Server does in the sender's name; call with the list of template resources. */}}
{{- define "evs.senderRules" -}}
- apiGroups: [argoproj.io]
  resources: [workfloweventbindings]
  verbs: [list]
- apiGroups: [argoproj.io]
  resources: {{ . }}
  verbs: [get]
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [create]
{{- end -}}

{{/* Rules for the kinds that may be watched. */}}
{{- define "evs.watchRules" -}}
{{- range .Values.rbac.watch }}
- apiGroups: {{ toJson .apiGroups }}
  resources: {{ toJson .resources }}
  {{- with .resourceNames }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get, list, watch]
{{- end }}
{{- end -}}
