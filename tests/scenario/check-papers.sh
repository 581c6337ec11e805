#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A release's papers: its bill of materials (SPDX 2.3) and its provenance (in-toto, SLSA v1, signed as a DSSE envelope), named
# in the signed index and attached for OCI tools. Then advisories (OSV) against what published releases contain.
set -euo pipefail

scratch=$(mktemp -d "${TMPDIR:-/tmp}/sf-check-papers.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
unset SLURM_FACTORY_CACHE_DIR
mkdir -p data/recipes/patches data/slurm data/toolchains mirror
printf '[mirror]\nurl = mirror\n' >conf
printf '[toolchain]\ncflags = -O2\nldflags = -Wl,--build-id=none\n' >data/toolchains/default.ini

fail() {
        echo "FAILED: $*" >&2
        [ ! -f out ] || sed 's/^/    /' out >&2
        exit 1
}
run() { # run WANTED-EXIT-CODE VERB...: output in ./out and ./err
        local wanted=$1 code=0
        shift
        "$top_builddir/slurm-factory" --config conf --data data --cache cache "$@" >out 2>err || code=$?
        [ "$code" = "$wanted" ] || { cat err >>out; fail "exit code $code instead of $wanted: $*"; }
}

mkdir small
printf 'int main(void) { return 0; }\n' >small/main.c
printf 'install:\n\t$(CC) $(LDFLAGS) -o slurmd main.c\n\tinstall -D slurmd $(P)/sbin/slurmd\n' >small/Makefile
tar -c --sort=name --owner=0 --group=0 --mtime=@1000000000 small | gzip -n >mirror/small.tar.gz
digest=$(sha256sum mirror/small.tar.gz | cut -d' ' -f1)
source="[source]
file = small.tar.gz
sha256 = $digest
url = https://example.invalid/small.tar.gz"
printf -- '--- a/main.c\n+++ b/main.c\n@@ -1 +1 @@\n-int main(void) { return 0; }\n+int main(void) { return 1; }\n' >data/recipes/patches/fix.patch
patch=$(sha256sum data/recipes/patches/fix.patch | cut -d' ' -f1)
printf '[package]\nname = readline\nversion = 8.2\nlicense = GPL-3.0-or-later\n%s\n[patch fix]\nfile = fix.patch\nsha256 = %s\n[step install]\nrun = install -D -m 644 main.c @PREFIX@/share/readline\n' \
        "$source" "$patch" >data/recipes/readline.ini
printf '[package]\nname = lib+plus\nversion = 1.0~rc1+2\n%s\n[step install]\nrun = install -D -m 644 main.c @PREFIX@/share/plus\n' "$source" >data/recipes/lib+plus.ini
printf '[package]\nname = slurm\nlayer = slurm\nlicense = GPL-2.0-or-later\ndepends = readline lib+plus\n[step install]\nrun = make install P=@PREFIX@\n' >data/recipes/slurm.ini
for v in 9.9.1 9.9.2; do
        printf '[package]\nversion = %s\n%s\n' $v "$source" >data/slurm/$v.ini
done

echo "== a release with papers, published"
run 0 keys init --repo repo --keys keys
run 0 build-slurm --slurm-version 9.9.1
run 0 publish 9.9.1 --repo repo --keys keys
cat >look.py <<'END'
import base64, glob, hashlib, json, os, re, sys
blob = lambda b: open("repo/blobs/sha256/" + b["sha256"], "rb").read()
index = json.load(open(max(glob.glob("repo/targets/index/*.json"), key=os.path.getmtime)))  # the newest of one toolchain
release = [r for r in index["releases"] if r["name"].startswith("9.9.1-")][0]
for paper in "sbom", "provenance":
    assert hashlib.sha256(blob(release[paper])).hexdigest() == release[paper]["sha256"] and len(blob(release[paper])) == release[paper]["size"]

# SPDX 2.3: what its JSON schema requires of a document and of each package, its types and enumerations.
s = json.loads(blob(release["sbom"]))
assert set(s) == set("SPDXID spdxVersion dataLicense name documentNamespace creationInfo packages relationships".split()), s.keys()
assert (s["spdxVersion"], s["dataLicense"], s["SPDXID"]) == ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT")
assert re.fullmatch(r"https://[^#\s]+", s["documentNamespace"]) and s["creationInfo"]["creators"][0].startswith("Tool: slurm-factory-")
assert s["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
ids = {p["SPDXID"]: p for p in s["packages"]}
assert len(ids) == len(s["packages"]) == 4 and all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", i) for i in ids), ids
allowed = set("SPDXID name versionInfo packageFileName supplier downloadLocation filesAnalyzed checksums sourceInfo licenseConcluded licenseDeclared copyrightText comment externalRefs primaryPackagePurpose".split())
for p in s["packages"]:
    assert set(p) <= allowed and {"SPDXID", "name", "downloadLocation"} <= set(p) and p["filesAnalyzed"] is False, p
for r in s["relationships"]:
    assert set(r) == {"spdxElementId", "relationshipType", "relatedSpdxElement"}
    assert {r["spdxElementId"], r["relatedSpdxElement"]} <= set(ids) | {"SPDXRef-DOCUMENT"}, r
    assert r["relationshipType"] in ("DESCRIBES", "CONTAINS", "DEPENDS_ON")
related = {(r["spdxElementId"], r["relationshipType"], r["relatedSpdxElement"]) for r in s["relationships"]}
assert ("SPDXRef-Package-slurm", "DEPENDS_ON", "SPDXRef-Package-readline") in related and ("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Release-this") in related
p = ids["SPDXRef-Package-readline"]
assert (p["versionInfo"], p["licenseDeclared"], p["downloadLocation"]) == ("8.2", "GPL-3.0-or-later", "https://example.invalid/small.tar.gz"), p
assert p["checksums"] == [{"algorithm": "SHA256", "checksumValue": sys.argv[1]}] and sys.argv[2] in p["sourceInfo"] and "fix.patch" in p["sourceInfo"]
plus = ids["SPDXRef-Package-lib.2B.plus"]
assert plus["licenseDeclared"] == "NOASSERTION" and plus["externalRefs"][0]["referenceLocator"] == "pkg:generic/lib%2Bplus@1.0~rc1%2B2", plus

# The envelope: every signature verifies with a key of the role, over what DSSE says is signed.
e = json.loads(blob(release["provenance"]))
assert e["payloadType"] == "application/vnd.in-toto+json" and e["signatures"]
payload = base64.b64decode(e["payload"], validate=True)
role = [d for d in json.load(open("repo/metadata/1.targets.json"))["signed"]["delegations"]["roles"] if d["name"] == "releases"][0]
keys = json.load(open("repo/metadata/1.targets.json"))["signed"]["delegations"]["keys"]
signed = b"DSSEv1 %d %s %d %s" % (len(e["payloadType"]), e["payloadType"].encode(), len(payload), payload)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
for signature in e["signatures"]:
    assert signature["keyid"] in role["keyids"]
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys[signature["keyid"]]["keyval"]["public"])).verify(base64.b64decode(signature["sig"], validate=True), signed)
st = json.loads(payload)
assert st["_type"] == "https://in-toto.io/Statement/v1" and st["predicateType"] == "https://slsa.dev/provenance/v1"
assert st["subject"] == [{"name": release["name"], "digest": {"sha256": release["manifest"]["sha256"]}}], st["subject"]
b = st["predicate"]["buildDefinition"]
assert b["buildType"] and b["externalParameters"]["slurm-version"] == "9.9.1" and b["internalParameters"]["compiler"]
names = {d["name"]: d for d in b["resolvedDependencies"]}
assert names["source/small.tar.gz"]["digest"]["sha256"] == sys.argv[1] and names["patch/fix.patch"]["digest"]["sha256"] == sys.argv[2]
assert {"recipe/readline", "recipe/lib+plus", "recipe/slurm"} <= set(names)
assert st["predicate"]["runDetails"]["builder"]["id"] and st["predicate"]["runDetails"]["builder"]["version"]["slurm-factory"]

