package com.acme;

import com.alipay.remoting.InvokeCallback;
import com.alipay.remoting.InvokeContext;
import com.alipay.remoting.rpc.RpcClient;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** Calls of Bolt without SOFARPC, in a version of one's choice. */
class Bare {
    /** By version, because a client keeps one connection an address, in the version of its first call. */
    private static final Map<String, RpcClient> clients = new ConcurrentHashMap<>();

    static String run(Command c) throws Exception {
        String url = c.text("to", null) + "?_PROTOCOL=" + c.text("protocol", "1") + "&_VERSION=" + c.text("version", "1");
        RpcClient client = clients.computeIfAbsent(url, key -> {
            RpcClient made = new RpcClient();
            made.startup();
            return made;
        });
        InvokeContext context = new InvokeContext();
        context.put(InvokeContext.BOLT_CRC_SWITCH, c.text("crc", "false").equals("true"));
        String text = c.text("text", "x");
        int timeout = c.number("timeout", 10_000);
        switch (c.text("kind", "sync")) {
            case "sync":
                return (String) client.invokeSync(url, text, context, timeout);
            case "oneway":
                client.oneway(url, text, context);
                return "sent";
            case "future":
                return (String) client.invokeWithFuture(url, text, context, timeout).get();
            case "callback":
                Completer answer = new Completer();
                client.invokeWithCallback(url, text, context, answer, timeout);
                return answer.got.get(timeout + 5_000, TimeUnit.MILLISECONDS);
            default:
                throw new IllegalArgumentException("no kind " + c.text("kind", ""));
        }
    }

    private static class Completer implements InvokeCallback {
        private final CompletableFuture<String> got = new CompletableFuture<>();

        @Override
        public void onResponse(Object result) {
            got.complete((String) result);
        }

        @Override
        public void onException(Throwable e) {
            got.completeExceptionally(e);
        }

        @Override
        public Executor getExecutor() {
            return null;
        }
    }
}
