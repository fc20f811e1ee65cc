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
