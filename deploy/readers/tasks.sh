#!/bin/bash
# Reads flagtally's counts: bash tasks.sh TASK ARGUMENT...
#
# It takes redis-cli (and jq for below), and REDIS_URL if Redis is not on this host:
#     top ENV APP, stale ENV APP, rollout ENV APP FLAG, month ENV APP YYYY-MM,
#     p95 ENV METRIC, below SDK VERSION
# redis-cli waits for the reply to each command: there is a round trip for each
# bucket, over one connection.  PING marks in the output where a bucket begins.
set -euo pipefail
export LC_ALL=C

redis() { redis-cli -u "${REDIS_URL:-redis://127.0.0.1}" "$@"; }
encode() { jq -rn --arg name "$1" '$name | @uri' | sed "s/!/%21/g; s/'/%27/g; s/(/%28/g; s/)/%29/g; s/\*/%2A/g"; }
decode() { printf '%b' "$(sed 's/%/\\x/g'; echo .)" | sed '$d'; }
key() { echo "flagtally:{$(encode "$1")${2+:$(encode "$2")}}:"; }

# The ten flags that were evaluated most in seven days, by day.
top() {
	local key; key=$(key "$1" "$2")
	for n in 6 5 4 3 2 1 0; do date -u -d "$n days ago" +%F; done |
	sed "s/.*/PING &\nHGETALL $key&/" | redis | awk -F: -v OFS='\t' '
		NF == 2 { flag = $1; wanted = $2 == "yes" || $2 == "no"; next }
		NF > 2 { wanted = 0; next }
		/-/ { days[++d] = $0; wanted = 0; next }
		wanted { count[flag, d] += $0; total[flag] += $0; wanted = 0 }
		END { line = "flag"; for (i = 1; i <= d; i++) line = line OFS days[i]
			print line
			for (flag in total) { line = flag
				for (i = 1; i <= d; i++) line = line OFS count[flag, i] + 0
				print total[flag], flag, line } }' |
	(read -r head; echo "$head"; sort -t$'\t' -k1,1nr -k2,2 | head -n 10 | cut -f3-) | decode
}

# The flags that were not evaluated for 30 days, and the day when they last were.
stale() {
	redis ZRANGEBYSCORE "$(key "$1" "$2")seen" -inf "($(date -d '30 days ago' +%s)" WITHSCORES |
	while read -r flag && read -r seen; do
		printf '%s\t%s\n' "$flag" "$(date -u -d "@$seen" +%F)"
	done | decode
}

# The yes-share of a flag in each of 24 hours, in percent.
rollout() {
	local key flag; key=$(key "$1" "$2") flag=$(encode "$3")
	for n in {23..0}; do date -u -d "$n hours ago" +%FT%H; done |
	sed "s/.*/PING &\nHMGET $key& $flag:yes $flag:no/" | redis |
	while read -r hour && read -r yes && read -r no; do
		total=$((${yes:-0} + ${no:-0}))
		((total == 0)) || printf '%s\t%d\t%d\t%d\n' "$hour" "${yes:-0}" "${no:-0}" $((100 * ${yes:-0} / total))
	done
}

# All counters of a month as CSV for a spreadsheet, in which no name becomes a formula.
month() {
	local key; key=$(key "$1" "$2")
	printf 'day,flag,counter,count\r\n'
	seq -f "$3-%02g" 31 | sed "s/.*/PING &\nHGETALL $key&/" | redis | awk -v OFS='\t' '
		/:/ { field = $0; next }
		/-/ { day = $0; next }
		/./ { print day, field, $0 }' | sort -t$'\t' -k1,1 -k2,2 | awk -F'\t' '
		function cell(text) { gsub(/%22/, "%22%22", text)
			return "\"" (text ~ /^(-|%3D|%2B|%40|%09|%0D)/ ? "\047" : "") text "\"" }
		{ at = index($2, ":")
			printf "%s,%s,%s,%s\r\n", $1, cell(substr($2, 1, at - 1)), cell(substr($2, at + 1)), $3 }' | decode
}

# The 95th percentile of a histogram over all its series, which have the same bounds.
p95() {
	redis HGETALL "$(key "$1")impact:$2" | awk '
		match($0, /le="[^"]*"}$/) && /^_bucket/ { le = substr($0, RSTART + 4, RLENGTH - 6); getline; count[le] += $0 }
		END { for (le in count) print (le == "+Inf" ? 1e308 : le), count[le] }' | sort -g | awk '
		{ bound[NR] = $1; count[NR] = $2 }
		END { rank = 0.95 * count[NR]; for (i = 1; count[i] < rank; i++);
			below = i > 1 ? bound[i - 1] : 0; before = i > 1 ? count[i - 1] : 0
			printf "%.6g\n", i == NR ? below : below + (bound[i] - below) * (rank - before) / (count[i] - before) }'
}

# The instances that run a version of an SDK below this one.
below() {
	redis ZRANGE flagtally:apps 0 -1 | sed '/:/!d; s/.*/PING &\nHGETALL flagtally:{&}:instances/' | redis | jq -Rrn --arg sdk "$1" --arg version "$2" '
		def number: [match("[0-9]+"; "g").string | tonumber][:3];
		[foreach inputs as $line ({};
			if $line | startswith("{") then .runs = ($line | fromjson.sdkVersion // "" | split(":"))
			elif $line | contains(":") then {application: $line}
			else {application, instance: $line} end;
			select(.runs and .runs[0] == $sdk and (.runs[1] | number) < ($version | number)) |
			[(.application | gsub(":"; "\t")), .instance, .runs[1]])] |
		.[] | join("\t")' | sort | decode
}

case ${1-} in
top | stale | rollout | month | p95 | below) "$@" ;;
*) sed -n '2,6s/^# *//p' "$0" >&2; exit 64 ;;
esac
