package com.acme;

import java.util.HashMap;
import java.util.Map;

/** One line of a client's input: TAG VERB name=value... */
class Command {
    final String tag;
    final String verb;
    private final Map<String, String> values = new HashMap<>();

    Command(String line) {
        String[] words = line.split(" +");
        tag = words[0];
        verb = words[1];
        for (int i = 2; i < words.length; i++) {
            String[] pair = words[i].split("=", 2);
            values.put(pair[0], pair[1]);
        }
    }

    String text(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    int number(String name, int otherwise) {
        String value = values.get(name);
        return value == null ? otherwise : Integer.parseInt(value);
    }
}
