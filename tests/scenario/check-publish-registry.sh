#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# publish --registry, against Debian's docker-registry with a password: tags by release and by series, what is sent, refusals,
# signatures that skopeo itself checks, and a repository that stays published whatever the registry does; what hangs on a release, and
# what is taken out again.
set -euo pipefail
: "${top_srcdir:=.}" "${top_builddir:=.}"

top_builddir=$(realpath "$top_builddir") top_srcdir=$(realpath "$top_srcdir")
for tool in docker-registry skopeo gpg python3 curl; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
unset SLURM_FACTORY_CACHE_DIR SOURCE_DATE_EPOCH XDG_RUNTIME_DIR http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
scratch=$(mktemp -d)
server=
cleanup() {
        [ -z "$server" ] || kill "$server" 2>/dev/null || true
        [ ! -e "$scratch/gpg" ] || gpgconf --homedir "$scratch/gpg" --kill all 2>/dev/null || true
        rm -rf "$scratch"
}
trap cleanup EXIT
cd "$scratch"
export HOME=$scratch/home TMPDIR=$scratch/tmp GNUPGHOME=$scratch/gpg
mkdir -p home/.config/containers/registries.d tmp
mkdir -m 700 gpg

. "$top_srcdir/tests/kit/expect.sh"

# --- a registry, and what skopeo knows of it ------------------------------------------------------------------------------

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
host=127.0.0.1:$port
python3 -W ignore -c 'import crypt; print("user:" + crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' >htpasswd
cat >registry.yml <<END
version: 0.1
storage:
  filesystem:
    rootdirectory: $scratch/registry
http:
  addr: $host
auth:
  htpasswd:
    realm: test
    path: $scratch/htpasswd
