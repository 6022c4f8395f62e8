'use strict';
// server.js NAME PORT: the service com.acme.Hello, as java/com/acme/Hello.java describes it.
const { RpcServer } = require('sofa-rpc-node').server;

const [name, port] = process.argv.slice(2);
const logger = { debug() {}, info() {}, warn() {}, error() {} };

const server = new RpcServer({ logger, port: Number(port) });
server.addService({ interfaceName: 'com.acme.Hello' }, {
  async hello(text) { return `${name}:${text}`; },
  async slow(ms, text) {
    await new Promise(resolve => setTimeout(resolve, ms));
    return `${name}:${text}`;
  },
  async tell(text) { console.log('told ' + text); },
  async fail(text) { throw new Error(text); },
  async mirror(data) { return data.map(b => ~b); },
});
server.start().then(() => console.log('ready'));
