package com.acme;

import com.google.protobuf.StringValue;

/** The same as Hello in protobuf. */
public interface Proto {
    StringValue hello(StringValue text);

    StringValue fail(StringValue text);
}
