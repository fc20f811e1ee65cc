import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

// What a user inside a guest would do: programs run in the guest's network namespace. The control plane is not asked.

export interface PingResult {
  sent: number;
  received: number;
  /** Average, milliseconds; undefined without a reply. */
  rttMs: number | undefined;
}

interface Output {
  stdout: string;
  stderr: string;
}

/** Runs a program inside; its exit code is not an error (a ping without reply is an answer). */
function inside(netns: string, command: string, ...args: string[]): Promise<Output> {
  return new Promise((resolve, reject) => {
    execFile("nsenter", [`--net=${netns}`, "--", command, ...args], { encoding: "utf8", timeout: 30_000 }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ stdout, stderr });
    });
  });
}

/** `count` pings, 0.2 s apart, each waiting a second at most. @throws Error if ping itself could not run */
export async function ping(netns: string, address: string, count = 3, more: readonly string[] = []): Promise<PingResult> {
  const { stdout, stderr } = await inside(netns, "ping", "-n", "-q", "-c", String(count), "-i", "0.2", "-W", "1", ...more, address);
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  if (sent === undefined || received === undefined) throw new Error(`ping ${address} did not run: ${stderr.trim()} ${stdout.trim()}`);
  const rtt = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
  return { sent: Number(sent), received: Number(received), rttMs: rtt === undefined ? undefined : Number(rtt) };
}

export const showPing = (result: PingResult): string =>
  `${result.received} of ${result.sent} pings answered${result.rttMs === undefined ? "" : `, ${result.rttMs.toFixed(2)} ms`}`;

export const allAnswered = (result: PingResult): boolean => result.received === result.sent && result.sent > 0;
export const noneAnswered = (result: PingResult): boolean => result.received === 0 && result.sent > 0;

/** The body, or undefined when nothing answered within 2 s. A server that does not listen yet is asked again. */
const HTTP_GET = `
const [url] = process.argv.slice(1);
const limit = Date.now() + 2000;
for (;;) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(Math.max(1, limit - Date.now())) });
    process.stdout.write(await answer.text());
    break;
  } catch (error) {
    if (error.cause?.code !== "ECONNREFUSED" || Date.now() > limit) { process.exitCode = 1; break; }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}`;

export async function httpGet(netns: string, url: string): Promise<string | undefined> {
  const { stdout, stderr } = await inside(netns, process.execPath, "--input-type=module", "-e", HTTP_GET, url);
  if (stderr !== "") throw new Error(`GET ${url} did not run: ${stderr}`);
  return stdout === "" ? undefined : stdout;
}

/** A TCP connection that stays open: a line goes out every 50 ms, and what comes back is counted. */
export interface Conversation {
  /** Lines that came back so far. */
  answered(): number;
  /** Resolves once more than `count` lines came back, or after `limitMs`. */
  answeredMore(count: number, limitMs: number): Promise<boolean>;
  close(): Promise<void>;
}

const TALK = `
const [address, port] = process.argv.slice(1);
const socket = (await import("node:net")).connect({ host: address, port: Number(port) });
socket.on("data", (chunk) => process.stdout.write(chunk));
socket.on("error", () => process.exit(1));
setInterval(() => socket.write("line\\n"), 50);
setTimeout(() => process.exit(0), 60000);`;

export function talk(netns: string, address: string, port: number): Conversation {
  const child = spawn("nsenter", [`--net=${netns}`, "--", process.execPath, "--input-type=module", "-e", TALK, address, String(port)], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true, // a Ctrl-C is for the launcher, which ends what runs inside guests
  });
  let lines = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    lines += chunk.toString().split("\n").length - 1;
  });
  const ended = once(child, "close");
  return {
    answered: () => lines,
    async answeredMore(count, limitMs) {
      for (const end = performance.now() + limitMs; performance.now() < end && lines <= count;) await delay(20);
      return lines > count;
    },
    async close() {
      child.kill();
      await ended;
    },
  };
}

const ECHO = `
my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 7, Listen => 16, ReuseAddr => 1) or die $!;
while (my $c = $s->accept) { $c->autoflush(1); while (my $l = <$c>) { print $c $l } close $c; }`;

/** Sends back each line of one connection at a time, on port 7. */
export const echoServer = (): string[] => ["/usr/bin/perl", "-MIO::Socket::INET", "-e", ECHO];

/** Pings from an address of the caller's choice, as a guest could that is root in its own namespace. */
export async function pingAs(netns: string, source: string, address: string, count = 3): Promise<PingResult> {
  await inside(netns, "ip", "address", "add", `${source}/32`, "dev", "lo");
  try {
    return await ping(netns, address, count, ["-I", source]);
  } finally {
    await inside(netns, "ip", "address", "delete", `${source}/32`, "dev", "lo");
  }
}

const DATAGRAMS = `
const [address, port, payload, count] = process.argv.slice(1);
const socket = (await import("node:dgram")).createSocket("udp4");
for (let i = 0; i < Number(count); i++)
  await new Promise((resolve, reject) => socket.send(Buffer.from(payload, "hex"), Number(port), address, (e) => (e ? reject(e) : resolve())));
socket.close();`;

/** The same UDP payload, whatever its bytes, `count` times. @throws Error if it could not be sent */
export async function sendDatagrams(netns: string, address: string, port: number, payload: Buffer, count: number): Promise<void> {
  const program = ["--input-type=module", "-e", DATAGRAMS];
  const { stderr } = await inside(netns, process.execPath, ...program, address, String(port), payload.toString("hex"), String(count));
  if (stderr !== "") throw new Error(`cannot send to ${address}:${port}: ${stderr}`);
}

export const showHttp = (body: string | undefined): string => (body === undefined ? "no answer" : JSON.stringify(body));

const SERVER = `
my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 80, Listen => 16, ReuseAddr => 1) or die $!;
while (my $c = $s->accept) {
  while (my $l = <$c>) { last if $l =~ /^\\r?\\n/ }
  print $c "HTTP/1.1 200 OK\\r\\nContent-Length: " . length($ARGV[0]) . "\\r\\nConnection: close\\r\\n\\r\\n$ARGV[0]";
  close $c;
}`;

/** A web server on port 80 that answers everything with `text`. In Perl, which every Debian has and any user may run. */
export const webServer = (text: string): string[] => ["/usr/bin/perl", "-MIO::Socket::INET", "-e", SERVER, text];
