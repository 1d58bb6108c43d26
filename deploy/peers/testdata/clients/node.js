// Node's own HTTP clients, and three packages that are much used with it.
//
//	node node.js CLIENT ROOT BODY ID HOST…
//
// Prints its version, and then for each request: method, address, status, protocol (- where the client does not say), SHA-256
// of the answer. The root is trusted through NODE_EXTRA_CA_CERTS, the packages lie in the folder GATE421_PEERS_PACKAGES.
'use strict';
const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { pathToFileURL } = require('node:url');
const https = require('node:https');
const http2 = require('node:http2');

const [client, , bodyFile, id, ...hosts] = process.argv.slice(2);
const body = readFileSync(bodyFile);
const packages = process.env.GATE421_PEERS_PACKAGES + '/';
const load = async (name) => import(pathToFileURL(createRequire(packages).resolve(name)));
const carried = (name) => JSON.parse(readFileSync(`${packages}node_modules/${name}/package.json`)).version;

async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

function overHttps() {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  return {
    version: process.versions.node,
    end: () => agent.destroy(),
    ask: (method, url, body) => new Promise((resolve, reject) => {
      const request = https.request(url, { method, agent }, async (answer) => {
        resolve([answer.statusCode, 'HTTP/' + answer.httpVersion, await collect(answer)]);
      });
      request.on('error', reject);
      request.end(body);
    }),
  };
}

function overHttp2() {
  const sessions = new Map();
  return {
    version: process.versions.node,
    end: () => sessions.forEach((s) => s.close()),
    ask: async (method, url, body) => {
      const { origin, pathname, search } = new URL(url);
      if (!sessions.has(origin)) sessions.set(origin, http2.connect(origin));
      const stream = sessions.get(origin).request({ ':method': method, ':path': pathname + search }, { endStream: !body });
      if (body) stream.end(body);
      const header = new Promise((resolve, reject) => stream.on('response', resolve).on('error', reject));
      return [(await header)[':status'], 'HTTP/2.0', await collect(stream)];
    },
  };
}

async function overFetch(name) {
  let ask = fetch, dispatcher, version = `${process.versions.undici || "undici"} in ${process.versions.node}`;
  if (name) {
    const { fetch, Agent } = (await load('undici')).default;
    dispatcher = new Agent({ allowH2: name === 'undici-h2' });
    ask = fetch;
    version = carried('undici');
  }
  return {
    version,
    end: () => dispatcher && dispatcher.close(),
    ask: async (method, url, body) => {
      const answer = await ask(url, { method, body, dispatcher });
      return [answer.status, '-', Buffer.from(await answer.arrayBuffer())];
    },
  };
}

async function overGot(two) {
  const agent = { https: new https.Agent({ keepAlive: true }) };
  const got = (await load('got')).default.extend({ http2: two, agent: two ? undefined : agent, retry: { limit: 0 }, responseType: 'buffer' });
  return {
    version: carried('got'),
    end: () => process.exit(0), // its HTTP/2 agent keeps its sessions
    ask: async (method, url, body) => {
      const answer = await got(url, { method, body });
      return [answer.statusCode, 'HTTP/' + answer.httpVersion, answer.rawBody];
    },
  };
}

async function overAxios(two) {
  const axios = createRequire(packages)('axios');
  const httpsAgent = new https.Agent({ keepAlive: true });
  const more = two ? { httpVersion: 2 } : { httpsAgent };
  return {
    version: carried('axios'),
    end: () => process.exit(0), // the same
    ask: async (method, url, data) => {
      const answer = await axios({ method, url, data, responseType: 'arraybuffer', ...more });
      return [answer.status, '-', Buffer.from(answer.data)];
    },
  };
}

async function main() {
  const make = {
    'https': overHttps, 'http2': overHttp2, 'fetch': () => overFetch(), 'undici-h1': () => overFetch('undici-h1'), 'undici-h2': () => overFetch('undici-h2'),
    'got-h1': () => overGot(false), 'got-h2': () => overGot(true), 'axios-h1': () => overAxios(false), 'axios-h2': () => overAxios(true),
  };
  const { version, ask, end } = await make[client]();
  console.log('version', version);
  for (const host of hosts) {
    for (const [method, path] of [['GET', '/'], ['GET', '/second'], ['HEAD', '/second'], ['POST', '/form']]) {
      const url = `https://${host}${path}?${id}`;
      const [status, proto, answer] = await ask(method, url, method === 'POST' ? body : undefined);
      const version = proto === 'HTTP/2' ? 'HTTP/2.0' : proto;
      console.log(method, url, status, version, createHash('sha256').update(answer).digest('hex'));
    }
  }
  await end();
}

main().catch((trouble) => { console.error(trouble); process.exit(1); });
