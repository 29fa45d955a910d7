// A table that is brought up to date in place: rows keep their focus, and those that are open stay so.

import { node } from "./nodes.js";

export class Table {
  #view;
  #body = node("tbody");
  #rows = new Map(); // by key: {item, told, row, opened}

  /** `view`: its `title`, `columns` ({name, cell, kind}), `key` of an item, and `detail` (item →
   * nodes, or a promise of them) if rows can be opened. */
  constructor(view) {
    this.#view = view;
    const heads = view.columns.map(({ name }) => node("th", { scope: "col" }, name || node("span", { className: "unseen" }, "Actions")));
    if (view.detail) heads.unshift(node("th", { scope: "col" }, node("span", { className: "unseen" }, "Details")));
    this.element = node("table", {}, node("caption", { className: "unseen" }, view.title), node("thead", {}, node("tr", {}, ...heads)), this.#body);
  }

  item(key) {
    return this.#rows.get(key)?.item;
  }

  update(items) {
    const keys = new Set(items.map(this.#view.key));
    for (const [key, each] of this.#rows) {
      if (keys.has(key)) continue;
      each.row.remove();
      each.opened?.remove();
      this.#rows.delete(key);
    }
    let last = null;
    for (const item of items) {
      const key = this.#view.key(item);
      const each = this.#rows.get(key) ?? this.#add(key);
      const told = JSON.stringify(item);
      if (each.told !== told) {
        Object.assign(each, { item, told });
        this.#fill(each.row, item);
        if (each.opened) this.#tell(each);
      }
      const next = last === null ? this.#body.firstElementChild : last.nextElementSibling;
      if (each.row !== next) this.#body.insertBefore(each.row, next);
      if (each.opened && each.row.nextElementSibling !== each.opened) each.row.after(each.opened);
      last = each.opened ?? each.row;
    }
  }

  /** Open a row, or close it. */
  toggle(key) {
    const each = this.#rows.get(key);
    if (!each || !this.#view.detail) return;
    const opens = !each.opened;
    each.row.querySelector(".open").setAttribute("aria-expanded", String(opens));
    if (!opens) {
      each.opened.remove();
      each.opened = null;
      return;
    }
    const cell = node("td", { className: "detail", colSpan: this.#view.columns.length + 1 }, "Loading…");
    each.opened = node("tr", { className: "opened" }, cell);
    each.row.after(each.opened);
    this.#tell(each);
  }

  async #tell({ item, opened }) {
    const [cell] = opened.cells;
    try {
      cell.replaceChildren(...(await this.#view.detail(item)));
    } catch (error) {
      cell.replaceChildren(error.message);
    }
  }

  #add(key) {
    const row = node("tr", { className: this.#view.detail ? "row opens" : "row", "data-key": key });
    if (this.#view.detail) {
      const open = node("button", { type: "button", className: "open", "data-act": "open", "aria-expanded": "false", "aria-label": `Details of ${key}` });
      row.append(node("td", { className: "chevron narrow" }, open));
    }
    for (const { name, kind = "" } of this.#view.columns) {
      row.append(node("td", { className: kind, ...(name ? { "data-name": name } : {}) }));
    }
    const each = { item: null, told: "", row, opened: null };
    this.#rows.set(key, each);
    return each;
  }

  #fill(row, item) {
    const focused = row.contains(document.activeElement) ? document.activeElement.dataset.act : undefined;
    const cells = [...row.cells].slice(this.#view.detail ? 1 : 0);
    this.#view.columns.forEach(({ cell }, index) => {
      const made = [cell(item)].flat().filter((each) => each !== null && each !== undefined && each !== "");
      cells[index].replaceChildren(...made);
    });
    if (focused && !row.contains(document.activeElement)) row.querySelector(`[data-act="${focused}"]`)?.focus();
  }
}
