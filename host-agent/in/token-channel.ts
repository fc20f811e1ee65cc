import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { PlenumClient, RpcChannel } from "#lib/rpc/client.ts";
import type { HostIdentity } from "./identity.ts";

/** One channel to the coordinator for calls now and then, opened anew when the host's certificate was renewed. */
export class TokenChannel {
  readonly #address: string;
  readonly #current: () => HostIdentity;
  #open: { identity: HostIdentity; channel: RpcChannel } | undefined;

  constructor(address: string, current: () => HostIdentity) {
    this.#address = address;
    this.#current = current;
  }

  client(): PlenumClient<typeof HostFeedServiceDefinition> {
    const identity = this.#current();
    if (this.#open?.identity !== identity) {
      this.close(); // a call that is under way on it fails, and is made again
      const { caBundle: ca, certificate: cert, key } = identity;
      this.#open = { identity, channel: openChannel({ address: this.#address, ca, cert, key }) };
    }
    return this.#open.channel.client(HostFeedServiceDefinition);
  }

  close(): void {
    this.#open?.channel.close();
    this.#open = undefined;
  }
}
