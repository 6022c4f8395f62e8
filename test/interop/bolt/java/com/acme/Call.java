package com.acme;

import com.alipay.sofa.rpc.api.future.SofaResponseFuture;
import com.alipay.sofa.rpc.context.RpcInvokeContext;
import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.core.invoke.SofaResponseCallback;
import com.alipay.sofa.rpc.core.request.RequestBase;
import com.google.protobuf.StringValue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/** One call of SOFARPC as a command describes it. */
class Call {
    private final Command c;
    private final String kind;
    private final String method;
    private final int timeout;

    Call(Command c) {
        this.c = c;
        kind = c.text("kind", "sync");
        method = c.text("method", "hello");
        timeout = c.number("timeout", 10_000);
    }

    String run() throws Throwable {
        String text = c.text("text", "x");
        if (kind.equals("callback")) {
            try {
                return start(text, c.number("ms", 0)).get(timeout + 5_000, TimeUnit.MILLISECONDS);
            } catch (ExecutionException e) {
                throw e.getCause();
            }
        }
        prepare();
        Object result = invoke(text, c.number("ms", 0));
        switch (kind) {
            case "oneway":
                return "sent";
            case "future":
                return String.valueOf(SofaResponseFuture.getResponse(timeout, true));
            default:
                return String.valueOf(result);
        }
    }

    /** Starts a call by callback. */
    CompletableFuture<String> start(String text, int ms) {
        CompletableFuture<String> answer = new CompletableFuture<>();
        prepare();
        RpcInvokeContext.getContext().setResponseCallback(new Completer(answer));
        try {
            invoke(text, ms);
        } catch (Throwable e) {
            answer.completeExceptionally(e);
        }
        return answer;
    }

    private void prepare() {
        RpcInvokeContext.removeContext();
        RpcInvokeContext.getContext().setTimeout(timeout);
        String user = c.text("user", null);
        if (user != null) {
            RpcInvokeContext.getContext().putRequestBaggage("user", user);
        }
    }

    private Object invoke(String text, int ms) throws Refusal {
        String to = c.text("to", null);
        if (c.text("service", "hello").equals("proto")) {
            Proto proto = Consumers.of(Proto.class, to, kind);
            StringValue value = StringValue.of(text);
            StringValue answer = method.equals("fail") ? proto.fail(value) : proto.hello(value);
            return answer == null ? null : answer.getValue();
        }
        Hello hello = Consumers.of(Hello.class, to, kind);
        switch (method) {
            case "hello":
                return hello.hello(text);
            case "slow":
                return hello.slow(ms, text);
            case "fail":
                return hello.fail(text);
            case "tell":
                hello.tell(text);
                return "told";
            case "mirror":
                return mirror(hello);
            default:
                throw new IllegalArgumentException("no method " + method);
        }
    }

    private String mirror(Hello hello) {
        byte[] data = new byte[c.number("size", 0)];
        new java.util.Random(data.length).nextBytes(data);
        byte[] answer = hello.mirror(data);
        Server.turnOver(data);
        return java.util.Arrays.equals(data, answer) ? data.length + " bytes" : "other bytes";
    }

    private record Completer(CompletableFuture<String> answer) implements SofaResponseCallback<Object> {
        public void onAppResponse(Object response, String method, RequestBase request) {
            answer.complete(response instanceof StringValue ? ((StringValue) response).getValue() : String.valueOf(response));
        }

        public void onAppException(Throwable e, String method, RequestBase request) {
            answer.completeExceptionally(e);
        }

        public void onSofaException(SofaRpcException e, String method, RequestBase request) {
            answer.completeExceptionally(e);
        }
    }
}
