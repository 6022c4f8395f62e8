#!/bin/sh
# Installs what the peers that speak SOFARPC need: a JDK, Node, and in the user's cache the jars and the packages that java/pom.xml and
# node/package.json name. Safe to run again, and quick when there is nothing to do.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sofamesh/bolt-peers

"$here"/../../../scripts/need.sh javac:openjdk-17-jdk-headless mvn:maven node:nodejs npm

wanted=$(cat "$here/java/pom.xml" "$here/node/package.json" | cksum)
[ "$(cat "$cache/done" 2>/dev/null)" = "$wanted" ] && exit 0

echo "fetching SOFARPC for Java and Node into $cache"
rm -rf "$cache"
mkdir -p "$cache"
cp "$here/java/pom.xml" "$here/node/package.json" "$cache"
cd "$cache"
mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars -DincludeScope=runtime
npm install --silent --no-audit --no-fund
echo "$wanted" >done
