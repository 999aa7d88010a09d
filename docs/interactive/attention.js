// Attention weights as the temperature moves.
"use strict";
(() => {
  const piece = document.getElementById("attention-piece");
  if (!piece) return;
  const { scores, values } = JSON.parse(document.getElementById("attention-data").textContent);

  function softmax(scores, temperature) {
    const largest = Math.max(...scores);
    const powers = scores.map((score) => Math.exp((score - largest) / temperature));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  const slider = document.getElementById("attention-temperature");
  const value = document.getElementById("attention-value");
  const words = document.getElementById("attention-words");
  const cells = piece.querySelectorAll("[data-weight]");
  const bars = piece.querySelectorAll(".bars span");

  function show() {
    const temperature = 10 ** Number(slider.value);
    const weights = softmax(scores, temperature);
    const price = weights.reduce((sum, weight, i) => sum + weight * values[i], 0);
    weights.forEach((weight, i) => {
      cells[i].textContent = weight.toFixed(3);
      bars[i].style.width = `${(100 * weight).toFixed(1)}%`;
    });
    value.textContent = temperature.toFixed(2);
    slider.setAttribute("aria-valuetext", temperature.toFixed(2));
    words.textContent =
      `Temperature ${temperature.toFixed(2)}: the price you are told is ${price.toFixed(2)}.`;
  }

  piece.querySelectorAll("[data-live]").forEach((part) => { part.hidden = false; });
  slider.addEventListener("input", show);
  show();
  window.course = { ...window.course, softmax };
})();
