# SPDX-License-Identifier: Apache-2.0
# tests/kit/nginx.sh - a real nginx that runs as this user, with all it writes in one directory. Sourced.
# shellcheck shell=bash
#
#   nginx_port            sets port to one of loopback's that is free
#   nginx_configure DIR   writes DIR/nginx.conf; the lines of its http block come from standard input
#   nginx_start DIR       starts $nginx with it, sets pid, and waits until $port answers; fails where it does not

nginx_port()
{
        port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
}

nginx_configure()
{
        mkdir -p "$1/tmp"
        cat >"$1/nginx.conf" <<-END
		daemon off;
		user $(id -un) $(id -gn);
		pid $1/nginx.pid;
		error_log $1/error.log;
		events {}
		http {
		        client_body_temp_path $1/tmp; proxy_temp_path $1/tmp; fastcgi_temp_path $1/tmp;
		        uwsgi_temp_path $1/tmp; scgi_temp_path $1/tmp;
		$(cat)
		}
	END
}

nginx_start()
{
        local try
        "$nginx" -p "$1" -c "$1/nginx.conf" -e "$1/error.log" 9>&- &
        pid=$!
        for try in $(seq 100); do
                (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
                kill -0 "$pid" 2>/dev/null || break
                sleep 0.1
        done
        cat "$1/error.log"
        return 1
}
