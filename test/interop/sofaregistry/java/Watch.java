import com.alipay.sofa.registry.client.api.Publisher;
import com.alipay.sofa.registry.client.api.registration.PublisherRegistration;
import com.alipay.sofa.registry.client.api.registration.SubscriberRegistration;
import com.alipay.sofa.registry.client.provider.DefaultRegistryClient;
import com.alipay.sofa.registry.client.provider.DefaultRegistryClientConfigBuilder;
import com.alipay.sofa.registry.core.model.ScopeEnum;

/**
 * Subscribes to one name and publishes a value under it, a new one every second, as two clients with a registry each:
 * Watch NAME PORT_OF_THE_SUBSCRIBER'S PORT_OF_THE_PUBLISHER'S. Prints "put N", and "push N" for what the subscriber is told.
 */
public class Watch {
    public static void main(String[] args) throws Exception {
        DefaultRegistryClient reader = client("reader", args[1]);
        DefaultRegistryClient writer = client("writer", args[2]);
        SubscriberRegistration watched = new SubscriberRegistration(args[0], (name, data) ->
            data.getZoneData().values().forEach(values -> values.forEach(value -> System.out.println("push " + value))));
        watched.setGroup("SOFA");
        watched.setScopeEnum(ScopeEnum.dataCenter);
        reader.register(watched);
        PublisherRegistration own = new PublisherRegistration(args[0]);
        own.setGroup("SOFA");
        Publisher publisher = writer.register(own, "0");
        for (int n = 1; ; n++) {
            System.out.println("put " + n);
            publisher.republish(Integer.toString(n));
            Thread.sleep(1000);
        }
    }

    private static DefaultRegistryClient client(String name, String port) {
        DefaultRegistryClient client = new DefaultRegistryClient(DefaultRegistryClientConfigBuilder.start()
            .setAppName(name).setRegistryEndpoint("127.0.0.1").setRegistryEndpointPort(Integer.parseInt(port)).build());
        client.init();
        return client;
    }
}