END
# Its settings are variables REGISTRY_... too.
start() {
        env -u REGISTRY_AUTH_FILE ${1-} docker-registry serve registry.yml >>registry.log 2>&1 &
        server=$!
        for _ in $(seq 100); do
                (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
                sleep 0.1
        done
        fail "docker-registry does not start: $(tail -n 3 registry.log)"
}
stop() { kill "$server"; wait "$server" 2>/dev/null || true; server=; }
start
# No TLS on the loopback.
printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$host" >home/.config/containers/registries.conf
export REGISTRY_AUTH_FILE=$scratch/auth.json
printf '{"auths": {"%s": {"auth": "%s"}}}\n' "$host" "$(printf user:secret | base64)" >auth.json

factory() { "$top_builddir/slurm-factory" --cache "${cache:-cache}" --data "$top_srcdir/etc" "$@"; }
publish() { factory publish "$@" --repo "repo:1" --keys keys; }
to=docker://$host/site/slurm
tags() { skopeo list-tags "$to" | python3 -c 'import json, sys; print(*sorted(t for t in json.load(sys.stdin)["Tags"] if not t.startswith("sha256-")))'; }
# What hangs on a release, in the repository and in the registry's list: digests.
papers() { python3 -c 'import json, sys
print(*sorted(d["digest"] for d in json.load(open("repo:1/index.json"))["manifests"] if "artifactType" in d and d["annotations"]["io.slurm-factory.release"] == sys.argv[1]))' "$1"; }
list_of() { skopeo inspect --raw "$to:sha256-$(digest "$1")" 2>/dev/null; }
listed() { list_of "$1" | python3 -c 'import json, sys; print(*sorted(d["digest"] for d in json.load(sys.stdin)["manifests"]))'; }
digest() { skopeo inspect --raw "$to:$1" | sha256sum | cut -d' ' -f1; }
published() { python3 -c 'import json, sys
print([d["digest"][7:] for d in json.load(open("repo:1/index.json"))["manifests"] if d.get("annotations", {}).get("io.slurm-factory.release") == sys.argv[1] and "artifactType" not in d][0])' "$1"; }
requests() { grep -cE "$1" registry.log || true; }

placeholder=/media/$(printf 'x%.0s' {1..280})
head -c 20000 /dev/urandom >random
release() { # VERSION [OPTION...]
        local version=$1
        shift
        rm -rf tree && mkdir -p tree/sbin
        printf '#!/bin/sh\n# %s/sbin\necho slurm %s %s\n' "$placeholder" "$version" "$*" >tree/sbin/slurmd
        chmod 755 tree/sbin/slurmd
        cp random tree/sbin/data
        factory -q import tree --placeholder "$placeholder" --slurm-version "$version" --toolchain test --arch amd64 "$@"
}
for version in 24.11.5 24.11.6 25.05.2; do release $version; done
release 24.11.7 --build site
mkdir keys "repo:1"
factory -q keys init --repo "repo:1" --keys keys

# --- what is sent ---------------------------------------------------------------------------------------------------------

for wrong in "$host/site/slurm" "docker://$host" "docker://$host/" "docker://$host/a:tag" "docker://$host/a@sha256:0" docker:/// oci:x; do
        expect 2 'docker://HOST/NAME expected' publish 24.11.6 --registry "$wrong"
done
[ ! -e "repo:1/index.json" ] || ! grep -q 24.11.6 "repo:1/index.json" || fail "published although the address is wrong"
expect 0 'slurm:24.11.6-test-amd64: would be sent' publish 24.11.6 --registry "$to" --dry-run
grep -q 'slurm:24.11-test-amd64: would be sent' said || fail "a dry run does not tell the series"
[ ! -e registry/docker/registry/v2/repositories ] || fail "a dry run sent something"

expect 0 'slurm:24.11.6-test-amd64: sent' publish 24.11.6 --registry "$to"
[ "$(tags)" = "24.11-test-amd64 24.11.6-test-amd64" ] || fail "tags: $(tags)"
# The digest is the one that the signed index names.
for tag in 24.11.6-test-amd64 24.11-test-amd64; do
        [ "$(digest $tag)" = "$(published 24.11.6-test-amd64)" ] || fail "$tag is another image than the published one"
done
expect 0 'slurm:24.11-test-amd64: would be sent\|left as it is' publish 24.11.5 --registry "$to" --dry-run
# An older one gets its own tag only; so does one with a build name.
expect 0 '24.11-test-amd64: left as it is, 24.11.6-test-amd64 is newer' publish 24.11.5 --registry "$to"
expect 0 '24.11.7-test-amd64-site: sent' publish 24.11.7 --registry "$to"
[ "$(digest 24.11-test-amd64)" = "$(published 24.11.6-test-amd64)" ] || fail "an older release took the series"
[ "$(digest 24.11.5-test-amd64)" = "$(published 24.11.5-test-amd64)" ] || fail "24.11.5"
[ "$(tags)" = "24.11-test-amd64 24.11.5-test-amd64 24.11.6-test-amd64 24.11.7-test-amd64-site" ] || fail "tags: $(tags)"
# Nothing goes twice.
: >registry.log
expect 0 'slurm:24.11.6-test-amd64: was there' publish 24.11.6 --registry "$to"
[ "$(requests '"?(PUT|POST|PATCH) ')" = 0 ] || fail "what is there was sent again"
# A newer one takes the series; an older one beside it in the same run does not.
release 24.11.8
expect 0 '24.11-test-amd64: left as it is, 24.11.8-test-amd64 is newer' publish 25.05.2 24.11.6 24.11.8 --registry "$to"
[ "$(digest 24.11-test-amd64)" = "$(published 24.11.8-test-amd64)" ] || fail "the newest did not take its series"
[ "$(digest 25.05-test-amd64)" = "$(published 25.05.2-test-amd64)" ] || fail "another series"
grep -qE 'HTTP/1.1" 201|PUT .*manifests' registry.log || fail "the registry's log does not tell what was sent"
skopeo --insecure-policy copy --quiet "$to:24.11-test-amd64" oci:pulled:x || fail "skopeo cannot fetch it"

# --- what hangs on a release ----------------------------------------------------------------------------------------------

for release in 24.11.5-test-amd64 24.11.6-test-amd64 24.11.7-test-amd64-site; do
        [ -n "$(papers $release)" ] && [ "$(listed $release)" = "$(papers $release)" ] || fail "artifacts of $release: $(listed $release)"
done
# Byte for byte the repository's, with the image as subject and every blob there.
for paper in $(papers 24.11.8-test-amd64); do
        skopeo inspect --raw "$to@$paper" | cmp - "repo:1/blobs/sha256/${paper#sha256:}" || fail "$paper is another manifest"
        skopeo inspect --raw "$to@$paper" | grep -F "$(digest 24.11.8-test-amd64)" >/dev/null || fail "$paper has another subject"
        skopeo --insecure-policy copy --quiet "$to@$paper" dir:paper || fail "$paper cannot be fetched"
done
# A delta is added to what is there, and an entry of somebody else stays.
skopeo --insecure-policy copy --quiet "$to:25.05.2-test-amd64" "$to:other"
list_of 24.11.8-test-amd64 >before
python3 - "$(digest 25.05.2-test-amd64)" "$(skopeo inspect --raw "$to:25.05.2-test-amd64" | wc -c)" <<'END'
import json, sys, os, hashlib, shutil
list = json.load(open("before"))
list["manifests"].append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + sys.argv[1], "size": int(sys.argv[2])})
os.makedirs("foreign/blobs"), shutil.copytree("repo:1/blobs/sha256", "foreign/blobs/sha256")
text = json.dumps(list).encode()
digest = hashlib.sha256(text).hexdigest()
open("foreign/blobs/sha256/" + digest, "wb").write(text)
shutil.copy("repo:1/oci-layout", "foreign")
json.dump({"schemaVersion": 2, "manifests": [{"mediaType": list["mediaType"], "digest": "sha256:" + digest, "size": len(text)}]}, open("foreign/index.json", "w"))
END
skopeo --insecure-policy copy --quiet --all oci:foreign "$to:sha256-$(digest 24.11.8-test-amd64)"
expect 0 '24.11.8-test-amd64: 2 artifacts, 1 sent' publish 24.11.8 --registry "$to" --delta-from 24.11.6
[ "$(listed 24.11.8-test-amd64)" = "$( { papers 24.11.8-test-amd64 | tr ' ' '\n'; echo "sha256:$(digest 25.05.2-test-amd64)"; } | sort | xargs)" ] ||
        fail "after a delta: $(listed 24.11.8-test-amd64)"

# --- what is refused ------------------------------------------------------------------------------------------------------

# A second repository has other content by that name.
mkdir -p other && cp -r cache other/ && rm -rf other/cache/builds/24.11.8*
echo other >>random
cache=other/cache release 24.11.8
mkdir repo2
factory -q keys init --repo repo2 --keys keys2
second() { cache=other/cache factory publish "$@" --repo repo2 --keys keys2; }
before=$(digest 24.11.8-test-amd64)
expect 3 'published in the repository, but not sent.*24.11.8-test-amd64 has other content; --force' second 24.11.8 --registry "$to"
[ "$(digest 24.11.8-test-amd64)" = "$before" ] || fail "other content was replaced"
expect 0 '24.11.8-test-amd64: sent' second 24.11.8 --registry "$to" --force
[ "$(digest 24.11-test-amd64)" != "$before" ] || fail "--force does not replace"
# Withdrawn: not sent.
factory -q withdraw 25.05.2 --repo "repo:1" --keys keys
expect 0 '25.05.2-test-amd64 is withdrawn: not sent' publish 25.05.2 --registry "$to/more"
! skopeo list-tags "$to/more" >/dev/null 2>&1 || fail "a withdrawn release was sent"

# The repository is published, whatever becomes of the registry.
release 25.05.3
offers() { grep -q "$1" "repo:1/index.json" || fail "$1 is not published"; }
mv auth.json away
expect 3 'published in the repository, but not sent: registry: docker://.*nauthorized\|authentication required' publish 25.05.3 --registry "$to"
mv away auth.json
offers 25.05.3
release 25.05.4
stop
expect 3 'published in the repository, but not sent.*refused' publish 25.05.4 --registry "$to"
offers 25.05.4
start
release 25.05.5
mkdir bin
without_skopeo() { ( PATH=$scratch/bin && publish "$@" ); }
expect 3 'published in the repository, but not sent.*cannot run skopeo' without_skopeo 25.05.5 --registry "$to"
offers 25.05.5
expect 0 'sent' publish 25.05.3 25.05.4 25.05.5 --registry "$to"
[ "$(digest 25.05-test-amd64)" = "$(published 25.05.5-test-amd64)" ] || fail "the series after repeating"

# --- signed tags ----------------------------------------------------------------------------------------------------------

gpg --batch --quiet --passphrase '' --quick-generate-key 'Test <test@example.org>' ed25519 sign never 2>/dev/null
gpg --armor --export test@example.org >key.asc
cat >home/.config/containers/registries.d/test.yaml <<END
docker:
  $host:
    sigstore: file://$scratch/signatures
    sigstore-staging: file://$scratch/signatures
END
cat >policy.json <<END
{"default": [{"type": "reject"}],
 "transports": {"docker": {"$host": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "$scratch/key.asc"}]}}}
