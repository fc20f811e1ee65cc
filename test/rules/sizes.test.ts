import { expect, it } from "vitest";
import { isGenerated, repositoryFiles, textOf } from "./repository.ts";

// About 100 lines a file, think at 300, write down why at 500 ("Over 500 lines because …" in the file itself).

it("keeps every source file under 500 lines unless it says why", () => {
  const files = repositoryFiles("*.ts", "*.c", "*.h", "*.sh", "*.tsx").filter((f) => !isGenerated(f));
  expect(files.length).toBeGreaterThan(50);
  const long = files.filter((f) => textOf(f).split("\n").length > 501 && !/Over 500 lines because/.test(textOf(f)));
  expect(long).toEqual([]);
});
