package com.acme;

/** An exception of the application. */
public class Refusal extends Exception {
    public Refusal(String message) {
        super(message);
    }
}
