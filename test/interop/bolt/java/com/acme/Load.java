package com.acme;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;

/** Many calls at once, each with a text of its own that the answer must have. */
class Load {
    private static final Set<Load> running = ConcurrentHashMap.newKeySet();

    private final Command c;
    private final int calls;
    private final int atOnce;
    private final Map<String, Integer> results = new TreeMap<>();
    private String firstError = "";
    private volatile boolean stopped;

    Load(Command c) {
        this.c = c;
        calls = c.number("calls", Integer.MAX_VALUE);
        atOnce = c.number("at_once", 1);
    }

    static void stopAll() {
        running.forEach(load -> load.stopped = true);
    }

    /**
     * Returns how often each result was seen: ok, wrong (the answer of another call), from-SERVER, or the class of an exception; then what the
     * first exception said.
     */
    String run() throws InterruptedException {
        running.add(this);
        Call call = new Call(c);
        Semaphore free = new Semaphore(atOnce);
        for (int i = 0; i < calls && !stopped; i++) {
            free.acquire();
            String text = c.tag + "-" + i + "-" + "x".repeat(ThreadLocalRandom.current().nextInt(c.number("size", 100)));
            CompletableFuture<String> answer = call.start(text, ThreadLocalRandom.current().nextInt(c.number("ms", 1)));
            answer.whenComplete((got, e) -> {
                judge(text, got, e);
                free.release();
            });
        }
        free.acquire(atOnce);
        running.remove(this);
        return results.toString().replaceAll("[{},]", "") + firstError;
    }

    private void judge(String text, String got, Throwable e) {
        if (e != null) {
            count(Client.describe(e));
            note(e);
            return;
        }
        int colon = got.indexOf(':');
        if (colon < 0 || !got.substring(colon + 1).equals(text)) {
            count("wrong");
            return;
        }
        count("ok");
        count("from-" + got.substring(0, colon));
    }

    private synchronized void note(Throwable e) {
        if (firstError.isEmpty()) {
            firstError = " first: " + e.getMessage();
        }
    }

    private synchronized void count(String result) {
        results.merge(result, 1, Integer::sum);
    }
}
