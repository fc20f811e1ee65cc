/** Where node:net and node:tls connect, or listen. */
export type SocketPlace = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * "unix:/path", "host:port" or "[IPv6 address]:port", of which the form was checked where it was read (lib/config). Without a port: NaN,
 * which nothing connects to.
 */
export function socketPlace(address: string): SocketPlace {
  if (address.startsWith("unix:")) return { path: address.slice("unix:".length) };
  const [, host = "", port] = /^(.*?)(?::(\d+))?$/s.exec(address) ?? [];
  return { host: host.replace(/^\[(.*)\]$/s, "$1"), port: Number(port) };
}
