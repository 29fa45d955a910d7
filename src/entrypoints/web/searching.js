// Search the list of tasks by title, model and id. The service's list has no search of its own: where too few
// of the tasks that were read match, older ones are read, up to a bound.

const ENOUGH = 10; // matches
const STEP = 500; // tasks that are searched at once
const PAGE = 99; // tasks of one call, in which the oldest one comes again
const PAUSE = 250; // milliseconds after the last letter

export class Searching {
  words = ""; // in small letters
  isBusy = false;
  #list;
  #bound = STEP; // so many of the newest tasks may be read
  #enough = ENOUGH;
  #timer = 0;

  /** `list`: the functions `served`, which returns the service's list or null, `matching`, which returns
   * how many tasks match, and `changed`, which is called when something here has changed. */
  constructor(list) {
    this.#list = list;
  }

  /** Return whether a task is one of those that are searched for. */
  matches({ id, title, model }) {
    return this.words === "" || [id, title, model].some((each) => each?.toLowerCase().includes(this.words));
  }

  /** Search for something, or for nothing. */
  begin(words) {
    this.words = words.trim().toLowerCase();
    this.#bound = STEP;
    this.#enough = ENOUGH;
    this.#list.changed();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read().catch(() => {}), PAUSE); // the list says that the service is away
  }

  /** Search as many further tasks. Throws as ServedTasks.more does. */
  async further() {
    this.#bound = this.#list.served().count + STEP;
    this.#enough = this.#list.matching() + ENOUGH;
    await this.#read();
  }

  get #isWanted() {
    const served = this.#list.served();
    return this.words !== "" && served?.hasOlder && served.count < this.#bound && this.#list.matching() < this.#enough;
  }

  async #read() {
    if (this.isBusy || !this.#isWanted) return; // what is busy goes on with what is wanted now
    this.isBusy = true;
    this.#list.changed();
    try {
      while (this.#isWanted) await this.#list.served().more(Math.min(PAGE, this.#bound - this.#list.served().count));
    } finally {
      this.isBusy = false;
      this.#list.changed();
    }
  }
}
