#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine's first boot with the real cloud-init: user-data names the script's address and the digest of root.json, and some
# seconds later slurmctld has a node that runs a job. Over https, with a certificate authority of the site's own. SF_TEST_SUITE=trixie
# boots that machine from another Debian release (SF_NODE names a static agent then); the release stays what it was built for.
set -euo pipefail
BED_PACKAGES=cloud-init,curl,ca-certificates
. "$top_srcdir/tests/testbed/node.sh"

nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || bed_skip "no nginx here"
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
[ "${SF_TEST_SUITE:=$suite}" = "$suite" ] || [ -n "${SF_NODE-}" ] || bed_skip "$SF_TEST_SUITE needs a static agent (SF_NODE)"
bed_begin
bare=$BED_BASE
if [ "$SF_TEST_SUITE" != "$suite" ]; then
        bed_make_base "$SF_TEST_SUITE" "systemd,systemd-sysv,dbus,munge,iproute2,procps,netbase,libdbus-1-3,libreadline8t64,$BED_PACKAGES" \
                "chroot \"\$1\" useradd --system --uid $(bed_base_uid slurm) --home-dir /nonexistent --shell /usr/sbin/nologin slurm" \
                'chroot "$1" useradd --create-home user'
        bare=$BED_MADE
fi
releases_begin
mkdir "$BED/layer"
releases_node "$BED/layer" "$RELEASES_BASE"
CLUSTER_SLURMD_TIMEOUT=60 cluster_files 1
all=$BED/files/all ctl=$BED/files/ctl n1=$BED/files/n1
sed -i -e 's|^SlurmdSpoolDir=.*|SlurmdSpoolDir=/var/spool/slurmd|' -e '$a SlurmctldParameters=enable_configless' "$all/etc/slurm/slurm.conf"
mkdir -p "$ctl/etc/cloud" "$n1/etc"
mv "$all/etc/slurm" "$all/etc/munge" "$ctl/etc/"
touch "$ctl/etc/cloud/cloud-init.disabled"
rm -r "$all/var" "$all/etc/default"

# The repository over https.
cp -a "$RELEASES/repo" "$BED/repo"
# A repository that an earlier version made has no such role.
ls "$BED/repo"/metadata/*.agent.json >/dev/null 2>&1 || releases_factory -q keys add agent --repo "$BED/repo" --keys "$RELEASES/keys"
releases_factory -q --data "$top_srcdir/etc" publish-agent --force --repo "$BED/repo" --keys "$RELEASES/keys" "${SF_NODE:-$top_builddir/sf-node}"
version=$("${SF_NODE:-$top_builddir/sf-node}" --version | awk '{ print $2 }')
options="--conf-server ctl --toolchain $RELEASES_TOOLCHAIN"
root=$(sha256sum <"$BED/repo/metadata/1.root.json" | cut -d ' ' -f 1)
mkdir "$BED/web"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=site CA" \
        -keyout "$BED/web/key.pem" -out "$BED/web/cert.pem" -addext "subjectAltName=IP:10.77.0.1" 2>/dev/null
cat >"$BED/web/nginx.conf" <<END
daemon off;
pid $BED/web/pid;
user root;
events {}
http {
        access_log $BED/web/access.log;
        client_body_temp_path $BED/web; proxy_temp_path $BED/web; fastcgi_temp_path $BED/web; uwsgi_temp_path $BED/web; scgi_temp_path $BED/web;
        server {
                listen 10.77.0.1:443 ssl;
                ssl_certificate $BED/web/cert.pem;
                ssl_certificate_key $BED/web/key.pem;
                root $BED/repo;
        }
}
END
bed_outside "$nginx" -p "$BED/web" -c "$BED/web/nginx.conf" -e "$BED/web/error.log" &
end()
{
        local status=$?
        set +e
        # Its own number: that of the job is a shell's, whose end nginx survives.
        kill "$(cat "$BED/web/pid")"
        (exit $status)
        bed_end
}
trap end EXIT

# The machine: its seed, and the site's authority among those it believes.
mkdir -p "$n1/var/lib/cloud/seed/nocloud" "$n1/etc/cloud/cloud.cfg.d" "$n1/etc/ssl/certs"
cp "$BED/web/cert.pem" "$n1/etc/ssl/certs/ca-certificates.crt"
printf 'datasource_list: [ NoCloud ]\nnetwork: {config: disabled}\n' >"$n1/etc/cloud/cloud.cfg.d/99-bed.cfg"
printf 'instance-id: n1-first\nlocal-hostname: n1\n' >"$n1/var/lib/cloud/seed/nocloud/meta-data"
cat >"$n1/var/lib/cloud/seed/nocloud/user-data" <<END
#cloud-config
preserve_hostname: true
manage_etc_hosts: false
write_files:
  - path: /etc/munge/munge.key
    encoding: b64
    owner: munge:munge
    permissions: "0400"
    content: $(base64 -w 0 <"$ctl/etc/munge/munge.key")
runcmd:
  - systemctl restart munge
  - curl -fsS -o /run/sf-node.sh https://10.77.0.1/agent/$version/sf-node-$version.sh
  - sh /run/sf-node.sh https://10.77.0.1/ $root $RELEASES_BASE $options
END

bed_layer "$BED/layer"
bed_boot ctl 10.77.0.2
BED_LOWER=$bare
began=$SECONDS
bed_boot n1 10.77.0.11
CLUSTER_WAIT=120 cluster_wait "n1 idle" cluster_is n1 idle || {
        bed_in n1 cat /var/log/cloud-init-output.log
        bed_in n1 journalctl --no-pager -n 60
        fail "n1 does not join"
}
echo "n1 ($SF_TEST_SUITE, $(bed_in n1 cloud-init --version 2>&1)) joined $((SECONDS - began)) s after its start"
active n1 "$RELEASES_BASE"
job_succeeds "$(submit --wrap hostname)"
# A minimal system has no ssh, no locales and no disk to grow: their modules may fail, not the one that ran the script.
bed_in n1 cloud-init status --wait || true
said=$(bed_in n1 cat /run/cloud-init/result.json)
echo "$said"
case $said in *scripts* | *runcmd* | *write*) fail "cloud-init has errors" ;; esac
# Nothing was said between the lines of cloud-init itself.
said=$(bed_in n1 cat /var/log/cloud-init-output.log)
case $said in *sf-node*) fail "cloud-init's log has words of the script: $said" ;; esac
[ "$(bed_in n1 /usr/local/sbin/sf-node --version)" = "sf-node $version" ] || fail "the agent is not there"

# The next boot, and the script once more by hand.
bed_halt n1
bed_boot n1 10.77.0.11
cluster_wait "n1 idle after a reboot" cluster_is n1 idle
expect 0 bed_in n1 sh -c "curl -fsS https://10.77.0.1/agent/$version/sf-node-$version.sh | sh -s -- https://10.77.0.1/ $root $RELEASES_BASE $options"
[ -z "$said" ] || fail "the second run said something"
expect 0 bed_in n1 /usr/local/sbin/sf-node upgrade "$RELEASES_GOOD"
active n1 "$RELEASES_GOOD"
job_succeeds "$(submit --wrap hostname)"
