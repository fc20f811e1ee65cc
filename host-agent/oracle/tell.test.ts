import { expect, test } from "vitest";
import { decide, NOTHING, type State } from "#lib/model/index.ts";
import { STORIES, tell } from "./tell.ts";
import type { World } from "./world.ts";

const world: World = { ports: [2, 3, 4, 5, 6].map((ifindex) => ({ ifindex })), tunnelIfindex: 9 };

test("the same seed tells the same story, another seed another", () => {
  expect(tell(7, world, 50)).toEqual(tell(7, world, 50));
  expect(tell(7, world, 50)).not.toEqual(tell(8, world, 50));
});

test("the model decides each packet of each story, and changes no state that it was given", () => {
  for (let seed = 1; seed <= STORIES; seed++) {
    const { start, steps } = tell(seed, world, 120);
    let [configuration, state, now]: [typeof start, State, number] = [start, NOTHING, 0];
    for (const step of steps) {
      if (step.what === "time") now += step.milliseconds;
      else if (step.what === "configuration") configuration = step.configuration;
      else {
        const before = [...state.connections];
        const outcome = decide(configuration, state, now, step.packet);
        expect([...state.connections]).toEqual(before);
        state = outcome.state;
      }
    }
  }
});
