'use strict';
// Takes the same commands as java/com/acme/Client.java; the package has no kinds of calls, so each is what it calls invoke.
const { RpcClient } = require('sofa-rpc-node').client;

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const client = new RpcClient({ logger });
const consumers = new Map();
let generation = 0; // of loads: a stop ends those that have begun

function consumer(to) {
  if (!consumers.has(to)) {
    consumers.set(to, client.createConsumer({ interfaceName: 'com.acme.Hello', serverHost: 'bolt://' + to }));
  }
  return consumers.get(to);
}

function invoke(c, text, ms) {
  const method = c.method || 'hello';
  const args = method === 'slow' ? [{ $class: 'int', $: ms }, text] : [text];
  return consumer(c.to).invoke(method, args, { responseTimeout: Number(c.timeout || 10000) });
}

async function mirror(c) {
  const data = Buffer.alloc(Number(c.size));
  for (let i = 0; i < data.length; i++) data[i] = (i * 2654435761) >>> 13;
  const answer = await consumer(c.to).invoke('mirror', [data], { responseTimeout: Number(c.timeout || 10000) });
  return data.map(b => ~b).equals(answer) ? `${data.length} bytes` : 'other bytes';
}

async function load(c, tag) {
  const begun = generation;
  const results = {};
  const count = result => { results[result] = (results[result] || 0) + 1; };
  let next = 0;
  let first = '';
  const worker = async () => {
    while (next < Number(c.calls || Infinity) && begun === generation) {
      const text = `${tag}-${next++}-` + 'x'.repeat(Math.random() * Number(c.size || 100));
      try {
        const answer = await invoke(c, text, Math.floor(Math.random() * Number(c.ms || 1)));
        const [from, got] = answer.split(':');
        count(got === text ? 'ok' : 'wrong');
        if (got === text) count('from-' + from);
      } catch (e) {
        count(e.name);
        first = first || ' first: ' + e.message;
      }
    }
  };
  await Promise.all(Array.from({ length: Number(c.at_once || 1) }, worker));
  return Object.keys(results).sort().map(k => `${k}=${results[k]}`).join(' ') + first;
}

async function run(verb, c, tag) {
  switch (verb) {
    case 'call': return 'ok ' + (c.method === 'mirror' ? await mirror(c) : await invoke(c, c.text || 'x', Number(c.ms || 0)));
    case 'load': return load(c, tag);
    case 'stop': generation++; return 'ok';
    default: return 'error unknown verb ' + verb;
  }
}

require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const [tag, verb, ...pairs] = line.split(/ +/);
  const c = Object.fromEntries(pairs.map(pair => pair.split(/=(.*)/s)));
  run(verb, c, tag)
    .catch(e => `error ${e.name} ${e.message}`)
    .then(result => console.log(`@${tag} ${result.replace(/\s+/g, ' ').trim()}`));
}).on('close', () => process.exit(0));
console.log('ready');
