// A mail server for the stories with email.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { after } from 'node:test';

/** A mail server that keeps the links of the messages it takes. */
export async function startMailServer() {
  const links = [];
  const server = createServer((socket) => {
    let inText = false;
    let buffered = '';
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.write('220 test\r\n');
    socket.on('data', (text) => {
      buffered += text;
      if (inText) {
        if (!buffered.includes('\r\n.\r\n')) return;
        const message = buffered.replaceAll('=\r\n', '').replaceAll('=3D', '=');
        links.push(...(message.match(/http\S+\?token=[\w-]+/g) ?? []));
        inText = false;
        buffered = '';
        socket.write('250 taken\r\n');
        return;
      }
      while (buffered.includes('\r\n')) {
        const line = buffered.slice(0, buffered.indexOf('\r\n'));
        buffered = buffered.slice(line.length + 2);
        inText = line.toUpperCase() === 'DATA';
        socket.write(inText ? '354 go on\r\n' : '250 ok\r\n');
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const nextLink = async () => {
    for (let waited = 0; waited < 150; waited++) {
      if (links.length > 0) return links.shift();
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error('no message with a link came');
  };
  // However the stories end: a server that still listens keeps the run from ending.
  after(() => server.close());
  return { url: `smtp://127.0.0.1:${server.address().port}`, nextLink };
}
