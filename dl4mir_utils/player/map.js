// A map of sounds: points on a plane, some of which can be heard. Stands in one module with player.js, whose helpers
// it uses and whose `mount` calls it.

const MAP = { width: 640, height: 430, margin: 18 };
// Shapes of the classes, around (0, 0): classes differ in more than colour.
const SHAPES = [
  "M5,0A5,5 0 1 1 -5,0A5,5 0 1 1 5,0Z",
  "M-4.4,-4.4H4.4V4.4H-4.4Z",
  "M0,-5.8L5.2,4.2H-5.2Z",
  "M0,-6.2L6.2,0L0,6.2L-6.2,0Z",
  "M0,5.8L5.2,-4.2H-5.2Z",
  "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
  "M-3,-6L0,-3L3,-6L6,-3L3,0L6,3L3,6L0,3L-3,6L-6,3L-3,0L-6,-3Z",
];

/** Colour and shape of a class; the first 49 classes all differ, as in the static figure. */
function look(index) {
  return { fill: `var(--d-c${index % N_COLOURS})`, d: SHAPES[(index + Math.floor(index / N_COLOURS)) % SHAPES.length] };
}

/**
 * Play pieces of one sound file, one at a time.
 * @param {string} address
 * @param {object} spans  start and end in seconds, by the number of the piece
 * @param {function} changed  is told the number of the piece that sounds now, or null
 */
function playSpans(address, spans, changed = () => {}) {
  const audio = new Audio(address);
  audio.preload = "auto";
  let playing = null;

  function stop() {
    audio.pause();
    playing = null;
    changed(null);
  }

  function play(number) {
    stop();
    playing = number;
    changed(number);
    audio.currentTime = spans[number][0];
    audio.play().then(watch).catch(() => playing === number && stop());
  }

  /** Stop where the piece ends; the event `timeupdate` comes only four times a second. */
  function watch() {
    if (playing === null || audio.paused) return;
    if (audio.currentTime >= spans[playing][1]) stop();
    else setTimeout(watch, 20);
  }

  const end = () => (stop(), audio.removeAttribute("src"));
  return { audio, play, stop, end, playing: () => playing };
}

/** Mark an element as light or dark, now and whenever page or system change; returns how to stop that. */
function followTheme(root) {
  const themed = () => (root.dataset.theme = isDark(root) ? "dark" : "light");
  themed();
  const themes = new MutationObserver(themed);
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", themed);
  return () => {
    themes.disconnect();
    system.removeEventListener("change", themed);
  };
}

/** Make an element of an SVG; HTML knows the namespace by itself. */
function draw(tag, attributes, ...children) {
  const page = document.createElement("template");
  page.innerHTML = `<svg><${tag}></${tag}></svg>`;
  const node = tag === "svg" ? page.content.firstChild.cloneNode() : page.content.firstChild.firstChild;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * Build a map in an element; returns a function that takes it away again.
 * @param {HTMLElement} host
 * @param {object} content  what `SoundMap.content` in Python gives
 * @param {string} address  of the sounds, one behind the other
 */
function mountMap(host, content, address) {
  const { points, names, labels, spans } = content.map;
  const sound = playSpans(address, spans, (number) => {
    nodes.forEach(({ node }, each) => node.classList.toggle("d-on", each === number));
  });
  let shown = 0; // which labelling

  const status = make("div", { class: "d-map-status", "aria-live": "polite", text: "Click a point with a rim to hear it." });
  const legend = make("ul", { class: "d-map-legend" });
  const svg = draw("svg", { viewBox: `0 0 ${MAP.width} ${MAP.height}`, role: "group", "aria-label": content.title || "Map of sounds" });
  const place = points.map(([x, y]) => [
    MAP.margin + x * (MAP.width - 2 * MAP.margin),
    MAP.margin + (1 - y) * (MAP.height - 2 * MAP.margin),
  ]);
  const nodes = points.map((_, number) => {
    const [x, y] = place[number];
    const sounds = number in spans;
    const shape = draw("path", {});
    const words = draw("title", {});
    const node = draw("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: sounds ? "d-point d-sounds" : "d-point" }, words, shape);
    if (sounds) {
      node.setAttribute("tabindex", 0);
      node.setAttribute("role", "button");
      node.onkeydown = (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose(number);
      };
    }
    node.onclick = () => choose(number);
    return { node, shape, words };
  });
  // What can be heard comes last, so that it lies on top.
  for (const sounds of [false, true]) svg.append(...nodes.filter((_, number) => number in spans === sounds).map(({ node }) => node));

  const classOf = (number) => labels[shown].classes[labels[shown].codes[number]];

  function colour(which) {
    shown = which;
    const { classes, codes } = labels[which];
    nodes.forEach(({ node, shape, words }, number) => {
      for (const [name, value] of Object.entries(look(codes[number]))) shape.setAttribute(name, value);
      words.textContent = `${names[number]}: ${classOf(number)}`;
      if (number in spans) node.setAttribute("aria-label", `Play ${words.textContent}`);
    });
    legend.replaceChildren(...classes.map((name, index) => {
      const sign = draw("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" }, draw("path", look(index)));
      return make("li", {}, sign, make("span", { text: name }));
    }));
  }

  function choose(number) {
    const again = sound.playing() === number;
    sound.stop();
    say(status, `${names[number]}: ${classOf(number)}${number in spans ? "" : " (without sound here)"}`);
    if (!again && number in spans) sound.play(number);
  }

  const head = make("div", { class: "d-head" }, make("strong", { text: content.title || "Map of sounds" }), ` ${content.description}`);
  if (labels.length > 1) {
    const choice = make("select", { "aria-label": "Coloured by" });
    choice.append(...labels.map(({ name }, index) => make("option", { value: index, text: name })));
    choice.onchange = () => colour(Number(choice.value));
    head.append(make("label", { class: "d-map-choice", text: "coloured by " }, choice));
  }
  const root = make("div", { class: "dl4mir-player dl4mir-map" }, head, make("div", { class: "d-map" }, svg, legend), status);
  colour(0);
  ownKeys(root);
  host.append(root);
  const themeless = followTheme(root);
  root.dl4mir = { ...sound, spans }; // for scripts on the page, and for tests
  return () => {
    sound.end();
    themeless();
    root.remove();
  };
}

