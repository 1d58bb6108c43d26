# Ruby's net/http, and the gem http-2, which leaves the sockets to its user.
#
#   ruby ruby.rb CLIENT ROOT BODY ID HOST…
#
# Prints its version, and then for each request: method, address, status, protocol, SHA-256 of the answer.
require "digest"
require "net/http"
require "openssl"
require "socket"
require "uri"

client, ROOT, file, id, *hosts = ARGV
body = File.binread(file)

# NetHTTP has one connection for a host.
class NetHTTP
  def self.version = RUBY_VERSION

  def initialize(host)
    @http = Net::HTTP.start(host, 443, use_ssl: true, ca_file: ROOT)
  end

  def ask(method, path, body)
    request = { "GET" => Net::HTTP::Get, "HEAD" => Net::HTTP::Head, "POST" => Net::HTTP::Post }.fetch(method).new(path)
    request["Content-Type"] = "application/octet-stream" if body
    answer = @http.request(request, body)
    [answer.code, "HTTP/#{answer.http_version}", answer.body.to_s]
  end

  def close = @http.finish
end

# Gem2 drives the frames of one connection for a host.
class Gem2
  def self.version
    require "http/2"
    HTTP2::VERSION
  end

  def initialize(host)
    @host = host
    context = OpenSSL::SSL::SSLContext.new
    context.set_params(ca_file: ROOT, alpn_protocols: ["h2"])
    @socket = OpenSSL::SSL::SSLSocket.new(TCPSocket.new(host, 443), context)
    @socket.hostname = host
    @socket.sync_close = true
    @socket.connect
    @socket.post_connection_check(host)
    raise "the server chose #{@socket.alpn_protocol}" unless @socket.alpn_protocol == "h2"
    @frames = HTTP2::Client.new
    @frames.on(:frame) { |bytes| @socket.write(bytes) }
  end

  def ask(method, path, body)
    stream, status, answer, over = @frames.new_stream, nil, +"", false
    stream.on(:headers) { |header| status = header.to_h[":status"] || status }
    stream.on(:data) { |piece| answer << piece }
    stream.on(:close) { over = true }
    stream.headers({ ":scheme" => "https", ":method" => method, ":authority" => @host, ":path" => path }, end_stream: body.nil?)
    stream.data(body) if body
    @frames << @socket.readpartial(16384) until over
    [status, "HTTP/2.0", answer]
  end

  def close = @socket.close
end

kind = { "net-http" => NetHTTP, "http-2" => Gem2 }.fetch(client)
puts "version #{kind.version}"
hosts.each do |host|
  connection = kind.new(host)
  [%w[GET /], %w[GET /second], %w[HEAD /second], %w[POST /form]].each do |method, path|
    status, proto, answer = connection.ask(method, "#{path}?#{id}", method == "POST" ? body : nil)
    puts [method, "https://#{host}#{path}?#{id}", status, proto, Digest::SHA256.hexdigest(answer)].join(" ")
  end
  connection.close
end
