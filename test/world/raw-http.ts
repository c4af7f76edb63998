// HTTP that no ordinary client would send: these very header lines, or these very bytes.
import http from 'node:http';
import net from 'node:net';

export type RawAnswer = { status: number; headers: http.IncomingHttpHeaders; body: string };

/** `headers`: name, value, name, value, as they go out; nothing is added. */
export function sendHeaders(
  port: number,
  request: { path: string; method?: string; headers: readonly string[] },
): Promise<RawAnswer> {
  const { path, method = 'GET', headers } = request;
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, headers, setHost: false };
    const sent = http.request(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** All that comes back until the other side closes. */
export function sendBytes(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    let received = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
    socket.setTimeout(10_000, () => socket.destroy(new Error('the connection stays open')));
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}
