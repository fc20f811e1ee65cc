/** The part of a generated message that this needs. */
interface GeneratedMessage<Message> {
  encode(message: Message): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
}

/** How `Calls.write` keeps a response for repeats of its call (C10). */
export function storedAs<Message>(message: GeneratedMessage<Message>): {
  encode: (result: Message) => Uint8Array;
  decode: (bytes: Uint8Array) => Message;
} {
  return { encode: (result) => message.encode(result).finish(), decode: (bytes) => message.decode(bytes) };
}

/** For a call whose repeat answers what there is then: nothing of the first answer is kept but that it was given. */
export const storedNothing = {
  encode: (): Uint8Array => new Uint8Array(),
  decode: (): undefined => undefined,
};

/** For a call whose repeat answers the same resources, as they are then: their ids are kept. */
export const storedIds = {
  encode: (ids: readonly string[]): Uint8Array => Buffer.from(ids.join(" ")),
  decode: (bytes: Uint8Array): readonly string[] =>
    Buffer.from(bytes)
      .toString("utf8")
      .split(" ")
      .filter((id) => id !== ""),
};
