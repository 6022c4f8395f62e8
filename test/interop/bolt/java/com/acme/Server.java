package com.acme;

import com.alipay.remoting.BizContext;
import com.alipay.remoting.rpc.RpcServer;
import com.alipay.remoting.rpc.protocol.SyncUserProcessor;
import com.alipay.sofa.rpc.config.ApplicationConfig;
import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;
import com.google.protobuf.StringValue;

/** Server NAME PORT [BARE_PORT]: SOFARPC on the first port, Bolt without SOFARPC on the second. Prints "told TEXT" for each one-way call. */
public class Server {
    public static void main(String[] args) throws Exception {
        String name = args[0];
        ServerConfig server = new ServerConfig().setProtocol("bolt").setHost("127.0.0.1").setVirtualHost("127.0.0.1")
            .setPort(Integer.parseInt(args[1])).setDaemon(false).setCoreThreads(50).setMaxThreads(1200);
        export(Hello.class, new HelloService(name), server);
        export(Proto.class, new ProtoService(name), server);
        if (args.length > 2) {
            RpcServer bare = new RpcServer("127.0.0.1", Integer.parseInt(args[2]));
            bare.registerUserProcessor(new Bare(name));
            bare.startup();
        }
        System.out.println("ready");
    }

    private static <T> void export(Class<T> service, T instance, ServerConfig server) {
        new ProviderConfig<T>().setApplication(new ApplicationConfig().setAppName("peers"))
            .setInterfaceId(service.getName()).setRef(instance).setServer(server).setRegister(false).export();
    }

    private static void told(String text) {
        System.out.println("told " + text);
    }

    private static void sleep(int ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    static void turnOver(byte[] data) {
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) ~data[i];
        }
    }

    private record HelloService(String name) implements Hello {
        public String hello(String text) {
            return name + ":" + text;
        }

        public String slow(int ms, String text) {
            sleep(ms);
            return name + ":" + text;
        }

        public void tell(String text) {
            told(text);
        }

        public String fail(String text) throws Refusal {
            throw new Refusal(text);
        }

        public byte[] mirror(byte[] data) {
            turnOver(data);
            return data;
        }
    }

    private record ProtoService(String name) implements Proto {
        public StringValue hello(StringValue text) {
            return StringValue.of(name + ":" + text.getValue());
        }

        public StringValue fail(StringValue text) {
            throw new IllegalStateException(text.getValue());
        }
    }

    /** Bolt's own request is any object; what handles it is chosen by its class. */
    private static class Bare extends SyncUserProcessor<String> {
        private final String name;

        Bare(String name) {
            this.name = name;
        }

        @Override
        public Object handleRequest(BizContext context, String text) throws Exception {
            if (text.startsWith("tell-")) {
                told(text);
            } else if (text.startsWith("fail-")) {
                throw new Refusal(text);
            } else if (text.startsWith("slow-")) {
                sleep(600);
            }
            return name + ":" + text;
        }

        @Override
        public String interest() {
            return String.class.getName();
        }
    }
}