END
fetch() { rm -rf fetched && skopeo --policy policy.json copy --quiet "$to:$1" dir:fetched; }
expect 1 'A signature was required' fetch 25.05.5-test-amd64
fingerprint=$(gpg --list-keys --with-colons | sed -n 's/^fpr:*\([0-9A-F]*\):*/\1/p' | head -n 1)
expect 0 'was there, signed' publish 25.05.5 --registry "$to" --gpg-key "$fingerprint"
release 25.05.6
expect 0 'sent, signed' publish 25.05.6 --registry "$to" --gpg-key "$fingerprint"
for tag in 25.05.6-test-amd64 25.05-test-amd64 25.05.5-test-amd64; do fetch $tag >said 2>&1 || fail "skopeo refuses $tag"; done
# By another name, or another image by a signed name, is refused.
expect 1 'A signature was required' fetch 25.05.4-test-amd64
skopeo --insecure-policy copy --quiet "$to:25.05.5-test-amd64" "$to:25.05.6-test-amd64" && expect 1 'ignature' fetch 25.05.6-test-amd64
expect 3 'published in the repository, but not sent' publish 25.05.4 --registry "$to" --gpg-key nobody@example.org

# --- two at once, and what is taken out again -----------------------------------------------------------------------------

# Each pair of publishers has its own repository and keys; whoever is last, the series is the newer one's.
mkdir a b
for one in a b; do
        cp -r cache $one/
        factory -q keys init --repo $one/repo --keys $one/keys
