// Text as it is, in blocks of bounded size: what is added changes the last block only, and the
// browser lays out only those in view.

const LENGTH = 2_048; // a block ends with the line that reaches it
const LIMIT = 2 * LENGTH; // and here at the latest

/** The index at or after `end` that cuts no character in two. */
export function uncut(text, end) {
  const code = text.charCodeAt(end - 1);
  return code >= 0xd800 && code < 0xdc00 ? end + 1 : end;
}

/**
 * Nodes for a text. Where letters are kerned ("AAAA"), a browser takes time that grows with the square
 * of a word's length to break it over lines: a long one gets places to break it.
 */
export function breakable(text) {
  const parts = text.match(/[^]*?\S{200}|[^]+/gu) ?? [];
  return parts.flatMap((part, number) => (number === 0 ? [part] : [document.createElement("wbr"), part]));
}

export class Plain {
  #root;
  #last = null; // the text node that still grows

  constructor(root) {
    this.#root = root;
  }

  reset() {
    this.#last = null;
    this.#root.replaceChildren();
  }

  append(text) {
    for (let at = 0; at < text.length; ) {
      const last = (this.#last ??= this.#block());
      const part = text.slice(at, uncut(text, at + LIMIT - last.length));
      const newline = part.indexOf("\n", Math.max(0, LENGTH - last.length));
      const more = newline < 0 ? part : part.slice(0, newline + 1);
      last.appendData(more);
      at += more.length;
      if (newline >= 0 || last.length >= LIMIT) this.#last = null;
    }
  }

  #block() {
    const node = document.createElement("div");
    node.className = "plain";
    node.dir = "auto";
    node.append(document.createTextNode(""));
    this.#root.append(node);
    return node.firstChild;
  }
}
