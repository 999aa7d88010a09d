// A box that scrolls sideways must be reached by keyboard, and say what it is. Only boxes that do
// scroll become stops of the Tab key: a lesson has a hundred that fit.
const BOXES = { ".cell_output pre": "output", ".highlight pre:not(.cell_output pre)": "code", ".output": "output", ".table-wrapper": "table", ".formula": "formula" };

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

// The drawers of a narrow page. The theme opens them with labels of boxes that it does not show; buttons
// take their place. Opening a drawer leads into it; Escape or a choice in it closes it, and the focus goes
// back to the button.
function asButton(label, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = label.className;
  button.setAttribute("aria-label", name);
  button.append(...label.childNodes);
  label.replaceWith(button);
  return button;
}

function makeDrawer(toggle, drawer, buttons) {
  let opener = buttons[0];
  const set = (open) => {
    toggle.checked = open;
    toggle.dispatchEvent(new Event("change"));
  };
  const say = () => buttons.forEach((button) => button.setAttribute("aria-expanded", toggle.checked));
  say();
  toggle.addEventListener("change", () => {
    say();
    const stops = [...drawer.querySelectorAll("a, input")];
    const next = toggle.checked ? stops.find((stop) => stop.getClientRects().length) : opener;
    next?.focus({ preventScroll: true });
  });
  for (const button of buttons) {
    button.addEventListener("click", () => {
      opener = button;
      set(!toggle.checked);
    });
  }
  drawer.addEventListener("click", (event) => {
    if (toggle.checked && event.target.closest("a[href^='#']")) set(false);
  });
  addEventListener("keydown", (event) => {
    if (toggle.checked && event.key === "Escape") set(false);
  });
}

for (const [id, drawer, name] of [["__navigation", ".sidebar-drawer", "Menu"], ["__toc", ".toc-drawer", "On this page"]]) {
  const labels = [...document.querySelectorAll(`label[for=${id}]:not(.overlay)`)];
  const buttons = labels.map((label) => asButton(label, name));
  if (buttons.length) makeDrawer(document.getElementById(id), document.querySelector(drawer), buttons);
}

// What is folded is printed, too, where the browser does not do it by itself.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open])")) {
    fold.open = true;
    fold.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-folded]")) {
    fold.open = false;
    delete fold.dataset.folded;
  }
});

// A result of the search leads to the first place where its words stand. Sphinx marks them a moment after
// the page is there.
addEventListener("load", () => {
  if (location.hash) return;
  setTimeout(() => document.querySelector("article .highlighted")?.scrollIntoView({ block: "center" }), 100);
});
