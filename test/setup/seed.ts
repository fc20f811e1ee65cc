import fc from "fast-check";

// What properties try, and with it which branches they cover, is the same in each run; PLENUM_SEED tries something else.
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env["PLENUM_SEED"] ?? 1) });
