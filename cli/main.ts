import { execute } from "./execute.ts";

// Who reads us may have enough (`plenum eni list | head`): that is an end, no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await execute(process.argv.slice(2));
