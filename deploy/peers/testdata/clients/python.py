"""Python's HTTP clients.

    python.py CLIENT ROOT BODY ID HOST...

Prints its version, and then for each request: method, address, status, protocol (- where the client does not say), SHA-256 of
the answer.
"""
import hashlib
import platform
import ssl
import sys
import urllib.request


def over_urllib(root):
    context = ssl.create_default_context(cafile=root)

    def ask(method, url, body):
        request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": "application/octet-stream"})
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, {11: "HTTP/1.1"}[answer.version], answer.read()

    return platform.python_version(), ask


def over_requests(root):
    import requests

    session = requests.Session()

    def ask(method, url, body):
        answer = session.request(method, url, data=body, verify=root)
        return answer.status_code, {11: "HTTP/1.1"}[answer.raw.version], answer.content

    return requests.__version__, ask


def over_httpx(root, two):
    import httpx

    session = httpx.Client(http2=two, verify=root)

    def ask(method, url, body):
        answer = session.request(method, url, content=body)
        return answer.status_code, {"HTTP/2": "HTTP/2.0"}.get(answer.http_version, answer.http_version), answer.content

    return httpx.__version__, ask


def main(client, root, body_file, name, *hosts):
    with open(body_file, "rb") as file:
        body = file.read()
    version, ask = {
        "urllib": over_urllib,
        "requests": over_requests,
        "httpx-h1": lambda root: over_httpx(root, False),
        "httpx-h2": lambda root: over_httpx(root, True),
    }[client](root)
    print("version", version)
    for host in hosts:
        for method, path in ("GET", "/"), ("GET", "/second"), ("HEAD", "/second"), ("POST", "/form"):
            url = f"https://{host}{path}?{name}"
            status, proto, answer = ask(method, url, body if method == "POST" else None)
            print(method, url, status, proto, hashlib.sha256(answer).hexdigest())


main(*sys.argv[1:])
