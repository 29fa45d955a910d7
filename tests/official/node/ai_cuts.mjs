// Streams of whole logs, cut after every chunk: each way to go on leads to the message of an uncut read.

import { isDeepStrictEqual } from "node:util";

import { api, cutting, kept, Page, sdk, standard, workflow } from "./ai_page.mjs";
import { print, run } from "./common.mjs";

/** A log: its task, the newest of its chat, and the messages that the page sent. */
class Log {
  ways = {};
  failures = [];

  constructor({ name, task, chat, messages }) {
    Object.assign(this, { name, task, chat, messages });
  }

  /** The log is there already: the run's chunks are read by its task, as a POST gives them. */
  sent = (input, init) =>
    init.method === "POST" ? fetch(`${api}/${this.task}/stream`) : fetch(input, init);

  page(transport, messages = this.messages) {
    return new Page({ id: this.chat, transport, messages });
  }

  async read() {
    const whole = this.page(standard({ fetch: this.sent }));
    await whole.sendMessage();
    const text = await (await fetch(`${api}/${this.task}/stream`)).text();
    Object.assign(this, { told: whole.told, calls: whole.calls });
    this.count = text.trimEnd().split("\n\n").length - 1; // without [DONE]
  }

  /** Note whether the page shows what an uncut read shows, its tools run once. */
  judge(way, cut, page, callsBefore = 0) {
    this.ways[way] = (this.ways[way] ?? 0) + 1;
    const { told } = page;
    const calls = page.calls.slice(callsBefore);
    if (!isDeepStrictEqual(told, this.told) || !isDeepStrictEqual(calls, this.calls))
      this.failures.push({ way, cut, calls, told });
  }

  async goesOn(way, cuts, early = false) {
    const fetch = cutting(cuts, { early, fetch: this.sent });
    const page = this.page(workflow({ fetch }));
    await page.sendMessage();
    this.judge(way, cuts, page);
  }

  async resumes(way, cut, transport, messages) {
    const page = this.page(transport, messages);
    await page.resumeStream();
    this.judge(way, cut, page);
  }

  async samePage(way, cut, page) {
    const before = page.calls.length;
    await page.resumeStream();
    this.judge(way, cut, page, before);
  }

  async cutAfter(cut) {
    await this.goesOn("workflow, cut once", [cut]);
    await this.goesOn("workflow, ended early", [cut], true);
    await this.goesOn("workflow, cut three times", [cut, 1, 2]);
    if (cut === this.count) return; // read to its end
    const page = this.page(standard({ fetch: cutting([cut], { fetch: this.sent }) }));
    await page.sendMessage();
    const stored = kept(page.messages);
    await this.resumes("reload", cut, standard());
    const again = () => cutting([cut]); // the stream of the loaded page is cut, too
    await this.resumes("reload, workflow", cut, workflow({ fetch: again() }));
    await this.resumes("reload, all stored", cut, standard(), stored);
    await this.resumes("reload, all stored, workflow", cut, workflow(), stored);
    const initialStartIndex = [-1, -3, -100][cut % 3];
    const last = workflow({ fetch: again(), initialStartIndex });
    await this.resumes("reload, startIndex < 0", cut, last);
    if (sdk === 5) return; // shows the text twice, unless the page is loaded again
    await this.samePage("same page", cut, page);
    let offline = true; // its own GET finds no network
    const fetch = cutting([cut], {
      fetch: async (input, init) => {
        if (offline && init.method !== "POST") throw new TypeError("network error");
        return this.sent(input, init);
      },
    });
    const lost = this.page(workflow({ fetch }));
    await lost.sendMessage();
    offline = false;
    await this.samePage("same page, workflow", cut, lost);
  }
}

await run({
  async all({ logs }) {
    const lane = logs.map((each) => new Log(each))[Symbol.iterator]();
    const work = async () => {
      for (const log of lane) {
        await log.read();
        await log.goesOn("workflow, cut after each chunk", Array(log.count).fill(1));
        for (let cut = 0; cut <= log.count; cut++) await log.cutAfter(cut);
        const { name, count, ways, told, calls } = log;
        print({ name, count, ways, told, calls, failures: log.failures.length, first: log.failures[0] });
      }
    };
    await Promise.all([work(), work(), work(), work()]);
  },
});
