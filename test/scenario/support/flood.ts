import { background } from "./run.ts";
import type { Background } from "./run.ts";

/** Datagrams from one namespace at a steady rate, and what arrives of them in another, by the kernel's clock. */

/** What a {@link watchArrivals} saw. */
export interface Arrivals {
  count: number;
  /** Datagrams that came faster than they could be looked at: what is said of the others is only the whole truth while this is 0. */
  missed: number;
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
import socket, struct, sys, signal
port, SO_TIMESTAMPNS = int(sys.argv[1]), 35
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
count, first, last, missed = 0, 0, 0, 0
def take(wait):
    global count, first, last
    data, anc, flags, who = s.recvmsg(2048, 64, 0 if wait else socket.MSG_DONTWAIT)
    if who[2] == socket.PACKET_OUTGOING or len(data) < 28 or data[9] != 17: return
    if struct.unpack('!H', data[22:24])[0] != port: return
    sec, nsec = struct.unpack('qq', anc[0][2][:16])
    now = sec * 1000000000 + nsec
    count += 1; first = first or now; last = max(last, now)
def report(*a):
    global missed
    missed += struct.unpack('II', s.getsockopt(263, 6, 8))[1]
    print('arrived', count, first, last, missed, flush=True)
class End(Exception): pass
def end(*a): raise End()
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGUSR1, report)
print('ready', flush=True)
try:
    while True: take(True)
except End: pass
try:
    while True: take(False) # what came and was not looked at yet
except BlockingIOError: report()
`;

/** Watches for datagrams to `port` until stopped. Started when it resolves. */
export async function watchArrivals(netns: string, port: number): Promise<Background> {
  const watcher = background(netns, "/usr/bin/python3", ["-c", WATCH, String(port)]);
  await watcher.line(/^ready$/);
  return watcher;
}

const MS_IN_NS = 1_000_000n;
const parsed = (line: string): Arrivals => {
  const [, count = "0", first = "0", last = "0", missed = "0"] = line.split(" ");
  const ms = (ns: string): number => Number(BigInt(ns) / 1_000n) / (Number(MS_IN_NS) / 1_000);
  return { count: Number(count), missed: Number(missed), firstMs: ms(first), lastMs: ms(last) };
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
