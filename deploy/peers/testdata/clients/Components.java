import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.util.HexFormat;
import javax.net.ssl.SSLContext;
import org.apache.hc.client5.http.async.methods.SimpleHttpRequest;
import org.apache.hc.client5.http.async.methods.SimpleRequestBuilder;
import org.apache.hc.client5.http.impl.async.CloseableHttpAsyncClient;
import org.apache.hc.client5.http.impl.async.HttpAsyncClients;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.client5.http.ssl.ClientTlsStrategyBuilder;
import org.apache.hc.client5.http.ssl.SSLConnectionSocketFactoryBuilder;
import org.apache.hc.core5.http.ClassicHttpRequest;
import org.apache.hc.core5.http.ContentType;
import org.apache.hc.core5.http.io.entity.EntityUtils;
import org.apache.hc.core5.http.io.support.ClassicRequestBuilder;
import org.apache.hc.core5.ssl.SSLContextBuilder;
import org.apache.hc.core5.util.VersionInfo;

/**
 * Apache HttpComponents 5, the classic client, which speaks HTTP/1.1, and the asynchronous one for HTTP/2:
 * {@code java Components.java classic|async ROOT BODY ID HOST…}. Prints its version, and then for each request: method, address,
 * status, protocol, SHA-256 of the answer.
 */
public class Components {
  record Answer(int status, String proto, byte[] body) {}

  interface Client extends AutoCloseable {
    Answer ask(String method, String url, byte[] body) throws Exception;
  }

  public static void main(String[] args) throws Exception {
    var tls = SSLContextBuilder.create().loadTrustMaterial(store(args[1]), null).build();
    var content = Files.readAllBytes(Path.of(args[2]));
    System.out.println("version " + VersionInfo.loadVersionInfo("org.apache.hc.client5", Components.class.getClassLoader()).getRelease());
    String[][] requests = {{"GET", "/"}, {"GET", "/second"}, {"HEAD", "/second"}, {"POST", "/form"}};
    try (var client = args[0].equals("async") ? new Async(tls) : new Classic(tls)) {
      for (int i = 4; i < args.length; i++) {
        for (var r : requests) {
          var url = "https://" + args[i] + r[1] + "?" + args[3];
          var answer = client.ask(r[0], url, r[0].equals("POST") ? content : null);
          var digest = MessageDigest.getInstance("SHA-256").digest(answer.body());
          System.out.println(String.join(" ", r[0], url, "" + answer.status(), answer.proto(), HexFormat.of().formatHex(digest)));
        }
      }
    }
  }

  static KeyStore store(String root) throws Exception {
    var store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null);
    try (var in = Files.newInputStream(Path.of(root))) {
      store.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    return store;
  }

  static class Classic implements Client {
    final CloseableHttpClient client;

    Classic(SSLContext tls) {
      var sockets = SSLConnectionSocketFactoryBuilder.create().setSslContext(tls).build();
      client = HttpClients.custom().setConnectionManager(PoolingHttpClientConnectionManagerBuilder.create().setSSLSocketFactory(sockets).build()).build();
    }

    public Answer ask(String method, String url, byte[] body) throws Exception {
      var builder = ClassicRequestBuilder.create(method).setUri(url);
      if (body != null) {
        builder.setEntity(body, ContentType.APPLICATION_OCTET_STREAM);
      }
      ClassicHttpRequest request = builder.build();
      return client.execute(request, answer -> {
        var entity = answer.getEntity();
        return new Answer(answer.getCode(), answer.getVersion().toString(), entity == null ? new byte[0] : EntityUtils.toByteArray(entity));
      });
    }

    public void close() throws Exception {
      client.close();
    }
  }

  static class Async implements Client {
    final CloseableHttpAsyncClient client;

    Async(SSLContext tls) {
      var strategy = ClientTlsStrategyBuilder.create().setSslContext(tls).build();
      client = HttpAsyncClients.customHttp2().setTlsStrategy(strategy).build();
      client.start();
    }

    public Answer ask(String method, String url, byte[] body) throws Exception {
      var builder = SimpleRequestBuilder.create(method).setUri(url);
      if (body != null) {
        builder.setBody(body, ContentType.APPLICATION_OCTET_STREAM);
      }
      SimpleHttpRequest request = builder.build();
      var answer = client.execute(request, null).get();
      var content = answer.getBodyBytes();
      return new Answer(answer.getCode(), answer.getVersion().toString(), content == null ? new byte[0] : content);
    }

    public void close() throws Exception {
      client.close();
    }
  }
}
