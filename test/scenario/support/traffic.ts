import { background, runIn } from "./run.ts";
import type { Background } from "./run.ts";

export interface PingResult {
  sent: number;
  received: number;
}

/** `transmitted`, `received` from ping's last lines. */
export function pingResult(output: string): PingResult {
  const match = /(\d+) packets transmitted, (\d+) received/.exec(output);
  if (match === null) throw new Error(`ping printed no summary: ${output}`);
  return { sent: Number(match[1]), received: Number(match[2]) };
}

/** Sends `count` echo requests, ten a second, and counts the answers. */
export async function ping(netns: string, address: string, count = 5): Promise<PingResult> {
  const outcome = await runIn(netns, "ping", ["-n", "-c", String(count), "-i", "0.1", "-W", "1", address]);
  return pingResult(outcome.stdout);
}

/** Echo requests at `perSecond` until stopped. */
export function pinging(netns: string, address: string, perSecond: number): Background {
  return background(netns, "ping", ["-n", "-i", String(1 / perSecond), "-W", "1", address]);
}

/** Body of http://address/, or undefined if nothing answered in two seconds. */
export async function http(netns: string, address: string): Promise<string | undefined> {
  const outcome = await runIn(netns, "curl", ["--silent", "--fail", "--max-time", "2", `http://${address}/`]);
  return outcome.code === 0 ? outcome.stdout : undefined;
}

/** argv of a tiny HTTP server for an instance's process: answers `text` to everything on port 80. */
export function httpServer(text: string): string[] {
  const program = [
    "import http.server",
    "class H(http.server.BaseHTTPRequestHandler):",
    "    def do_GET(self):",
    `        body = ${JSON.stringify(text)}.encode()`,
    "        self.send_response(200); self.send_header('content-length', str(len(body))); self.end_headers(); self.wfile.write(body)",
    "    def log_message(self, *a): pass",
    "http.server.ThreadingHTTPServer(('0.0.0.0', 80), H).serve_forever()",
  ].join("\n");
  return ["/usr/bin/python3", "-c", program];
}

/** Prints a line for every datagram that arrives at `port` inside a guest, "ready" first. */
export function datagrams(netns: string, port: number): Background {
  const program = [
    "import socket,sys",
    "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)",
    `s.bind(('0.0.0.0',${port}))`,
    "print('ready',flush=True)",
    "while True:",
    "    data,peer=s.recvfrom(65535); print('got',data.decode(),'from',peer[0],flush=True)",
  ].join("\n");
  return background(netns, "/usr/bin/python3", ["-c", program]);
}

/** Sends one UDP datagram, whatever its bytes, from a namespace. */
export async function sendDatagram(netns: string, address: string, port: number, payload: Buffer): Promise<void> {
  const program = `import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.sendto(bytes.fromhex(sys.argv[1]),(${JSON.stringify(address)},${port}))`;
  const outcome = await runIn(netns, "/usr/bin/python3", ["-c", program, payload.toString("hex")]);
  if (outcome.code !== 0) throw new Error(`cannot send to ${address}:${port}: ${outcome.stderr}`);
}

/** Python: `run` until interrupted. */
const UNTIL_INTERRUPTED = ["run=True", "def end(*a):", "    global run; run=False", "signal.signal(signal.SIGINT,end)"];

/** A sender tells each time when it has sent so many more. */
const MARK = 1_000;

/** Python: numbered datagrams of eight octets on the connected socket `s`; "at N" now and then, at the end "sent N". */
const number = (perSecond: number): string[] => [
  "n=0; start=time.monotonic()",
  "while run:",
  `    due=int((time.monotonic()-start)*${perSecond})`,
  "    while n<due:",
  "        s.send(struct.pack('!Q',n)); n+=1",
  "        if n==1: print('first',flush=True)",
  `        if n%${MARK}==0: print('at',n,flush=True)`,
  "    time.sleep(0.001)",
  "print('sent',n,flush=True)",
];

/** Python: receives them on `s`; at the end "received R missing M late L". */
const COUNT = [
  "s.setsockopt(socket.SOL_SOCKET,33,64<<20); s.settimeout(0.2)", // SO_RCVBUFFORCE: a busy machine must not lose here what the network delivered
  "seen=0; expected=0; missing=0; repeated=0",
  "print('ready',flush=True)",
  "while True:",
  "    try: n=struct.unpack('!Q',s.recv(64))[0]",
  "    except TimeoutError:",
  "        if run: continue",
  "        break",
  "    seen+=1",
  "    if n>=expected: missing+=n-expected; expected=n+1",
  "    else: repeated+=1",
  "print('received',seen,'missing',missing,'late',repeated,flush=True)",
];

function datagramProgram(netns: string, ...lines: readonly string[]): Background {
  const start = ["import socket,struct,time,signal", ...UNTIL_INTERRUPTED, "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)"];
  return background(netns, "/usr/bin/python3", ["-c", [...start, ...lines].join("\n")]);
}

/** Numbered datagrams at `perSecond` until interrupted; "first" after the first one, at the end "sent N". */
export function numbering(netns: string, address: string, port: number, perSecond: number): Background {
  return datagramProgram(netns, `s.connect((${JSON.stringify(address)},${port}))`, ...number(perSecond));
}

/** Waits until a sender has sent about `count` more: a flow has to be seen before the first event and after the last. */
export async function sendsMore(flow: Background, count: number): Promise<void> {
  const marks = flow.lines.filter((line) => line.startsWith("at ")).length;
  await flow.line(new RegExp(`^at ${(marks + Math.ceil(count / MARK)) * MARK}$`), 30_000);
}

/** Receives what `numbering` sends; "ready" at once, when interrupted "received R missing M late L". */
export function counting(netns: string, port: number): Background {
  return datagramProgram(netns, `s.bind(('0.0.0.0',${port}))`, ...COUNT);
}

/** Asks `answering` once for numbered datagrams, and receives them as `counting` does: it never sends again. */
export function asking(netns: string, address: string, port: number): Background {
  return datagramProgram(netns, `s.connect((${JSON.stringify(address)},${port})); s.send(b'please')`, ...COUNT);
}

/** Sends numbered datagrams, as `numbering` does, to whoever asks first; "bound" when it can be asked. */
export function answering(netns: string, port: number, perSecond: number): Background {
  const wait = [`s.bind(('0.0.0.0',${port}))`, "print('bound',flush=True)", "s.connect(s.recvfrom(64)[1])"];
  return datagramProgram(netns, ...wait, ...number(perSecond));
}
