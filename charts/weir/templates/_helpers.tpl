{{- define "weir.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* 52 characters leave room for -valkey and a StatefulSet's hash in the 63 of a label. */}}
{{- define "weir.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "weir.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "weir.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Labels of an object: (list $ "component"). */}}
{{- define "weir.labels" -}}
{{- $ := index . 0 -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "weir.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "weir.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "weir.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default (printf "v%s" $.Chart.AppVersion) .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "weir.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "weir.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "weir.replicas" -}}
{{- if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.maxReplicas }}{{ else }}{{ int .Values.replicaCount }}{{ end }}
{{- end }}

{{- /* The settings that the chart works out, as YAML; those of the values are stronger. */}}
{{- define "weir.settings" -}}
{{- $set := dict "rules" "/etc/weir/rules" "grpc_listen" ":8081" "http_listen" ":8080" "store" "memory" "drain_delay" "15s" "drain_timeout" "20s" }}
{{- if hasKey .Values.settings "rules_ads" }}
{{- $set = omit $set "rules" }}
{{- end }}
{{- $_ := set $set "replicas" (include "weir.replicas" .) }}
{{- if .Values.valkey.enabled }}
{{- $_ := set $set "redis_url" (printf "redis://%s-valkey:6379/0" (include "weir.fullname" .)) }}
{{- end }}
{{- if or .Values.valkey.enabled (hasKey .Values.settings "redis_url") }}
{{- $_ := set $set "store" "redis" }}
{{- end }}
{{- with .Values.redisPassword.secret }}
{{- $_ := set $set "redis_password_file" "/etc/weir/redis/password" }}
{{- end }}
{{- if .Values.tls.redis.secret }}
{{- $_ := set $set "redis_ca" "/etc/weir/tls/redis/ca.crt" }}
{{- if .Values.tls.redis.clientCertificate }}
{{- $_ := set $set "redis_cert" "/etc/weir/tls/redis/tls.crt" }}
{{- $_ := set $set "redis_key" "/etc/weir/tls/redis/tls.key" }}
{{- end }}
{{- end }}
{{- with .Values.adminTokens.secret }}
{{- $_ := set $set "admin_tokens_file" "/etc/weir/admin/tokens" }}
{{- end }}
{{- range $port := list "grpc" "http" }}
{{- $tls := index $.Values.tls $port }}
{{- if $tls.secret }}
{{- $_ := set $set (printf "%s_cert" $port) (printf "/etc/weir/tls/%s/tls.crt" $port) }}
{{- $_ := set $set (printf "%s_key" $port) (printf "/etc/weir/tls/%s/tls.key" $port) }}
{{- if $tls.verifyClients }}
{{- $_ := set $set (printf "%s_client_ca" $port) (printf "/etc/weir/tls/%s/ca.crt" $port) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $value := .Values.settings }}
{{- $_ := set $set $key $value }}
{{- end }}
{{- toYaml $set }}
{{- end }}

{{- /* The number behind the last colon of a setting's HOST:PORT: (list $ "grpc_listen"). */}}
{{- define "weir.port" -}}
{{- $set := include "weir.settings" (index . 0) | fromYaml }}
{{- with index $set (index . 1) }}{{ splitList ":" . | last }}{{ end }}
{{- end }}

{{- /* The whole seconds of a duration as Go writes it, 1m30s or 500ms, rounded up. */}}
{{- define "weir.seconds" -}}
{{- $milliseconds := 0.0 }}
{{- range regexFindAll "[0-9.]+(ms|us|µs|ns|h|m|s)" . -1 }}
{{- $number := regexFind "[0-9.]+" . | float64 }}
{{- $unit := regexFind "[a-zµ]+" . }}
{{- $milliseconds = addf $milliseconds (mulf $number (index (dict "h" 3600000.0 "m" 60000.0 "s" 1000.0 "ms" 1.0 "us" 0.001 "µs" 0.001 "ns" 0.000001) $unit)) }}
{{- end }}
{{- divf $milliseconds 1000.0 | ceil | int }}
{{- end }}

{{- define "weir.grace" -}}
{{- $set := include "weir.settings" . | fromYaml }}
{{- $needed := add (include "weir.seconds" $set.drain_delay | int) (include "weir.seconds" $set.drain_timeout | int) 5 }}
{{- $stated := int .Values.terminationGracePeriodSeconds }}
{{- if and $stated (lt $stated (int $needed)) }}
{{- fail (printf "terminationGracePeriodSeconds: %d would kill a replica before it has drained: drain_delay %s and drain_timeout %s and 5 seconds are %d. Leave it 0, or raise it." $stated $set.drain_delay $set.drain_timeout $needed) }}
{{- end }}
{{- default $needed $stated }}
{{- end }}

{{- /* The bytes that are so many percent of a quantity: (list "512Mi" 90). */}}
{{- define "weir.bytes" -}}
{{- $quantity := index . 0 | toString }}
{{- $unit := regexFind "[A-Za-z]*$" $quantity }}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 }}
{{- if not (hasKey $units $unit) }}
{{- fail (printf "resources.limits.memory: %s: write it in Mi or Gi, as in 512Mi" $quantity) }}
{{- end }}
{{- mulf (trimSuffix $unit $quantity | float64) (index $units $unit) (index . 1 | float64) 0.01 | floor | printf "%.0f" }}
{{- end }}

{{- /* How each container is confined. */}}
{{- define "weir.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{- /* What two values say that cannot both be meant, before anything is installed. */}}
{{- define "weir.refuse" -}}
{{- $set := include "weir.settings" . | fromYaml }}
{{- $files := .Values.rules.files }}
{{- $stated := or $files .Values.rules.existingConfigMap }}
{{- if and (hasKey .Values.settings "rules_ads") $stated }}
{{- fail "settings.rules_ads and rules both say where rules come from: leave one out" }}
{{- end }}
{{- if not (or $stated (hasKey .Values.settings "rules_ads")) }}
{{- fail "rules: weir needs a rule file: --set-file 'rules.files.shop\\.yaml=shop.yaml', or rules.existingConfigMap, or settings.rules_ads" }}
{{- end }}
{{- if and $files .Values.rules.existingConfigMap }}
{{- fail "rules: keep one of files and existingConfigMap" }}
{{- end }}
{{- if and .Values.valkey.enabled (hasKey .Values.settings "redis_url") }}
{{- fail "valkey.enabled and settings.redis_url name two stores: set valkey.enabled to false to use your own Redis" }}
{{- end }}
{{- if and (gt (include "weir.replicas" . | int) 1) (ne $set.store "redis") (not (hasKey .Values.settings "store")) }}
{{- fail "several replicas without a store that they share would each admit the whole limit: set valkey.enabled or settings.redis_url, or replicaCount to 1; settings.store: memory says that it is meant" }}
{{- end }}
{{- range $key := list "admin_token" "receipt_key" }}
{{- if and (hasKey $set $key) (not (kindIs "map" (index $set $key))) }}
{{- fail (printf "settings.%s would stand in the Deployment for everybody to read: write {secret: NAME, key: KEY} of a Secret" $key) }}
{{- end }}
{{- end }}
{{- $url := index $set "redis_url" }}
{{- if and (kindIs "string" $url) (regexMatch "//[^/@]*:[^/@]+@" $url) }}
{{- fail "settings.redis_url: its password would stand in the Deployment for everybody to read: leave it out and name redisPassword.secret, or write {secret: NAME, key: KEY} of a Secret that holds the URL" }}
{{- end }}
{{- end }}
