package com.acme;

/** The service that both kinds of servers have. An answer is the server's name, a colon, and the text that was sent. */
public interface Hello {
    String hello(String text);

    /** Answers after a while. */
    String slow(int ms, String text);

    void tell(String text);

    String fail(String text) throws Refusal;

    /** Answers with every byte turned over, so that nobody can pass off the request as the answer. */
    byte[] mirror(byte[] data);
}
