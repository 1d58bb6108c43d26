import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.util.HexFormat;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * The JDK's HTTP client: {@code java Jdk.java HTTP_2|HTTP_1_1 ROOT BODY ID HOST…}. Prints its version, and then for each request:
 * method, address, status, protocol, SHA-256 of the answer.
 */
public class Jdk {
  public static void main(String[] args) throws Exception {
    var client = HttpClient.newBuilder().version(HttpClient.Version.valueOf(args[0])).sslContext(trusting(args[1])).build();
    System.out.println("version " + System.getProperty("java.version"));
    String[][] requests = {{"GET", "/"}, {"GET", "/second"}, {"HEAD", "/second"}, {"POST", "/form"}};
    for (int i = 4; i < args.length; i++) {
      for (var r : requests) {
        var url = "https://" + args[i] + r[1] + "?" + args[3];
        var body = r[0].equals("POST") ? BodyPublishers.ofFile(Path.of(args[2])) : BodyPublishers.noBody();
        var answer = client.send(HttpRequest.newBuilder(URI.create(url)).method(r[0], body).build(), BodyHandlers.ofByteArray());
        var proto = answer.version() == HttpClient.Version.HTTP_2 ? "HTTP/2.0" : "HTTP/1.1";
        var digest = MessageDigest.getInstance("SHA-256").digest(answer.body());
        System.out.println(String.join(" ", r[0], url, "" + answer.statusCode(), proto, HexFormat.of().formatHex(digest)));
      }
    }
  }

  static SSLContext trusting(String root) throws Exception {
    var store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null);
    try (InputStream in = Files.newInputStream(Path.of(root))) {
      store.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    var context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return context;
  }
}