# OCI 1.1 artifacts with a subject.
types = {}
for m in json.load(open("repo/index.json"))["manifests"]:
    manifest = json.loads(open("repo/blobs/sha256/" + m["digest"][7:], "rb").read())
    if "artifactType" in manifest and manifest["subject"]["digest"] == "sha256:" + release["manifest"]["sha256"]:
        types[manifest["artifactType"]] = manifest["layers"][0]["digest"]
assert types["application/spdx+json"] == "sha256:" + release["sbom"]["sha256"], types
assert types["application/vnd.in-toto.provenance+dsse"] == "sha256:" + release["provenance"]["sha256"], types
print(release["sbom"]["sha256"], release["provenance"]["sha256"])
END
python3 -c 'import cryptography' 2>/dev/null || { echo "skipped: no python3-cryptography here"; exit 77; }
python3 look.py "$digest" "$patch" >first || fail "the papers"

echo "== the same bytes again: published again, built again elsewhere"
run 0 publish 9.9.1 --repo repo --keys keys
python3 look.py "$digest" "$patch" | cmp - first || fail "published again, other papers"
run 0 build-slurm --slurm-version 9.9.1 --check

echo "== a damaged envelope is signed anew; prune keeps papers"
printf x >>"repo/blobs/sha256/$(cut -d' ' -f2 first)"
run 0 publish 9.9.1 --repo repo --keys keys
python3 look.py "$digest" "$patch" | cmp - first || fail "mended, other papers"
run 0 prune --repo repo --keys keys
python3 look.py "$digest" "$patch" >out || fail "prune took papers away"

