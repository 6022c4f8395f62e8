#!/bin/sh
# Installs what SOFARegistry's server and client need: a JDK, and in the user's cache the jars that java/*.xml name (65 MB). Safe to run again, and
# quick when there is nothing to do.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sofamesh/registry-peers

"$here"/../../../scripts/need.sh javac:openjdk-17-jdk-headless mvn:maven

wanted=$(cat "$here/java/server.xml" "$here/java/client.xml" | cksum)
[ "$(cat "$cache/done" 2>/dev/null)" = "$wanted" ] && exit 0

echo "fetching SOFARegistry into $cache"
rm -rf "$cache"
mkdir -p "$cache"
for part in server client; do
	cp "$here/java/$part.xml" "$cache/$part.xml"
	(cd "$cache" && mvn -q -B -f "$part.xml" dependency:copy-dependencies -DoutputDirectory="$cache/$part" -DincludeScope=runtime)
done
echo "$wanted" >"$cache/done"
