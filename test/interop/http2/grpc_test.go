package http2

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sofamesh.io/sofamesh/test/interop/peers"
)

// grpcCases are the cases of gRPC's interoperability client that need no service of Google. What each does:
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md. One more, pick_first_unary, asks for a name that the server of Go
// does not have.
var grpcCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
	"cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
	"unimplemented_method", "unimplemented_service", "orca_per_rpc", "orca_oob", "rpc_soak", "channel_soak",
}

// grpcServer starts gRPC's interoperability server.
func grpcServer(t *testing.T) int {
	t.Helper()
	port := peers.FreePort(t)
	p := peers.Start(t, built(t, "grpc-server"), "-port", fmt.Sprint(port))
	if err := p.WaitListen(fmt.Sprintf("127.0.0.1:%d", port), patience); err != nil {
		t.Fatal(err)
	}
	return port
}

// eachChain runs a test through one proxy and through two in a row.
func eachChain(t *testing.T, f func(t *testing.T, port int)) {
	server := grpcServer(t)
	one := startProxy(t, setup{Backend: server})
	two := startProxy(t, setup{Backend: one.port})
	t.Run("one proxy", func(t *testing.T) { f(t, one.port) })
	t.Run("two proxies", func(t *testing.T) { f(t, two.port) })
	two.Stop(patience) // it keeps a connection to the first
	one.quiet(t)
}

// TestGRPCGo runs grpc-go's interoperability client against its server.
func TestGRPCGo(t *testing.T) {
	client := built(t, "grpc-client")
	eachChain(t, func(t *testing.T, port int) {
		for _, name := range grpcCases {
			t.Run(name, func(t *testing.T) {
				args := []string{"-server_host", "127.0.0.1", "-server_port", fmt.Sprint(port), "-test_case", name}
				switch {
				case strings.HasPrefix(name, "orca"):
					args = append(args, "-service_config_json", `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`)
				case strings.HasSuffix(name, "soak"):
					args = append(args, "-soak_iterations", "50", "-soak_per_iteration_max_acceptable_latency_ms", "10000")
				}
				if out, err := exec.Command(client, args...).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	})
}

// TestGRPCNode lets a client on grpc-js call the interoperability server in all the ways there are.
func TestGRPCNode(t *testing.T) {
	node, modules := tool(t, "node"), filepath.Join(cache(t), "node_modules")
	eachChain(t, func(t *testing.T, port int) {
		cmd := exec.Command(node, "node/client.js", fmt.Sprint(port), "testdata/test.proto")
		cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
		expectLines(t, cmd, "empty null", "unary 314159 echo", "server 31415 9 2653 58979", "client 93056", "both 31415 9 2653 58979",
			"status 2 a b% é", "deadline 4", "cancel 1", "many 200")
	})
}

// TestGRPCJava is TestGRPCNode with grpc-java, through two proxies alone: a JVM takes its time.
func TestGRPCJava(t *testing.T) {
	java, javac, jars := tool(t, "java"), tool(t, "javac"), filepath.Join(cache(t), "jars", "*")
	classes := t.TempDir()
	if out, err := exec.Command(javac, "-cp", jars, "-d", classes, "java/Client.java").CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	p := startProxy(t, setup{Backend: startProxy(t, setup{Backend: grpcServer(t)}).port})
	cmd := exec.Command(java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes+":"+jars, "Client", fmt.Sprint(p.port))
	expectLines(t, cmd, "empty 0", "unary 314159", "server 31415 9 2653 58979", "client 93056", "both 31415 9 2653 58979",
		"status 2 true", "deadline 4", "many 200")
	p.quiet(t)
}

// expectLines runs a program that prints the lines and ends well.
func expectLines(t *testing.T, cmd *exec.Cmd, want ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	// Client, proxies and server each have a timer for the deadline; whichever is first, the deadline is what the client is told of.
	got := strings.TrimSpace(out.String())
	if err != nil || got != strings.Join(want, "\n") {
		t.Errorf("%v\n%s\ngot\n%s\nwant\n%s", err, errs.String(), got, strings.Join(want, "\n"))
	}
}
