// What every script needs: what it was given, and how it answers.

import { cpus, loadavg } from "node:os";

const [address, scenario, given] = process.argv.slice(2);
export const url = address;

export const print = (line) => process.stdout.write(JSON.stringify(line ?? null) + "\n");

/** What a call gives, or how it fails. */
export async function outcome(call) {
  try {
    return { value: await call() };
  } catch (error) {
    const { name, status, code, param, type, message } = error;
    return { error: { name: error.constructor.name || name, status, code, param, type, message } };
  }
}

export async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** A time limit of so many seconds on an idle machine, on this one as busy as it is now: as
 * tests/waiting.py has it. */
export const within = (seconds) => seconds * Math.max(1, loadavg()[0] / (cpus().length || 1));

/** What a condition gives once that is true. It may have to be awaited. */
export async function until(condition, seconds = 30) {
  const began = Date.now();
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() - began > within(seconds) * 1000) {
      throw new Error(`not in ${seconds} s: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Run the scenario that was asked for, and print what it returns. */
export async function run(scenarios) {
  const result = await scenarios[scenario](JSON.parse(given));
  if (result !== undefined) print(result);
}
