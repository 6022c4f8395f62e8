import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.CodedOutputStream;
import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Client PORT: makes calls of all kinds to gRPC's interoperability service and prints a line for each. Messages are written by hand. */
public final class Client {
  private static final int[] SIZES = {31415, 9, 2653, 58979};

  private final ManagedChannel channel;

  private Client(ManagedChannel channel) {
    this.channel = channel;
  }

  public static void main(String[] args) throws Exception {
    ManagedChannel channel = NettyChannelBuilder.forAddress("127.0.0.1", Integer.parseInt(args[0])).usePlaintext().build();
    new Client(channel).run();
    channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
  }

  private void run() throws Exception {
    System.out.println("empty " + unary("EmptyCall", new byte[0]).length);
    System.out.println("unary " + bodySize(unary("UnaryCall", message(m -> {
      m.writeInt32(2, 314159);
      m.writeByteArray(3, payload(271828));
    }))));
    System.out.println("server " + server());
    System.out.println("client " + upload());
    System.out.println("both " + pingPong());
    try {
      unary("UnaryCall", message(m -> m.writeByteArray(7, message(s -> {
        s.writeInt32(1, 2);
        s.writeString(2, "a b% \u00e9");
      }))));
    } catch (StatusRuntimeException e) {
      System.out.println("status " + e.getStatus().getCode().value() + " " + e.getStatus().getDescription().equals("a b% \u00e9"));
    }
    try {
      ClientCalls.blockingServerStreamingCall(channel, method(MethodType.SERVER_STREAMING, "StreamingOutputCall"),
          CallOptions.DEFAULT.withDeadlineAfter(100, TimeUnit.MILLISECONDS), message(m -> m.writeByteArray(2, message(p -> {
            p.writeInt32(1, 10);
            p.writeInt32(2, 2_000_000);
          })))).forEachRemaining(x -> { });
    } catch (StatusRuntimeException e) {
      System.out.println("deadline " + e.getStatus().getCode().value());
    }
    List<CompletableFuture<byte[]>> many = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      CompletableFuture<byte[]> answer = new CompletableFuture<>();
      many.add(answer);
      ClientCalls.asyncUnaryCall(channel.newCall(method(MethodType.UNARY, "UnaryCall"), soon()), message(m -> {
        m.writeInt32(2, 1000);
        m.writeByteArray(3, payload(1000));
      }), collect(x -> { }, () -> answer.complete(null), answer::completeExceptionally, answer::complete));
    }
    int good = 0;
    for (CompletableFuture<byte[]> answer : many) {
      if (bodySize(answer.get(10, TimeUnit.SECONDS)) == 1000) {
        good++;
      }
    }
    System.out.println("many " + good);
  }

  private String server() throws IOException {
    Iterator<byte[]> answers = ClientCalls.blockingServerStreamingCall(channel, method(MethodType.SERVER_STREAMING, "StreamingOutputCall"),
        soon(), message(m -> {
          for (int size : SIZES) {
            m.writeByteArray(2, message(p -> p.writeInt32(1, size)));
          }
        }));
    StringBuilder out = new StringBuilder();
    while (answers.hasNext()) {
      out.append(bodySize(answers.next())).append(' ');
    }
    return out.toString().trim();
  }

  private String upload() throws Exception {
    CompletableFuture<byte[]> answer = new CompletableFuture<>();
    StreamObserver<byte[]> request = ClientCalls.asyncClientStreamingCall(
        channel.newCall(method(MethodType.CLIENT_STREAMING, "StreamingInputCall"), soon()),
        collect(x -> { }, () -> { }, answer::completeExceptionally, answer::complete));
    for (int size : SIZES) {
      request.onNext(message(m -> m.writeByteArray(1, payload(size))));
    }
    request.onCompleted();
    CodedInputStream in = CodedInputStream.newInstance(answer.get(10, TimeUnit.SECONDS));
    in.readTag();
    return Integer.toString(in.readInt32());
  }

  private String pingPong() throws Exception {
    List<String> got = new ArrayList<>();
    CompletableFuture<Void> over = new CompletableFuture<>();
    List<StreamObserver<byte[]>> request = new ArrayList<>();
    Runnable ask = () -> request.get(0).onNext(message(m -> {
      m.writeByteArray(2, message(p -> p.writeInt32(1, SIZES[got.size()])));
      m.writeByteArray(3, payload(5));
    }));
    request.add(ClientCalls.asyncBidiStreamingCall(channel.newCall(method(MethodType.BIDI_STREAMING, "FullDuplexCall"), soon()),
        collect(x -> {
          got.add(Integer.toString(bodySize(x)));
          if (got.size() < SIZES.length) {
            ask.run();
          } else {
            request.get(0).onCompleted();
          }
        }, () -> over.complete(null), over::completeExceptionally, x -> { })));
    ask.run();
    over.get(10, TimeUnit.SECONDS);
    return String.join(" ", got);
  }

  private byte[] unary(String name, byte[] request) {
    return ClientCalls.blockingUnaryCall(channel, method(MethodType.UNARY, name), soon(), request);
  }

  private static CallOptions soon() {
    return CallOptions.DEFAULT.withDeadlineAfter(10, TimeUnit.SECONDS);
  }

  private interface Consumer<T> {
    void accept(T value);
  }

  private static StreamObserver<byte[]> collect(Consumer<byte[]> each, Runnable end, Consumer<Throwable> fail, Consumer<byte[]> last) {
    return new StreamObserver<>() {
      @Override public void onNext(byte[] value) {
        each.accept(value);
        last.accept(value);
      }

      @Override public void onError(Throwable t) {
        fail.accept(t);
      }

      @Override public void onCompleted() {
        end.run();
      }
    };
  }

  private interface Writer {
    void write(CodedOutputStream out) throws IOException;
  }

  private static byte[] message(Writer w) {
    try {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      CodedOutputStream out = CodedOutputStream.newInstance(bytes);
      w.write(out);
      out.flush();
      return bytes.toByteArray();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] payload(int size) {
    return message(m -> m.writeByteArray(2, new byte[size]));
  }

  /** The length of payload.body in an answer. */
  private static int bodySize(byte[] answer) {
    try {
      CodedInputStream in = CodedInputStream.newInstance(answer);
      while (!in.isAtEnd()) {
        if (in.readTag() >>> 3 == 1) {
          CodedInputStream payload = in.readBytes().newCodedInput();
          while (!payload.isAtEnd()) {
            int tag = payload.readTag();
            if (tag >>> 3 == 2) {
              ByteString body = payload.readBytes();
              return body.size();
            }
            payload.skipField(tag);
          }
        }
      }
      return 0;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static MethodDescriptor<byte[], byte[]> method(MethodType type, String name) {
    return MethodDescriptor.<byte[], byte[]>newBuilder().setType(type).setFullMethodName("grpc.testing.TestService/" + name)
        .setRequestMarshaller(new Bytes()).setResponseMarshaller(new Bytes()).build();
  }

  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
