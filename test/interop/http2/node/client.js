'use strict';
// node client.js PORT PROTO: makes calls of all kinds to gRPC's interoperability service and prints a line for each.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const [port, proto] = process.argv.slice(2);
const { TestService } = grpc.loadPackageDefinition(loader.loadSync(proto)).grpc.testing;
const client = new TestService('127.0.0.1:' + port, grpc.credentials.createInsecure());
const soon = () => ({ deadline: Date.now() + 10000 });
const payload = n => ({ body: Buffer.alloc(n) });
const sizes = [31415, 9, 2653, 58979];

const unary = (name, request, options = soon(), metadata = new grpc.Metadata()) => new Promise(resolve => {
  let header;
  const call = client[name](request, metadata, options, (error, answer) => resolve({ error, answer, header, call }));
  call.on('metadata', m => { header = m.get('x-grpc-test-echo-initial')[0]; });
});

const server = () => new Promise(resolve => {
  const got = [];
  const call = client.StreamingOutputCall({ responseParameters: sizes.map(size => ({ size })) }, soon());
  call.on('data', m => got.push(m.payload.body.length));
  call.on('error', e => resolve('error ' + e.code));
  call.on('end', () => resolve(got.join(' ')));
});

const upload = () => new Promise(resolve => {
  const call = client.StreamingInputCall(soon(), (e, a) => resolve(e ? 'error ' + e.code : a.aggregatedPayloadSize));
  for (const n of sizes) call.write({ payload: payload(n) });
  call.end();
});

const pingPong = () => new Promise(resolve => {
  const got = [];
  const call = client.FullDuplexCall(soon());
  const ask = () => call.write({ responseParameters: [{ size: sizes[got.length] }], payload: payload(5) });
  call.on('data', m => { got.push(m.payload.body.length); if (got.length < sizes.length) ask(); else call.end(); });
  call.on('error', e => resolve('error ' + e.code));
  call.on('end', () => resolve(got.join(' ')));
  ask();
});

const cancel = () => new Promise(resolve => {
  const call = client.FullDuplexCall(soon());
  call.on('data', () => call.cancel());
  call.on('error', e => resolve(e.code));
  call.write({ responseParameters: [{ size: 10 }], payload: payload(5) });
});

(async () => {
  const meta = new grpc.Metadata();
  meta.set('x-grpc-test-echo-initial', 'echo');
  console.log('empty', (await unary('EmptyCall', {})).error);
  const large = await unary('UnaryCall', { responseSize: 314159, payload: payload(271828) }, soon(), meta);
  console.log('unary', large.error || large.answer.payload.body.length, large.header);
  console.log('server', await server());
  console.log('client', await upload());
  console.log('both', await pingPong());
  const bad = await unary('UnaryCall', { responseStatus: { code: 2, message: 'a b% \u00e9' } });
  console.log('status', bad.error.code, bad.error.details);
  const late = await new Promise(resolve => {
    const call = client.StreamingOutputCall({ responseParameters: [{ size: 10, intervalUs: 2000000 }] }, { deadline: Date.now() + 100 });
    call.on('error', e => resolve(e.code));
    call.on('data', () => {});
  });
  console.log('deadline', late);
  console.log('cancel', await cancel());
  const many = await Promise.all(Array.from({ length: 200 }, () => unary('UnaryCall', { responseSize: 1000, payload: payload(1000) })));
  console.log('many', many.filter(r => !r.error && r.answer.payload.body.length === 1000).length);
  client.close();
})();
