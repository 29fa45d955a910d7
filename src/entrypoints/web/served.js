// The service's list of the caller's tasks: its newest pages, kept right by the stream of its changes.

import { getJson, LongtaskError, receive } from "./longtask.js";
import { apiKey } from "./remembered.js";
import { ACTIVE } from "./state.js";

const TASKS = new URL("../api/tasks", import.meta.url).href;
const PAGE = 20; // tasks
const LONGEST_PAGE = 100; // that the service returns
const GROWTH = 200; // how many new tasks push as many old ones out

const newestFirst = (one, other) => other.createdAt - one.createdAt || (one.taskId < other.taskId ? 1 : -1);

export class ServedTasks {
  #rows = new Map(); // by id: the summaries of all tasks down to the oldest one that was read
  #oldest = null; // that one, if the service has older ones
  #grown = 0;
  #headers = {};
  #changed;
  #deleted;
  isRead = false;
  isAway = false; // whether the stream of changes is lost, and is being opened anew

  /** `changed` is called when the list has changed, `deleted` with the id of a task that was deleted. */
  constructor(changed, deleted) {
    this.#changed = changed;
    this.#deleted = deleted;
    if (apiKey()) this.#headers = { Authorization: `Bearer ${apiKey()}` };
  }

  /** The newest first. */
  get all() {
    return [...this.#rows.values()].sort(newestFirst);
  }

  /** How many of the newest tasks were read. */
  get count() {
    return this.#rows.size;
  }

  get hasOlder() {
    return this.#oldest !== null;
  }

  find(id) {
    return this.#rows.get(id);
  }

  /** Read the list and keep it right until `signal` is aborted. Throws LongtaskError if the caller may
   * not see it. While the page is hidden it holds no connection. */
  async watch(signal) {
    const way = {
      headers: this.#headers,
      stream(last) {
        return `${TASKS}/events${last && `?lastEventId=${encodeURIComponent(last)}`}`;
      },
      renew() {
        throw new LongtaskError("", { status: 401 });
      },
    };
    await receive(way, {
      // What was deleted while there was no connection is not told. So the page is read again, and read
      // before the changes that come meanwhile.
      onConnection: async (state, cause) => {
        this.isAway = state === "lost" && !(cause.status >= 400 && cause.status < 500); // that is a refusal
        if (state === "open") await this.#read(signal);
        else this.#changed();
      },
      take: (event) => this.#take(event),
      taken: this.#changed,
      pauseHidden: true,
      signal,
    });
  }

  /** Add at least one and up to so many older tasks. Throws as getJson does. */
  async more(most = PAGE) {
    const before = this.#rows.size;
    // By the time and not by a cursor, since old rows may have been pushed out. The oldest one comes
    // again, and there may be more tasks of one millisecond than fit a page.
    const query = { createdBefore: this.#oldest.createdAt + 1, limit: Math.min(LONGEST_PAGE, most + 1) };
    do {
      const { tasks, next } = await getJson(`${TASKS}?${new URLSearchParams(query)}`, this.#headers);
      for (const task of tasks) this.#rows.set(task.taskId, task);
      query.after = next;
      if (next === null) this.#oldest = null;
      else if (tasks.length > 0) this.#oldest = tasks.at(-1);
    } while (this.#rows.size === before && this.hasOlder);
    this.#changed();
  }

  remove(id) {
    if (this.#rows.delete(id)) this.#changed();
  }

  async #read(signal) {
    const query = { limit: Math.min(LONGEST_PAGE, Math.max(PAGE, this.#rows.size)) };
    let page;
    do { // a page may have none, and yet be followed by others
      page = await getJson(`${TASKS}?${new URLSearchParams(query)}`, this.#headers, signal);
      query.after = page.next;
    } while (page.tasks.length === 0 && page.next !== null);
    this.#rows = new Map(page.tasks.map((task) => [task.taskId, task]));
    this.#oldest = page.next === null ? null : page.tasks.at(-1);
    this.#grown = 0;
    this.isRead = true;
    this.#changed();
  }

  #take({ type, task, taskId }) {
    if (type === "task") this.#put(task);
    if (type === "deleted") {
      this.#rows.delete(taskId);
      this.#deleted(taskId);
    }
  }

  #put(task) {
    const known = this.#rows.get(task.taskId);
    if (known !== undefined) {
      const isStale = ACTIVE.has(task.status) && !ACTIVE.has(known.status); // the page was read later
      if (!isStale) this.#rows.set(task.taskId, task);
    } else if (this.#oldest === null || newestFirst(task, this.#oldest) < 0) {
      this.#rows.set(task.taskId, task);
      this.#grown += 1;
      if (this.#grown === GROWTH) this.#shrink();
    } // else it is on an older page
  }

  #shrink() {
    const kept = this.all.slice(0, -GROWTH);
    if (kept.length < PAGE) return; // the list began with few
    this.#rows = new Map(kept.map((task) => [task.taskId, task]));
    this.#oldest = kept.at(-1);
    this.#grown = 0;
  }
}
