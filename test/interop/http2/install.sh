#!/bin/sh
# Installs the peers that speak HTTP/2 and gRPC: h2load, curl, Node and a JDK from Debian, and in the user's cache the Go programs of
# tools/go.mod, the jars of java/pom.xml and the packages of node/package.json. Safe to run again, and quick when there is nothing to do.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sofamesh/http2-peers

"$here"/../../../scripts/need.sh h2load:nghttp2-client curl javac:openjdk-17-jdk-headless mvn:maven node:nodejs npm

wanted=$(cat "$here/tools/go.mod" "$here/tools/go.sum" "$here/java/pom.xml" "$here/node/package.json" | cksum)
[ "$(cat "$cache/done" 2>/dev/null)" = "$wanted" ] && exit 0

echo "building and fetching peers of HTTP/2 and gRPC into $cache"
rm -rf "$cache"
mkdir -p "$cache/bin"
(
	cd "$here/tools"
	build() { go build -trimpath -ldflags=-s -o "$cache/bin/$1" "$2"; }
	build h2spec github.com/summerwind/h2spec/cmd/h2spec
	build grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl
	build grpc-client google.golang.org/grpc/interop/client
	build grpc-server google.golang.org/grpc/interop/server
)
cp "$here/java/pom.xml" "$here/node/package.json" "$cache"
cd "$cache"
mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars -DincludeScope=runtime
npm install --silent --no-audit --no-fund
echo "$wanted" >done
