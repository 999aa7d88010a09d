// A tokenizer to type into: the course's byte-level BPE with the merges that the page holds.
"use strict";
(() => {
  const piece = document.getElementById("tokenizer-piece");
  if (!piece) return;
  const { merges } = JSON.parse(document.getElementById("tokenizer-data").textContent);
  const ranks = new Map(merges.map(([first, second], n) => [first * 65536 + second, 256 + n]));
  const bytes = Array.from({ length: 256 }, (_, byte) => [byte]);
  merges.forEach(([first, second]) => bytes.push([...bytes[first], ...bytes[second]]));

  // What Python's regex calls white space; JavaScript's \s differs by a few characters.
  const S = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  const WORD = new RegExp(
    `'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^${S}\\p{L}\\p{N}]+|[${S}]+(?![^${S}])|[${S}]+`, "gu");

  function encodeWord(word) {
    const ids = [...new TextEncoder().encode(word)];
    for (;;) {
      let best = Infinity;
      for (let i = 0; i + 1 < ids.length; i++) {
        best = Math.min(best, ranks.get(ids[i] * 65536 + ids[i + 1]) ?? Infinity);
      }
      if (best === Infinity) return ids;
      const [first, second] = merges[best - 256];
      for (let i = 0; i + 1 < ids.length; i++) {
        if (ids[i] === first && ids[i + 1] === second) ids.splice(i, 2, best);
      }
    }
  }

  const encode = (text) => (text.match(WORD) ?? []).flatMap(encodeWord);

  // A token as text: a space as an open box, a part of a character as its bytes.
  function spell(id) {
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes[id]));
      return text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
    } catch {
      return bytes[id].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    }
  }

  const area = document.getElementById("tokenizer-text");
  const list = document.getElementById("tokenizer-tokens");
  const words = document.getElementById("tokenizer-words");

  function show() {
    const ids = encode(area.value);
    list.replaceChildren(...ids.map((id) => {
      const item = document.createElement("li");
      const text = document.createElement("code");
      const number = document.createElement("small");
      text.textContent = spell(id);
      number.textContent = id;
      item.append(text, number);
      return item;
    }));
    const count = new TextEncoder().encode(area.value).length;
    words.textContent = `${[...area.value].length} characters, ${count} bytes, ${ids.length} tokens.`;
  }

  piece.querySelectorAll("[data-live]").forEach((part) => { part.hidden = false; });
  area.addEventListener("input", show);
  show();
  window.course = { ...window.course, encode };
})();