done
cache=a/cache release 23.11.8
cache=b/cache release 23.11.9
for round in 1 2 3; do
        at=$to/pair$round
        (cache=a/cache; factory publish 23.11.8 --repo a/repo --keys a/keys --registry "$at" >said.a 2>&1) & one=$!
        (cache=b/cache; factory publish 23.11.9 --repo b/repo --keys b/keys --registry "$at" >said.b 2>&1) & two=$!
        wait $one && wait $two || { cat said.a said.b; fail "two publishers at once"; }
        [ "$(skopeo inspect --raw "$at:23.11-test-amd64" | sha256sum)" = "$(skopeo inspect --raw "$at:23.11.9-test-amd64" | sha256sum)" ] ||
                { cat said.a said.b; fail "the series is the older one's"; }
done

prune() { factory prune --repo "repo:1" --keys keys --registry "$to" "$@"; }
publish 25.05.6 --registry "$to" --force >said 2>&1 || fail "25.05.6 anew"
factory -q withdraw 25.05.6 --repo "repo:1" --keys keys
tags >before
expect 0 '25.05.6-test-amd64: would be removed from the registry' prune --dry-run
tags | cmp - before || fail "a dry run removed something"
expect 3 'the repository is pruned, the registry is not.*does not let anybody delete' prune
grep -q '25.05-test-amd64: goes to 25.05.5-test-amd64' said || fail "the series leads to what is withdrawn"
stop
start REGISTRY_STORAGE_DELETE_ENABLED=true
gone=$(papers 25.05.5-test-amd64) image=$(digest 25.05.6-test-amd64)
expect 0 '25.05.6-test-amd64: removed' prune
grep -q '25.05.2-test-amd64: removed' said || fail "what was withdrawn before stays"
[ "$(digest 25.05-test-amd64)" = "$(digest 25.05.5-test-amd64)" ] || fail "the series after a removal"
! skopeo inspect --raw "$to@sha256:$image" >/dev/null 2>&1 || fail "the image is still there"
! skopeo inspect --raw "$to:sha256-$image" >/dev/null 2>&1 || fail "its list is still there"
for paper in $gone; do skopeo inspect --raw "$to@$paper" >/dev/null || fail "an artifact of another release is gone"; done
# 'other' is no release's name; the image by a release's name, but of another release, is not ours to delete.

skopeo --insecure-policy copy --quiet "$to:25.05.5-test-amd64" "$to:22.05.1-test-amd64"
skopeo --insecure-policy copy --quiet "$to:25.05.5-test-amd64" "$to:22.05.1-elsewhere-amd64"
expect 0 '22.05.1-test-amd64: not an image of a release, left alone' prune
grep -q '22.05.1-elsewhere-amd64: the repository offers nothing for elsewhere' said || fail "another toolchain"
tags | grep -w 22.05.1-test-amd64 >/dev/null || fail "somebody's tag was deleted"
expect 0 '24.11.5-test-amd64: removed' prune 24.11.5
! tags | grep -w 24.11.5-test-amd64 >/dev/null || fail "a pruned release stays"
mv auth.json away
expect 3 'the registry is not.*nauthorized\|authentication required' prune
mv away auth.json

[ -z "$(ls tmp)" ] || fail "left behind in \$TMPDIR: $(ls tmp)"
echo "all as expected"
