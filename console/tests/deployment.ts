/** The deployment of all journeys: the real programs as the demo starts them, with live traffic. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAMS = process.env.PROGRAMS ?? join(import.meta.dirname, '../../target/debug');

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

export default async function start(): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), 'tollgate-console-'));
  const ports = { gateway: await freePort(), admin: await freePort(), billing: await freePort(), upstream: await freePort() };
  const options = Object.entries(ports).flatMap(([name, port]) => [`--${name}-port`, String(port)]);
  const data = join(directory, 'data');
  const demo = spawn(join(PROGRAMS, 'demo'), [...options, '--directory', data], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  demo.stderr.on('data', (text: Buffer) => (said += text.toString()));
  const ended = new Promise<void>((resolve) => demo.on('exit', () => resolve()));
  const pages = join(data, 'pages.json');
  const deadline = Date.now() + 120_000;
  while (!existsSync(pages)) {
    if (demo.exitCode !== null || Date.now() > deadline) throw new Error(`the demo did not start: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  process.env.TOLLGATE_PAGES = readFileSync(pages, 'utf8');
  process.env.TOLLGATE_DATA = data;
  process.env.TOLLGATE_PROGRAMS = PROGRAMS;
  return async () => {
    demo.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
}
