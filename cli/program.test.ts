import { expect, it } from "vitest";
import { buildProgram, commandsBelow } from "./program.ts";

const commands = commandsBelow(buildProgram()).filter((command) => command.commands.length === 0);

function helpOf(command: (typeof commands)[number]): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
  return text;
}

it("shows an example of each command, once", () => {
  expect(commands.length).toBeGreaterThan(60);
  expect(commands.filter((command) => helpOf(command).match(/^Examples?:$/gm)?.length !== 1).map((command) => command.name())).toEqual([]);
});

it("can cut every list short", () => {
  const lists = commands.filter((command) => command.name() === "list");
  expect(lists.length).toBeGreaterThan(10);
  expect(lists.filter((list) => list.options.every(({ long }) => long !== "--limit"))).toEqual([]);
});
