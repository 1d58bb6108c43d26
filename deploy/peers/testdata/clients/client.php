<?php
// PHP's HTTP clients.
//
//	php client.php CLIENT ROOT BODY ID HOST…
//
// Prints its version, and then for each request: method, address, status, protocol (- where the client does not say), SHA-256
// of the answer.
declare(strict_types=1);

function overCurl(string $root, bool $two): array
{
    $handle = curl_init();
    $ask = function (string $method, string $url, ?string $body) use ($handle, $root, $two): array {
        curl_reset($handle);
        curl_setopt_array($handle, [CURLOPT_URL => $url, CURLOPT_CAINFO => $root, CURLOPT_RETURNTRANSFER => true, CURLOPT_NOBODY => $method === 'HEAD',
            CURLOPT_HTTP_VERSION => $two ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1]);
        if ($body !== null) {
            curl_setopt($handle, CURLOPT_POSTFIELDS, $body);
        }
        $answer = curl_exec($handle);
        if ($answer === false) {
            throw new RuntimeException(curl_error($handle));
        }
        $proto = [CURL_HTTP_VERSION_2_0 => 'HTTP/2.0', CURL_HTTP_VERSION_1_1 => 'HTTP/1.1'][curl_getinfo($handle, CURLINFO_HTTP_VERSION)];
        return [curl_getinfo($handle, CURLINFO_RESPONSE_CODE), $proto, $answer];
    };
    return [PHP_VERSION . ' (libcurl ' . curl_version()['version'] . ')', $ask];
}

function overStreams(string $root): array
{
    $ask = function (string $method, string $url, ?string $body) use ($root): array {
        $http = ['method' => $method, 'protocol_version' => 1.1, 'header' => "Connection: close\r\nContent-Type: application/octet-stream\r\n"];
        if ($body !== null) {
            $http['content'] = $body;
        }
        $answer = file_get_contents($url, false, stream_context_create(['http' => $http, 'ssl' => ['cafile' => $root]]));
        if ($answer === false) {
            throw new RuntimeException("no answer from $url");
        }
        [$proto, $status] = explode(' ', $http_response_header[0]);
        return [(int) $status, $proto, $answer];
    };
    return [PHP_VERSION, $ask];
}

function overSymfony(string $root, string $class, string $version): array
{
    require_once '/usr/share/php/Symfony/Component/HttpClient/autoload.php';
    $name = "Symfony\\Component\\HttpClient\\$class";
    $client = new $name(['cafile' => $root, 'http_version' => $version]);
    $ask = function (string $method, string $url, ?string $body) use ($client): array {
        $answer = $client->request($method, $url, $body === null ? [] : ['body' => $body, 'headers' => ['Content-Type' => 'application/octet-stream']]);
        $content = $answer->getContent(false);
        return [$answer->getStatusCode(), '-', $content];
    };
    return [carried('php-symfony-http-client'), $ask];
}

function overGuzzle(string $root, string $version): array
{
    require_once '/usr/share/php/GuzzleHttp/autoload.php';
    $client = new GuzzleHttp\Client(['verify' => $root, 'version' => $version, 'http_errors' => false]);
    $ask = function (string $method, string $url, ?string $body) use ($client): array {
        $answer = $client->request($method, $url, $body === null ? [] : ['body' => $body]);
        $proto = ['2' => 'HTTP/2.0', '2.0' => 'HTTP/2.0', '1.1' => 'HTTP/1.1'][$answer->getProtocolVersion()];
        return [$answer->getStatusCode(), $proto, (string) $answer->getBody()];
    };
    return [carried('php-guzzlehttp-guzzle'), $ask];
}

function carried(string $package): string
{
    return trim(shell_exec('dpkg-query -W -f \'${Version}\' ' . escapeshellarg($package)) ?? '');
}

[, $client, $root, $file, $id] = $argv;
$body = file_get_contents($file);
[$version, $ask] = match ($client) {
    'curl-h1' => overCurl($root, false),
    'curl-h2' => overCurl($root, true),
    'streams' => overStreams($root),
    'symfony-curl-h1' => overSymfony($root, 'CurlHttpClient', '1.1'),
    'symfony-curl-h2' => overSymfony($root, 'CurlHttpClient', '2.0'),
    'symfony-native' => overSymfony($root, 'NativeHttpClient', '1.1'),
    'guzzle-h1' => overGuzzle($root, '1.1'),
    'guzzle-h2' => overGuzzle($root, '2.0'),
};
echo "version $version\n";
foreach (array_slice($argv, 5) as $host) {
    foreach ([['GET', '/'], ['GET', '/second'], ['HEAD', '/second'], ['POST', '/form']] as [$method, $path]) {
        $url = "https://$host$path?$id";
        [$status, $proto, $answer] = $ask($method, $url, $method === 'POST' ? $body : null);
        echo "$method $url $status $proto ", hash('sha256', $answer), "\n";
    }
}