echo "== advisories against what is published"
run 0 build-slurm --slurm-version 9.9.2
run 0 publish 9.9.2 --repo repo --keys keys
# osv ID NAME EVENTS: one advisory
osv() { printf '{"id": "%s", "summary": "a hole\\u001b[2J", "database_specific": {"cvss": 9.8}, "affected": [{"package": {"ecosystem": "OSS-Fuzz", "name": "%s"}, "ranges": [{"type": "ECOSYSTEM", "events": [%s]}]}]}' "$@"; }
osv T-1 readline '{"introduced": "0"}, {"fixed": "8.3"}' >one.json
run 1 advisories one.json --repo repo
[ "$(grep -c '^T-1: readline 8.2 in 9.9.[12]-.*, fixed in 8.3: a hole' out)" = 2 ] || fail "two releases have it"
! LC_ALL=C grep -q "$(printf '\033')" out || fail "an escape sequence of the advisory reaches the terminal"
run 1 advisories one.json --repo repo --json
python3 -c 'import json; o = json.load(open("out")); assert o["result"] == "ok" and len(o["affected"]) == 2 and o["unclear"] == [] and o["releases"] == 2 and {a["release"][:5] for a in o["affected"]} == {"9.9.1", "9.9.2"}, o' || fail "the JSON"
echo "[$(osv T-2 readline '{"introduced": "8.3"}'), $(osv T-3 slurm '{"introduced": "9.9.2"}')]" >list.json
run 1 advisories list.json --repo repo
[ "$(wc -l <out)" = 1 ] && grep -q '^T-3: slurm 9.9.2 in 9.9.2-' out || fail "only Slurm 9.9.2"
run 0 withdraw 9.9.2 --repo repo --keys keys --reason T-3
run 0 advisories list.json --repo repo
grep -q '^T-3: .*(withdrawn)' out || fail "a withdrawn release is listed"
run 0 withdraw 9.9.2 --repo repo --keys keys --undo
echo "{\"vulns\": [$(osv T-4 nothing-of-ours '{"introduced": "0"}')]}" >none.json
run 0 advisories none.json --repo repo
echo '{"id": "T-5", "affected": [{"package": {"name": "readline"}, "ranges": [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}]}]}' >git.json
run 1 advisories git.json --repo repo
grep -q 'cannot be told' out || fail "commits cannot be judged"
echo '{"id": "T-6", "withdrawn": "2026-01-01T00:00:00Z", "affected": [{"package": {"name": "readline"}, "versions": ["8.2"]}]}' >withdrawn.json
run 0 advisories withdrawn.json --repo repo
for bad in '{"id": 7}' '[' '{"id": "T-7", "affected": [{"package": {"name": "readline"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": 0}]}]}]}'; do
        echo "$bad" >bad.json
        run 3 advisories bad.json --repo repo
        grep -q 'bad.json' err || fail "the file is not named for $bad"
done
run 3 advisories nowhere.json --repo repo
run 2 advisories one.json
run 3 advisories one.json --repo nowhere
sbom=$(python3 look.py "$digest" "$patch" | cut -d' ' -f1)
run 0 sbom 9.9.1
cmp <(head -c -1 out) "repo/blobs/sha256/$sbom" || fail "sbom prints another one"
cp "repo/blobs/sha256/$sbom" kept
sed -i s/8.2/8.4/ "repo/blobs/sha256/$sbom"
run 3 advisories one.json --repo repo
grep -q 'sha256 mismatch' err || fail "a bill of materials that was changed is believed"
cp kept "repo/blobs/sha256/$sbom"
mkdir -p tree/sbin
cp small/main.c tree/sbin/slurmd
run 0 import tree --slurm-version 9.9.3 --placeholder "/$(head -c 300 /dev/zero | tr '\0' p)"
run 0 publish 9.9.3 --repo repo --keys keys
run 1 advisories list.json --repo repo
grep -q '^T-3: slurm 9.9.3 in 9.9.3-' out && grep -q 'warning: 9.9.3-.* has no bill of materials' err || fail "an imported release"
run 3 sbom 9.9.3

echo "== a license that changes makes another bill of materials, and builds nothing"
sed -i 's/^license = .*/license = (MIT OR Apache-2.0)/' data/recipes/readline.ini
run 0 build-slurm --slurm-version 9.9.1
! grep -q building err || fail "a license built something"
run 0 publish 9.9.1 --repo repo --keys keys
! python3 look.py "$digest" "$patch" >out 2>&1 && grep -q 'MIT OR Apache-2.0' out || fail "the bill of materials is the old one"
for bad in 'MIT OR (' 'MIT)' 'MIT;' 'a"b'; do
        sed -i "s/^license = .*/license = $bad/" data/recipes/readline.ini
        run 2 build-slurm --slurm-version 9.9.1
        grep -q 'no SPDX expression' err || fail "license $bad is taken"
done
echo "all well"
