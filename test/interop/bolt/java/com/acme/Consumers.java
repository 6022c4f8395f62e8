package com.acme;

import com.alipay.sofa.rpc.config.ApplicationConfig;
import com.alipay.sofa.rpc.config.ConsumerConfig;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** One consumer for each service, address and kind of call. SOFARPC lets those of one address share a connection. */
class Consumers {
    private static final Map<String, Object> known = new ConcurrentHashMap<>();

    static <T> T of(Class<T> service, String to, String kind) {
        return service.cast(known.computeIfAbsent(service + " " + to + " " + kind, key -> refer(service, to, kind)));
    }

    private static <T> T refer(Class<T> service, String to, String kind) {
        ConsumerConfig<T> config = new ConsumerConfig<T>().setApplication(new ApplicationConfig().setAppName("peers"))
            .setInterfaceId(service.getName()).setProtocol("bolt").setDirectUrl("bolt://" + to)
            .setRegister(false).setSubscribe(false).setInvokeType(kind).setRetries(0).setRepeatedReferLimit(-1);
        if (service == Proto.class) {
            config.setSerialization("protobuf");
        }
        return config.refer();
    }
}
