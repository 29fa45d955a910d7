// Show plain text in blocks of bounded size: new text changes only the last block, and the browser
// lays out only the blocks in view.

const LENGTH = 2_048; // a block ends with the line that reaches it
const LIMIT = 2 * LENGTH; // a block ends here at the latest

/** Return the index at or after `end` that does not split a character (a surrogate pair). */
export function uncut(text, end) {
  const code = text.charCodeAt(end - 1);
  return code >= 0xd800 && code < 0xdc00 ? end + 1 : end;
}

/**
 * Return nodes for a text, with break opportunities in long words: to break a word with kerning
 * ("AAAA") over lines takes a browser time that grows with the square of its length.
 */
export function breakable(text) {
  const parts = text.match(/[^]*?\S{200}|[^]+/gu) ?? [];
  return parts.flatMap((part, number) => (number === 0 ? [part] : [document.createElement("wbr"), part]));
}

export class Plain {
  #root;
  #last = null; // the text node of the last block

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
