// What the pages of the course do by themselves: keep a reader's guesses and show them beside the answers; let the
// keyboard reach what scrolls sideways.
// Without this script the comparison is a box to open. Nothing leaves the page.
"use strict";

const guesses = new Map();

/** Three digits that count, and no powers of ten: as the answers are written. */
function threeDigits(value) {
  return String(Number(Number(value).toPrecision(3)));
}

function reveal(box) {
  const guess = guesses.get(box.dataset.guess);
  if (!guess) return;
  const lines = JSON.parse(box.dataset.lines);
  let verdict = lines[guess.answer];
  if ("reach" in lines) {
    const off = guess.answer - lines.value;
    verdict = Math.abs(off) <= lines.reach ? lines.near : off > 0 ? lines.above : lines.below;
  }
  const said = document.createElement("b");
  said.textContent = guess.shown;
  const label = document.createElement("span");
  label.textContent = "Your guess";
  box.querySelector(".d-guess-yours").replaceChildren(label, " ", said);
  box.querySelector(".d-guess-verdict").textContent = verdict;
}

function keep(form, answer, shown) {
  guesses.set(form.id, { answer, shown });
  form.querySelector(".d-guess-said").textContent = `Kept: ${shown}. Read on; further down it is compared.`;
  document.querySelectorAll(`details[data-guess="${form.id}"]`).forEach(reveal);
}

for (const form of document.querySelectorAll("form.dl4mir-guess")) {
  const scale = form.querySelector("input[type=range]");
  const output = form.querySelector("output");
  const shown = () => [threeDigits(scale.value), scale.dataset.unit].filter(Boolean).join(" ");
  const show = () => (output.textContent = shown());
  if (scale) {
    scale.addEventListener("input", show);
    show();
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (scale) keep(form, Number(scale.value), shown());
  });
  form.addEventListener("change", (event) => {
    if (event.target.type === "radio") keep(form, event.target.value, event.target.value);
  });
}

/** What is wider than its box can be scrolled with the arrow keys, once it can have the focus. */
function reachable() {
  for (const node of document.querySelectorAll(".highlight, .output, .output > pre, .scroll, .formula")) {
    if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX === "auto") node.tabIndex = 0;
    else node.removeAttribute("tabindex");
  }
}

new ResizeObserver(reachable).observe(document.body);
