#!/usr/bin/env bash
# bash curl.sh PHOTOGRAPH…
set -euo pipefail
server=${TAGMA_URL:-http://127.0.0.1:8080}
token=

# ask OPERATION VARIABLES, both in JSON
ask() {
	send -H 'Content-Type: application/json' -d "{\"query\": $1, \"variables\": $2}"
}

# Programs go by the code in errors, see docs/errors.md. This one gives up.
send() {
	local answer
	answer=$(curl -sS "$server/graphql" ${token:+-H "Authorization: Bearer $token"} "$@")
	case $answer in '{"errors"'*) echo "$answer" >&2 && return 1 ;; esac
	echo "$answer"
}

# first FIELD: its first value, if that is a text
first() { grep -o "\"$1\":\"[^\"]*\"" <<<"$2" | head -1 | cut -d '"' -f 4; }

token=$(first token "$(ask \
	'"mutation SignIn($u: String!, $p: String!) { login(username: $u, password: $p) { token } }"' \
	"{\"u\": \"$TAGMA_USER\", \"p\": \"$TAGMA_PASSWORD\"}")")

# An upload is a form: the operation with a null for each file, the map that
# says which file belongs where, and the files, in this order.
upload='"mutation Upload($files: [Upload!]!) { uploadImages(files: $files) {
  results { filename verdict image { takenAt md5 device { name } } } } }"'
for photograph; do
	answer=$(send \
		-F operations="{\"query\": ${upload//$'\n'/ }, \"variables\": {\"files\": [null]}}" \
		-F map='{"0": ["variables.files.0"]}' \
		-F 0=@"$photograph")
	echo "$(first filename "$answer") $(first verdict "$answer")"
	uploaded=${uploaded:-$answer}
done
device=$(first name "$uploaded")

ask '"mutation Annotate($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { id } } } }"' \
	"{\"input\": [{
		\"image\": {\"device\": \"$device\", \"takenAt\": \"$(first takenAt "$uploaded")\"},
		\"md5\": \"$(first md5 "$uploaded")\",
		\"algorithm\": {\"name\": \"by-hand\", \"version\": \"1\"},
		\"objects\": [{\"name\": \"moth\", \"contour\": [[10, 10], [60, 10], [35, 50]]}]}]}"

series='"query Series($series: [SeriesInput!]!, $after: String) { imageSeries(series: $series, first: 2, after: $after) {
  pageInfo { endCursor hasNextPage } nodes { takenAt annotations { objects { name contour } } } } }"'
after=null
until [[ ${page:-} == *'"hasNextPage":false'* ]]; do
	page=$(ask "${series//$'\n'/ }" "{\"after\": $after, \"series\": [
		{\"device\": \"$device\", \"start\": \"2020-01-01T00:00:00Z\", \"end\": \"2030-01-01T00:00:00Z\"}]}")
	echo "$page"
	after="\"$(first endCursor "$page")\""
done
