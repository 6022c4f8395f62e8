package com.acme;

import com.alipay.sofa.rpc.core.exception.SofaRpcException;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Reads commands from its input, runs them side by side and answers each with a line "@TAG RESULT":
 *
 *   call to=ADDRESS kind=sync|oneway|future|callback method=... text=... [ms=] [timeout=] [user=] [service=]
 *   load to=ADDRESS [calls=] at_once=N ...   calls that are each checked; without calls= until the next stop
 *   bare to=ADDRESS protocol=1|2 [version=1|2] [crc=true] kind=... text=...
 *   stop
 */
public class Client {
    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Command c = new Command(line);
            pool.execute(() -> answer(c.tag, run(c)));
        }
        System.exit(0);
    }

    private static String run(Command c) {
        try {
            switch (c.verb) {
                case "call":
                    return "ok " + new Call(c).run();
                case "load":
                    return new Load(c).run();
                case "bare":
                    return "ok " + Bare.run(c);
                case "stop":
                    Load.stopAll();
                    return "ok";
                default:
                    return "error unknown verb " + c.verb;
            }
        } catch (Throwable e) {
            return "error " + describe(e) + " " + e.getMessage();
        }
    }

    private static synchronized void answer(String tag, String result) {
        System.out.println("@" + tag + " " + result.replaceAll("\\s+", " ").trim());
    }

    /** The class, and for SOFARPC's own exceptions their type (RpcErrorType). */
    static String describe(Throwable e) {
        if (e instanceof ExecutionException && e.getCause() != null) {
            e = e.getCause();
        }
        String name = e.getClass().getSimpleName();
        return e instanceof SofaRpcException ? name + "/" + ((SofaRpcException) e).getErrorType() : name;
    }
}
