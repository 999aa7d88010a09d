// A box that scrolls sideways must be reached by keyboard, and say what it is. Only boxes that do
// scroll become stops of the Tab key: a lesson has a hundred that fit.
const BOXES = { ".highlight pre": "code", ".output": "output", ".table-wrapper": "table", ".formula": "formula" };

function markScrolling() {
  for (const [selector, name] of Object.entries(BOXES)) {
    for (const box of document.querySelectorAll(selector)) {
      const scrolls = box.scrollWidth > box.clientWidth;
      if (scrolls === box.hasAttribute("tabindex")) continue;
      for (const [key, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", `${name}, scrolls sideways`]]) {
        if (scrolls) box.setAttribute(key, value);
        else box.removeAttribute(key);
      }
    }
  }
}

markScrolling();
addEventListener("resize", markScrolling);
addEventListener("load", markScrolling);
document.addEventListener("toggle", markScrolling, true); // a solution that opens
