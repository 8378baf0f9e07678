// A slider that pictures (and sounds) follow. Stands in one module with player.js, whose helpers it uses and whose
// `mount` calls it.

const FRAME_MS = 350; // of a picture while it runs by itself

/**
 * Build a slider in an element; returns a function that takes it away again.
 * @param {HTMLElement} host
 * @param {object} content  what `Slide.content` in Python gives
 * @param {string} address  of the sounds, one behind the other; empty where there are none
 */
function mountSlide(host, content, address) {
  const { name, values, texts, start, spans } = content.slide;
  const addresses = content.frames.map((frame) => URL.createObjectURL(new Blob([toBytes(frame)], { type: "image/webp" })));
  const sound = spans ? playSpans(address, spans) : null;
  let running = 0; // the timer, 0 if none

  // Above the slider the picture, so that it stays where it is; it tells what it shows.
  const picture = make("img", { class: "d-slide-picture", alt: "" });
  const range = make("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: start, "aria-label": name });
  const shown = make("output", { class: "d-slide-value" });
  const run = make("button", { type: "button", onclick: () => (running ? halt() : go()) });
  const controls = make("div", { class: "d-controls" }, run, range, shown);
  const follow = make("input", { type: "checkbox" });
  if (sound) {
    follow.checked = true;
    controls.append(
      make("button", { type: "button", text: "Hear it", onclick: () => sound.play(Number(range.value)) }),
      make("label", { class: "d-note" }, follow, " sound follows"),
    );
  }

  function show(number, heard) {
    range.value = number;
    picture.src = addresses[number];
    picture.alt = `${name} ${values[number]}: ${texts[number]}`;
    say(shown, `${name}: ${values[number]}`);
    range.setAttribute("aria-valuetext", texts[number] === values[number] ? values[number] : `${values[number]}: ${texts[number]}`);
    if (heard && sound && follow.checked) sound.play(number);
  }

  function look(symbol, label) {
    run.textContent = symbol;
    run.setAttribute("aria-label", label);
    run.title = label;
  }

  function halt() {
    clearTimeout(running);
    running = 0;
    look("▶", "Run through all values");
  }

  function go() {
    if (Number(range.value) === values.length - 1) show(0, true);
    look("❚❚", "Stop");
    const step = () => {
      const next = Number(range.value) + 1;
      if (next >= values.length) return halt();
      show(next, true);
      wait();
    };
    const wait = () => {
      // A picture stays as long as its sound.
      const number = Number(range.value);
      const sounds = sound && follow.checked ? 1000 * (spans[number][1] - spans[number][0]) + 150 : 0;
      running = setTimeout(step, Math.max(FRAME_MS, sounds));
    };
    wait();
  }

  range.oninput = () => {
    halt();
    show(Number(range.value), true);
  };
  // JupyterLab would take the arrow keys to go from cell to cell.
  range.onkeydown = (event) => /^(Arrow|Home|End|Page)/.test(event.key) && event.stopPropagation();
  const head = make("div", { class: "d-head" }, make("strong", { text: content.title || name }), ` ${content.description}`);
  const root = make("div", { class: "dl4mir-player dl4mir-slide", role: "group", "aria-label": content.title || name }, head, picture, controls);
  halt();
  show(start, false);
  ownKeys(root);
  host.append(root);
  const themeless = followTheme(root);
  root.dl4mir = { show, sound }; // for scripts on the page, and for tests
  return () => {
    halt();
    themeless();
    sound?.end();
    addresses.forEach((one) => URL.revokeObjectURL(one));
    root.remove();
  };
}
