# Perl's HTTP clients.
#
#   perl perl.pl CLIENT ROOT BODY ID HOST…
#
# Prints its version, and then for each request: method, address, status, protocol, SHA-256 of the answer.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);

my ( $client, $root, $file, $id, @hosts ) = @ARGV;
open( my $in, '<:raw', $file ) or die "$file: $!";
my $body = do { local $/; <$in> };

sub over_lwp {
    require LWP::UserAgent;
    require LWP::Protocol::https;
    my $agent = LWP::UserAgent->new( keep_alive => 3, ssl_opts => { SSL_ca_file => $root, verify_hostname => 1 } );
    return $LWP::UserAgent::VERSION, sub {
        my ( $method, $url, $content ) = @_;
        my $request = HTTP::Request->new( $method, $url, [ 'Content-Type' => 'application/octet-stream' ], $content );
        my $answer = $agent->request($request);
        return $answer->code, $answer->protocol // '-', $answer->content;
    };
}

sub over_tiny {
    require HTTP::Tiny;
    my $agent = HTTP::Tiny->new( verify_SSL => 1, SSL_options => { SSL_ca_file => $root } );
    return $HTTP::Tiny::VERSION, sub {
        my ( $method, $url, $content ) = @_;
        my $answer = $agent->request( $method, $url, defined $content ? { content => $content } : {} );
        return $answer->{status}, $answer->{protocol} // '-', $answer->{content} // '';
    };
}

my ( $version, $ask ) = { 'lwp' => \&over_lwp, 'http-tiny' => \&over_tiny }->{$client}->();
print "version $version\n";
for my $host (@hosts) {
    for ( [ 'GET', '/' ], [ 'GET', '/second' ], [ 'HEAD', '/second' ], [ 'POST', '/form' ] ) {
        my ( $method, $path ) = @$_;
        my $url = "https://$host$path?$id";
        my ( $status, $proto, $answer ) = $ask->( $method, $url, $method eq 'POST' ? $body : undef );
        print join( ' ', $method, $url, $status, $proto, sha256_hex($answer) ), "\n";
    }
}
