import { background, runIn } from "./run.ts";
import type { Background } from "./run.ts";

/** Datagrams from one namespace at a steady rate, and what arrives of them in another, by the kernel's clock. */

/** What a {@link watchArrivals} saw. */
export interface Arrivals {
  count: number;
  /** CLOCK_REALTIME of the kernel when the first and the last came in at a device of the namespace, milliseconds; 0: none came. */
  firstMs: number;
  lastMs: number;
}

const SEND = `
import socket, sys, time, signal
to, port, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stop = []
signal.signal(signal.SIGINT, lambda *a: stop.append(1))
start = time.monotonic(); sent = 0; failed = 0
print('sending', flush=True)
while not stop:
    due = int((time.monotonic() - start) * rate)
    while sent < due:
        try: s.sendto(b'x' * 32, (to, port))
        except OSError: failed += 1
        sent += 1
    time.sleep(0.0005)
took = time.monotonic() - start
print('sent', sent - failed, 'failed', failed, 'in', took, flush=True)
`;

/** UDP at `perSecond` until stopped. */
export function flood(netns: string, address: string, port: number, perSecond: number): Background {
  return background(netns, "/usr/bin/python3", ["-c", SEND, address, String(port), String(perSecond)]);
}

/** Ends a flood; how much it sent and how fast. */
export async function floodResult(sender: Background): Promise<{ sent: number; perSecond: number }> {
  const match = /sent (\d+) failed \d+ in ([\d.]+)/.exec(await sender.stop("SIGINT"));
  if (match === null) throw new Error(`the sender printed no summary: ${sender.lines.join(" | ")}`);
  return { sent: Number(match[1]), perSecond: Number(match[1]) / Number(match[2]) };
}

// A packet socket on every device: it sees what no socket above would take, and outlives the devices.
const WATCH = `
import socket, struct, sys, signal, threading
port, SO_TIMESTAMPNS = int(sys.argv[1]), 35
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
count, first, last = 0, 0, 0
def report(*a):
    print('arrived', count, first, last, flush=True)
    if a and a[0] == signal.SIGINT: sys.exit(0)
signal.signal(signal.SIGINT, report)
signal.signal(signal.SIGUSR1, report)
print('ready', flush=True)
while True:
    data, anc, flags, who = s.recvmsg(2048, 64)
    if who[2] == socket.PACKET_OUTGOING or len(data) < 28 or data[9] != 17: continue
    if struct.unpack('!H', data[22:24])[0] != port: continue
    sec, nsec = struct.unpack('qq', anc[0][2][:16])
    now = sec * 1000000000 + nsec
    count += 1; first = first or now; last = max(last, now)
`;

/** Watches for datagrams to `port` until stopped. Started when it resolves. */
export async function watchArrivals(netns: string, port: number): Promise<Background> {
  const watcher = background(netns, "/usr/bin/python3", ["-c", WATCH, String(port)]);
  await watcher.line(/^ready$/);
  return watcher;
}

const MS_IN_NS = 1_000_000n;
const parsed = (line: string): Arrivals => {
  const [, count = "0", first = "0", last = "0"] = line.split(" ");
  const ms = (ns: string): number => Number(BigInt(ns) / 1_000n) / (Number(MS_IN_NS) / 1_000);
  return { count: Number(count), firstMs: ms(first), lastMs: ms(last) };
};

/** So far. */
export async function arrivalsSoFar(watcher: Background): Promise<Arrivals> {
  const before = watcher.lines.length;
  watcher.child.kill("SIGUSR1");
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (watcher.lines.slice(before).some((line) => line.startsWith("arrived"))) resolve();
      else watcher.child.stdout?.once("data", () => setImmediate(look));
    };
    look();
  });
  return parsed(watcher.lines.findLast((line) => line.startsWith("arrived")) ?? "");
}

/** Ends the watch. */
export async function arrivals(watcher: Background): Promise<Arrivals> {
  const lines = (await watcher.stop("SIGINT")).split("\n");
  return parsed(lines.findLast((line) => line.startsWith("arrived")) ?? "");
}

/** Names of the devices of a namespace, the loopback left out. */
export async function devicesOf(netns: string): Promise<string[]> {
  const { stdout } = await runIn(netns, "ip", ["-br", "link"]);
  return stdout.split("\n").flatMap((line) => {
    const name = line.split(/[\s@]/)[0] ?? "";
    return name === "" || name === "lo" ? [] : [name];
  });
}
