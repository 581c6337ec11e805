#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Repositories that want to know who asks, on a real nginx with a CA of the site's own: basic authentication, bearer tokens, client
# certificates, a proxy with a password. No secret goes to another host, over plain http, into a message, --json or the log.
set -euo pipefail

top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || { echo "skipped: no nginx here"; exit 77; }
. "$top_srcdir/tests/kit/nginx.sh"
for tool in openssl python3; do
        command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
work=$(mktemp -d)
pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || :; done; rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAILED: $*" >&2; cat said >&2; exit 1; }
says() { grep -q -- "$1" said || fail "not said: $1"; }

# --- a CA of the site's own, a server for two names of one machine, a client -------------------------------------------------
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=site CA' 2>/dev/null
certificate() {
        openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>/dev/null
        printf '%s\n' "$2" >"$1.ext"
        openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
certificate server 'subjectAltName=IP:127.0.0.1,DNS:localhost'
certificate client 'extendedKeyUsage=clientAuth'

# --- a small repository -----------------------------------------------------------------------------------------------------
factory() { "$top_builddir/slurm-factory" --cache cache --data "$top_srcdir/etc" -q "$@"; }
placeholder=/media/$(printf 'x%.0s' {1..280})
mkdir -p tree/sbin
printf '#!/bin/sh\n# %s/sbin\necho slurm\n' "$placeholder" >tree/sbin/slurmd
chmod 755 tree/sbin/slurmd
factory keys init --repo repo --keys keys
factory import tree --placeholder "$placeholder" --slurm-version 24.11.4 --toolchain test --arch amd64
factory publish 24.11.4 --repo repo --keys keys

# --- nginx ------------------------------------------------------------------------------------------------------------------
ports=($(python3 -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for i in range(6)]
print(*[x.getsockname()[1] for x in s])'))
basic=${ports[0]} bearer=${ports[1]} mutual=${ports[2]} other=${ports[3]} plain=${ports[4]} proxy=${ports[5]}
password='s3cret-pass' token='t0ken-value.abc' 
echo "node:{PLAIN}$password" >htpasswd
nginx_configure "$work" <<END
        log_format who '\$server_port \$status \$uri auth=\$http_authorization cert=\$ssl_client_s_dn proxy=\$http_proxy_authorization';
        access_log $work/access.log who;
        ssl_certificate $work/server.pem;
        ssl_certificate_key $work/server.key;
        root $work;
        server { listen 127.0.0.1:$basic ssl; auth_basic site; auth_basic_user_file $work/htpasswd;
                 location /away/ { rewrite ^/away/(.*)\$ https://localhost:$other/repo/\$1 redirect; }
                 location /back/ { rewrite ^/back/(.*)\$ https://127.0.0.1:$basic/repo/\$1 redirect; } }
        server { listen 127.0.0.1:$bearer ssl;
                 location / { if (\$http_authorization != "Bearer $token") { return 401; } } }
        server { listen 127.0.0.1:$mutual ssl; ssl_client_certificate $work/ca.pem; ssl_verify_client on; }
        server { listen 127.0.0.1:$other ssl; ssl_client_certificate $work/ca.pem; ssl_verify_client optional; }
        server { listen 127.0.0.1:$plain; auth_basic site; auth_basic_user_file $work/htpasswd; }
END
port=$plain
nginx_start "$work"
pids+=" $pid"
# A proxy that wants a password (RFC 9110, 9.3.6: CONNECT; absolute URLs for plain http).
cat >proxy.py <<'END'
import base64, socket, socketserver, sys, threading
port, user = int(sys.argv[1]), "Basic " + base64.b64encode(sys.argv[2].encode()).decode()
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        method, target, _ = self.rfile.readline().decode().split(" ", 2)
        head = {}
        while (line := self.rfile.readline().decode().strip()):
            name, value = line.split(":", 1)
            head[name.lower()] = value.strip()
        print(method, target, flush=True)
        if head.get("proxy-authorization") != user:
            self.wfile.write(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=p\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        host, at = target.rsplit(":", 1)
        out = socket.create_connection((host, int(at)))
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        def copy(a, b):
            try:
                while (data := a.recv(65536)):
                    b.sendall(data)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=copy, args=(out, self.connection), daemon=True).start()
        copy(self.connection, out)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True
Server(("127.0.0.1", port), Handler).serve_forever()
END
python3 -u proxy.py "$proxy" "node:$password" >proxy.log 2>/dev/null &
pids+=" $!"
for port in "$basic" "$proxy"; do
        for _ in $(seq 50); do
                (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
                sleep 0.1
        done
done
sleep 0.2
: >proxy.log

# --- the agent --------------------------------------------------------------------------------------------------------------
# conf TEXT: the configuration file
conf() {
        printf '[repository]\nca_bundle = %s/ca.pem\nretries = 0\n%s\n' "$work" "$1" >conf
        chmod "${2:-600}" conf
}
# node EXIT URL: one list on an empty root; no secret is in what it says
node() {
        local got=0
        rm -rf root
        mkdir root
        : >access.log
        "$top_builddir/sf-node" --config conf --root root --toolchain test --arch amd64 -q trust repo/metadata/1.root.json >said 2>&1 || fail trust
        for json in "" --json; do
                got=0
                # shellcheck disable=SC2086
                "$top_builddir/sf-node" --config conf --root root --toolchain test --arch amd64 -v $json --repo "$2" install 24.11 >said 2>&1 || got=$?
                [ $got = "$1" ] || fail "exit $got instead of $1: $2"
                ! grep -q "$password\|$token\|$(printf 'node:%s' "$password" | base64)" said || fail "a secret is said"
        done
        ! grep -rq "$password\|$token" root || fail "a secret is in the node's state"
}
conf ''
node 3 "https://127.0.0.1:$basic/repo"
says 'HTTP 401'
says 'asks for credentials'
conf "[credentials 127.0.0.1]
user = node
password = $password"
node 0 "https://127.0.0.1:$basic/repo"
conf "[credentials 127.0.0.1:$basic]
user = node
password = wrong"
node 3 "https://127.0.0.1:$basic/repo"
says 'HTTP 401'
echo "$password" >password && chmod 600 password
conf "[credentials 127.0.0.1:$basic]
user = node
password_file = $work/password
[credentials 127.0.0.1]
user = node
password = not this one"
node 0 "https://127.0.0.1:$basic/repo"
echo "ok: basic authentication"

conf "[credentials 127.0.0.1]
user = node
password = $password"
node 0 "https://127.0.0.1:$basic/back"
node 0 "https://127.0.0.1:$basic/away"
grep -q "^$other 200 /repo/metadata.* auth=- cert=- " access.log || fail "the other host was not asked: $(cat access.log)"
! grep "^$other " access.log | grep -v ' auth=- ' || fail "credentials went to another host"
# A port of its own is another server.
conf "[credentials 127.0.0.1:$bearer]
token = $token"
node 3 "https://127.0.0.1:$basic/repo"
! grep "^$basic " access.log | grep -v ' auth=- ' || fail "credentials went to another port"
node 0 "https://127.0.0.1:$bearer/repo"
grep -q "^$bearer 200 .*auth=Bearer $token " access.log || fail "no bearer token arrived"
echo "ok: bearer token; only its own host"

conf "[credentials 127.0.0.1]
user = node
password = $password"
node 3 "http://127.0.0.1:$plain/repo"
says 'plain_http'
! grep "^$plain " access.log | grep -v ' auth=- ' || fail "credentials went over plain http"
conf "[credentials 127.0.0.1]
user = node
password = $password
plain_http = yes"
node 0 "http://127.0.0.1:$plain/repo"
echo "ok: plain http"

conf ''
node 3 "https://127.0.0.1:$mutual/repo"
conf "[credentials 127.0.0.1]
client_certificate = $work/client.pem
client_key = $work/client.key"
node 0 "https://127.0.0.1:$mutual/repo"
grep -q "^$mutual 200 .*cert=CN=client " access.log || fail "no certificate arrived"
node 0 "https://localhost:$other/repo"
! grep "^$other " access.log | grep -v ' cert=- ' || fail "the certificate went to another host"
conf "[credentials 127.0.0.1]
client_certificate = $work/missing.pem"
node 3 "https://127.0.0.1:$mutual/repo"
says 'missing.pem'
printf '[repository]\nretries = 0\n' >conf
node 3 "https://127.0.0.1:$other/repo"
says 'certificate'
echo "ok: client certificate, a CA of the site's own"

conf "proxy = http://127.0.0.1:$proxy
proxy_user = node
proxy_password = $password"
node 0 "https://localhost:$other/repo"
grep -q "^CONNECT localhost:$other" proxy.log || fail "the proxy was not asked"
! grep "^$other " access.log | grep -v 'proxy=-$' || fail "the proxy's password went to the server"
conf "proxy = http://127.0.0.1:$proxy"
node 3 "https://localhost:$other/repo"
says '407'
: >proxy.log
conf "proxy = http://127.0.0.1:$proxy
no_proxy = localhost"
node 0 "https://localhost:$other/repo"
[ ! -s proxy.log ] || fail "no_proxy was not heeded"
conf 'proxy ='
export https_proxy=http://127.0.0.1:$proxy
node 0 "https://localhost:$other/repo"
[ ! -s proxy.log ] || fail "an empty proxy does not switch the environment's off"
unset https_proxy
echo "ok: proxy"

# --- configuration ----------------------------------------------------------------------------------------------------------
conf "[credentials 127.0.0.1]
user = node
password = $password" 644
node 0 "https://127.0.0.1:$basic/repo"
"$top_builddir/sf-node" --config conf --root root --toolchain test --arch amd64 --repo "https://127.0.0.1:$basic/repo" list >said 2>&1
says 'warning: .*conf holds a password or token and can be read by everybody: chmod 600'
refused() {
        local got=0
        "$top_builddir/sf-node" --config conf --root root --toolchain test --arch amd64 list >said 2>&1 || got=$?
        [ $got = 2 ] || fail "exit $got instead of 2"
        says "$1"
        ! grep -q "$password\|$token" said || fail "a secret is said"
}
conf "[credentials 127.0.0.1]
user = node"
refused 'user and password belong together'
conf "[credentials 127.0.0.1]
user = node
password = $password
token = $token"
refused 'both user and token'
conf "[credentials 127.0.0.1]
pasword = $password"
refused 'none of user, token, client_certificate\|unknown setting'
conf "[credentials https://127.0.0.1/]
token = $token"
refused 'a host, or host:port, is expected'
conf "proxy = http://node:$password@127.0.0.1:$proxy"
refused 'proxy_user and proxy_password'
conf "[credentials 127.0.0.1]
token_file = $work/none"
refused 'none'
# What needs no repository needs no secret: an ordinary user's status, a rollback while the secrets are not mounted.
offline() { # EXIT VERB...
        local want=$1 got=0
        shift
        "$top_builddir/sf-node" --config conf --root root --toolchain test --arch amd64 "$@" >said 2>&1 || got=$?
        [ $got = "$want" ] || fail "exit $got instead of $want: $*"
        ! grep -q 'credentials\|/none' said || fail "a secret is missed"
}
offline 0 status
offline 0 gc
offline 0 log
offline 0 recover
offline 2 rollback
says 'no release before this one'
: >empty
conf "[credentials 127.0.0.1]
token_file = $work/empty"
refused 'first line is empty'
offline 0 status
# An interrupted switch is undone whatever somebody has written into a file.
conf '[nonsense]
x = 1'
refused 'unknown setting'
"$top_builddir/sf-node" --config conf --root root --toolchain test --arch amd64 recover >said 2>&1 || fail "recovery stops at a mistake in a file"
says 'recovering without the configuration files'
says 'nothing was interrupted'
echo "ok: configuration"
