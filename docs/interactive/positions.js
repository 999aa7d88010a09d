// How alike the sinusoidal codes of two places are, as one of them moves.
"use strict";
(() => {
  const piece = document.getElementById("positions-piece");
  if (!piece) return;
  const { places, dim } = JSON.parse(document.getElementById("positions-data").textContent);

  // Sine and cosine in turn, at dim / 2 frequencies.
  function positionCode(place, dim) {
    return Array.from({ length: dim }, (_, column) => {
      const angle = place / 10000 ** ((column - (column % 2)) / dim);
      return column % 2 ? Math.cos(angle) : Math.sin(angle);
    });
  }

  const dot = (a, b) => a.reduce((sum, number, i) => sum + number * b[i], 0);
  const codes = Array.from({ length: places }, (_, place) => positionCode(place, dim));
  const slider = document.getElementById("positions-place");
  const value = document.getElementById("positions-value");
  const words = document.getElementById("positions-words");
  const x = (place) => (640 * place) / (places - 1);
  const y = (product) => 170 - (160 * product) / (dim / 2);

  function show() {
    const here = Number(slider.value);
    const products = codes.map((code) => dot(codes[here], code));
    const points = products.map((product, place) => `${x(place).toFixed(1)},${y(product).toFixed(1)}`);
    piece.querySelector("polyline").setAttribute("points", points.join(" "));
    piece.querySelector("circle").setAttribute("cx", x(here).toFixed(1));
    const near = [0, 1, 4, 16].map((step) => (here + step < places ? here + step : here - step));
    const told = near.map((place) => `with place ${place} ${products[place].toFixed(2)}`);
    value.textContent = here;
    words.textContent = `Dot products of the code of place ${here}: ${told.join(", ")}.`;
  }

  piece.querySelectorAll("[data-live]").forEach((part) => { part.hidden = false; });
  slider.addEventListener("input", show);
  show();
  window.course = { ...window.course, positionCode };
})();
