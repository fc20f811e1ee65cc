import type { Command } from "commander";

/** What somebody might type between the brackets. */
const TYPED: Readonly<Record<string, string>> = {
  account: "acme",
  vpc: "shop",
  subnet: "shop/front",
  group: "web",
  interface: "web-eth0",
  instance: "web-1",
  host: "h1",
  attachment: "eni-attach-…",
  consent: "cons-…",
  operation: "op-…",
  name: "robot",
};

/** "\nExample:\n  plenum vpc get shop", from the command's own usage. */
export function exampleOf(command: Command, path: string): string {
  const words = command.registeredArguments.map((argument) => TYPED[argument.name()] ?? `<${argument.name()}>`);
  return `\nExample:\n  ${[path, ...words].join(" ")}`;
}
