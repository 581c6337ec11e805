#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The fetcher against a real nginx: ranges, compression, validators, a server that is restarted in the middle.
set -euo pipefail

nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || { echo "skipped: no nginx here"; exit 77; }
. "$top_srcdir/tests/kit/nginx.sh"
command -v python3 >/dev/null || { echo "skipped: no python3 here to find a free port"; exit 77; }
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
work=$(mktemp -d)
pid=
failures=0

start() { nginx_start "$work" || exit 99; }
stop() {
        [ -z "$pid" ] || { kill "$pid" && wait "$pid" || true; }
        pid=
}
trap 'stop; rm -rf "$work"' EXIT

size=4000000
mkdir "$work/root"
head -c $size /dev/urandom >"$work/root/blob"
nginx_port
nginx_configure "$work" <<END
        log_format connections '\$connection \$status \$request \$http_range';
        access_log $work/access.log connections;
        limit_req_zone \$binary_remote_addr zone=few:1m rate=2r/s;
        server {
                listen 127.0.0.1:$port;
                location /plain/ { alias $work/root/; }
                location /gzip/ { alias $work/root/; gzip on; gzip_types *; gzip_proxied any; }
                location /one/ { alias $work/root/; max_ranges 1; }
                location /none/ { alias $work/root/; max_ranges 0; }
                location /slow/ { alias $work/root/; limit_rate 1500k; limit_rate_after 500k; }
                location /slow-dates/ { alias $work/root/; limit_rate 1500k; etag off; }
                location /slow-nothing/ { alias $work/root/; limit_rate 1500k; etag off; if_modified_since off;
                                          add_header Last-Modified ""; }
                location /few/ { alias $work/root/; limit_req zone=few; limit_req_status 429; }
        }
END

# fetch LOCATION OFFSET LENGTH: leaves what was said in $work/said
fetch() {
        rm -f "$work/got"
        "$top_builddir/tests/kit/fetch-one" - "http://127.0.0.1:$port/$1" blob $size "$2" "$3" "$work/got" >"$work/said" ||
                true
}
# expect WHAT PATTERN: the last fetch said PATTERN; and where that is ok, brought the right bytes
expect() {
        local ok=yes
        tail -1 "$work/said" | grep -E "$2" >/dev/null || ok=no
        if [[ $2 == ok* ]]; then
                [ "$(stat -c %s "$work/got")" = $length ] || ok=no
                cmp -s -n $length -i $offset:0 "$work/root/blob" "$work/got" || ok=no
        fi
        printf '%-52s %-28s %s\n' "$1" "$2" "$ok"
        [ $ok = yes ] || { failures=$((failures + 1)); sed 's/^/  /' "$work/said"; }
}
# restarted LOCATION CHANGE: a whole fetch during which the server is stopped, CHANGE runs, and the server comes back
restarted() {
        (fetch "$1" 0 $size) &
        local fetcher=$!
        sleep 0.8
        stop
        "${@:2}"
        start
        wait $fetcher
}

start
offset=0 length=$size
fetch plain $offset $length; expect "a whole file" "ok ranges 0 requests 1 bytes $size"
offset=1000000 length=500000
fetch plain $offset $length; expect "a range" "ok ranges 1 requests 1 bytes $length"
fetch gzip $offset $length; expect "a range where nginx would compress" "ok ranges 1 requests 1 bytes $length"
fetch one $offset $length; expect "a range with max_ranges 1" "ok ranges 1 requests 1 bytes $length"
fetch none $offset $length; expect "a range with max_ranges 0: the whole from its start" "ok ranges -1 requests 1"
offset=0 length=$size
fetch few $offset $length # the first one passes
fetch few $offset $length; expect "429 by limit_req, retried" "ok ranges 0 requests [23]"
fetch plain/none $offset $length; expect "404" "^not found:"
restarted slow true; expect "restarted, same file: resumed by ETag" "ok ranges 1"
restarted slow-dates true; expect "restarted, no ETag: resumed by Last-Modified" "ok ranges 1"
restarted slow-nothing true; expect "restarted, no validator: read again from the start" "ok ranges 0"
restarted slow touch -d '2020-01-01' "$work/root/blob"
expect "restarted, ETag changed: not spliced" "^corrupt: .*changed while"
[ "$failures" = 0 ]
