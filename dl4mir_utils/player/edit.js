
// A track of segments that the reader changes: with the pointer, with keys, with buttons. Stands in one module with
// player.js, whose helpers it uses and whose list of tracks it joins.
//
// Segments never overlap: an edge stops at its neighbour. Times that are changed are whole milliseconds.

const SHORTEST_S = 0.05;
const ADDED_S = 1; // length of a segment that is added at one place
const STEP_S = 0.01; // for an arrow key
const HELD_STEP_S = 0.05; // while it is held
const GRIP_PX = 7; // so near to an edge the pointer takes hold of it
const FINGER_PX = 16;
const DRAG_PX = 4; // less is a click
const TOGETHER_MS = 1000; // steps by key that follow each other faster are undone together
const EDIT_KEYS = `To change segments, go to their track: ↑ ↓ choose one and go to its start, ← → move it by 10 ms, with Shift
  its end, with Alt its start (faster while held). S and E put its start and its end at the playhead, N adds one there,
  Delete takes it away, digits change its label, Enter plays it in a loop, Esc leaves it. Ctrl+Z takes a change back,
  Ctrl+Shift+Z makes it again. By pointer: drag an edge, a segment, or over empty space.`;
let editTracks = 0; // so far, for ids

// --- segments as lists of [start, end, label], in order of time; none of these functions changes what it is given -----

const clamp = (value, low, high) => Math.max(low, Math.min(value, high));
const rounded = (seconds) => Math.round(1000 * seconds) / 1000;
const seconds = (time) => `${time.toFixed(3)} s`;

/** The time around segment `index` (or around `time`, where no segment is) that no other one takes, in whole ms. */
function roomAround(segments, index, time, duration) {
  const before = index < 0 ? segments.findLast(([, end]) => end <= time) : segments[index - 1];
  const after = index < 0 ? segments.find(([start]) => start >= time) : segments[index + 1];
  const low = Math.ceil(1000 * (before?.[1] ?? 0) - 1e-6) / 1000;
  return [low, Math.floor(1000 * (after?.[0] ?? duration) + 1e-6) / 1000];
}

/** Move the start, the end, or the whole of a segment. */
function moveSegment(segments, index, part, by, duration) {
  let [start, end, label] = segments[index];
  const [low, high] = roomAround(segments, index, 0, duration);
  // An edge that stays keeps what it was given, which may be finer than a millisecond.
  if (part === "start") start = Math.max(low, rounded(Math.min(start + by, end - SHORTEST_S)));
  if (part === "end") end = Math.min(high, rounded(Math.max(end + by, start + SHORTEST_S)));
  if (part === "whole") {
    const most = clamp(by, low - start, high - end);
    [start, end] = [Math.max(low, rounded(start + most)), Math.min(high, rounded(end + most))];
  }
  return segments.with(index, [start, end, label]);
}

/** Add a segment where there is room for it; null where there is none. */
function addSegment(segments, from, to, label, duration) {
  if (segments.some(([start, end]) => start <= from && from < end)) return null;
  const [low, high] = roomAround(segments, -1, from, duration);
  const end = Math.min(high, Math.max(rounded(to), rounded(from) + SHORTEST_S));
  const start = Math.max(low, Math.min(rounded(from), end - SHORTEST_S));
  if (end - start < SHORTEST_S - 1e-6) return null;
  return [...segments, [rounded(start), rounded(end), label]].sort((a, b) => a[0] - b[0]);
}

const same = (some, others) => JSON.stringify(some) === JSON.stringify(others);

// --- the track -----------------------------------------------------------------------------------------------------

function editTrack(track, { label, canvas, player }) {
  const { audio, duration } = player;
  const { labels, segments: given } = track;
  const name = `d-edit-${++editTracks}`;
  let segments = player.edits(track) ?? given;
  let selected = -1;
  let looping = false;
  let wanted = labels[0]; // label of what is added
  let drag = null; // { part, index, anchor (s), x (px), moved, segments }
  const [past, future] = [[], []]; // of { segments, selected }
  let last = { kind: "", at: 0 };

  const now = label.appendChild(make("div", { class: "d-now" }));
  const count = label.appendChild(make("div", { class: "d-note" }));

  const list = make("div", { class: "d-edit-list", role: "listbox", tabindex: 0, "aria-label": track.summary, "aria-describedby": `${name}-keys` }, canvas);
  canvas.setAttribute("aria-hidden", "true"); // the options tell what it shows
  const options = list.appendChild(make("div", { class: "d-spoken", role: "presentation" }));
  player.help.append(make("p", { id: `${name}-keys`, text: EDIT_KEYS.replaceAll(/\s+/g, " ") }));

  const button = (text, title, onclick) => make("button", { type: "button", text, title, onclick });
  const buttons = {
    add: button("Add", "Add a segment at the playhead (N)", add),
    delete: button("Delete", "Delete the segment (Delete)", remove),
    loop: button("Loop", "Play the segment in a loop (Enter)", () => loop(!looping)),
    undo: button("Undo", "Take the last change back (Ctrl+Z)", () => step(past, future, "Taken back")),
    redo: button("Redo", "Make it again (Ctrl+Shift+Z)", () => step(future, past, "Made again")),
  };
  const numbers = ["start", "end"].map((part) =>
    make("input", { type: "number", step: STEP_S, min: 0, max: duration, "aria-label": `${part} in seconds` }),
  );
  const choice = make("select", { "aria-label": "Label" }, ...labels.map((text) => make("option", { text })));
  const download = make("a", { text: "Labels (.txt)", title: "Save the segments as a label track for Audacity", href: "#" });
  const timing = make("span", { class: "d-edit-times" }, numbers[0], " to ", numbers[1], " s ", ...(labels.length > 1 ? [choice] : []));
  const tools = make("div", { class: "d-edit-tools", role: "group", "aria-label": `Change ${track.name}` }, ...Object.values(buttons), timing, download);
  const cell = make("div", { class: "d-edit" }, list, tools);

  const shown = () => drag?.segments ?? segments;
  const words = ([start, end, text]) => `${text}, ${seconds(start)} to ${seconds(end)}`;
  const at = (time) => segments.findIndex(([start, end]) => start <= time && time < end);
  const here = () => Math.min(audio.currentTime, duration);

  /** Show what is there now: picture, options, buttons, numbers. */
  function refresh() {
    const chosen = shown()[selected];
    if (!chosen) selected = -1;
    if (!drag) {
      options.replaceChildren(...segments.map((each, i) =>
        make("div", { role: "option", id: `${name}-${i}`, "aria-selected": i === selected, text: words(each) }),
      )); // prettier-ignore
      if (chosen) list.setAttribute("aria-activedescendant", `${name}-${selected}`);
      else list.removeAttribute("aria-activedescendant");
    }
    if (!chosen) looping = false;
    buttons.loop.setAttribute("aria-pressed", looping);
    for (const each of [buttons.delete, buttons.loop, ...numbers]) each.disabled = !chosen;
    buttons.undo.disabled = !past.length;
    buttons.redo.disabled = !future.length;
    numbers.forEach((input, i) => (input.value = chosen ? chosen[i].toFixed(3) : ""));
    choice.value = chosen?.[2] ?? wanted;
    say(count, shown().length === 1 ? "1 segment" : `${shown().length} segments`);
    player.redraw(row);
  }

  /** Take on other segments; steps of the same kind, quickly one after the other, are undone together. */
  function change(next, then, kind = "") {
    if (same(next, segments)) return refresh();
    const together = kind && kind === last.kind && performance.now() - last.at < TOGETHER_MS;
    if (!together) past.push({ segments, selected });
    last = { kind, at: performance.now() };
    future.length = 0;
    keep(next);
    selected = then;
    refresh();
  }

  function keep(next) {
    segments = next;
    player.keepEdits(track, same(next, given) ? null : next);
  }

  function step(from, to, said) {
    if (!from.length) return player.tell("There is nothing more.");
    to.push({ segments, selected });
    last = { kind: "", at: 0 };
    const { segments: next, selected: then } = from.pop();
    keep(next);
    selected = then;
    refresh();
    player.tell(`${said}: ${segments.length === 1 ? "1 segment" : `${segments.length} segments`}.`);
  }

  function select(index) {
    selected = index;
    if (segments[index]) wanted = segments[index][2];
    refresh();
  }

  function add() {
    addBetween(here(), here() + ADDED_S);
  }

  function addBetween(from, to) {
    const next = addSegment(segments, from, to, wanted, duration);
    if (!next) return player.tell("There is no room here: a segment is here already.");
    const index = next.findIndex((each) => !segments.includes(each));
    change(next, index);
    player.tell(`Added ${words(next[index])}`);
  }

  function remove() {
    const gone = segments[selected];
    change(segments.toSpliced(selected, 1), -1);
    player.tell(`Deleted ${words(gone)}`);
  }

  function move(part, by, kind = "") {
    const next = moveSegment(segments, selected, part, by, duration);
    change(next, selected, kind && `${kind} ${selected}`);
    const [start, end] = next[selected];
    player.tell({ start: `starts at ${seconds(start)}`, end: `ends at ${seconds(end)}`, whole: words(next[selected]) }[part]);
  }

  /** Put an edge of the selected segment, or of the one that is heard, at the playhead. */
  function putEdge(part) {
    if (selected < 0) selected = at(here());
    if (selected < 0) return player.tell("Choose a segment first.");
    move(part, here() - segments[selected][part === "start" ? 0 : 1]);
  }

  function rename(text) {
    wanted = text;
    if (segments[selected]) change(segments.with(selected, [...segments[selected].slice(0, 2), text]), selected);
    player.tell(`Label: ${text}`);
  }

  function loop(on) {
    looping = on;
    if (on) {
      player.seek(segments[selected][0]);
      audio.play();
    } else audio.pause();
    refresh();
  }

  // --- keys

  const chosenKeys = {
    ArrowLeft: (event) => move(partOf(event), -stepOf(event), "keys"),
    ArrowRight: (event) => move(partOf(event), stepOf(event), "keys"),
    Delete: remove,
    Backspace: remove,
    Enter: () => loop(!looping),
    Escape: () => select(-1),
  };
  const listKeys = { ArrowUp: () => choose(-1), ArrowDown: () => choose(1) };
  const playerKeys = { n: add, s: () => putEdge("start"), e: () => putEdge("end") };
  const partOf = (event) => (event.shiftKey ? "end" : event.altKey ? "start" : "whole");
  const stepOf = (event) => (event.repeat ? HELD_STEP_S : STEP_S);

  /** The next segment or the one before; if none is selected, seen from the playhead. */
  function choose(by) {
    if (!segments.length) return player.tell("There are no segments; N adds one.");
    const following = segments.findIndex(([, end]) => end > here());
    const first = by > 0 ? (following < 0 ? segments.length - 1 : following) : (following < 0 ? segments.length : following) - 1;
    select(clamp(selected < 0 ? first : selected + by, 0, segments.length - 1));
    player.seek(segments[selected][0]);
  }

  /** What a key does here, if anything. Of several such tracks in a player the one that was used last has the keys. */
  function actionOf(event) {
    if (event.target.closest("input:not([type=range]), select")) return null;
    if (player.editing !== row && !cell.contains(event.target)) return null;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      const again = key === "y" || (key === "z" && event.shiftKey);
      return again ? () => buttons.redo.onclick() : key === "z" ? () => buttons.undo.onclick() : null;
    }
    if (event.target === list && segments[selected]) {
      if (key in chosenKeys) return chosenKeys[key];
      if (labels.length > 1 && labels[key - 1]) return () => rename(labels[key - 1]);
    }
    if (event.altKey) return null;
    return (event.target === list && listKeys[key]) || playerKeys[key];
  }

  player.listen(player.root, "keydown", (event) => {
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action(event);
  }, { capture: true }); // before the player's own keys
  tools.addEventListener("keydown", (event) => event.target.matches("input, select") && event.stopPropagation());
  cell.addEventListener("focusin", () => (player.editing = row));

  // --- pointer

  /** What is under the pointer: an edge if it is near, a segment, or nothing. */
  function under(event) {
    const time = player.timeAt(event);
    const reach = player.seconds(event.pointerType === "touch" ? FINGER_PX : GRIP_PX);
    let best = { index: at(time), part: "whole", off: Infinity };
    segments.forEach(([start, end], index) => {
      const inside = Math.min(reach, (end - start) / 3); // the middle of a short one can be taken hold of, too
      for (const [part, off] of [["start", time - start], ["end", end - time]]) {
        const near = off >= 0 ? off <= inside : -off <= reach;
        // Where two segments touch, the selected one has the edge, else the one that is under the pointer.
        const distance = Math.abs(off) - (index === selected ? reach : 0) + (off < 0 ? 1e-6 : 0);
        if (near && distance < best.off) best = { index, part, off: distance };
      }
    });
    return best;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || drag) return;
    event.preventDefault(); // selects no text
    canvas.setPointerCapture(event.pointerId);
    list.focus({ preventScroll: true });
    const { index, part } = under(event);
    drag = { index, part, anchor: clamp(player.timeAt(event), 0, duration), x: event.clientX, moved: false, segments };
    selected = index;
    refresh();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) {
      const { index, part } = under(event);
      canvas.style.cursor = index < 0 ? "crosshair" : part === "whole" ? "grab" : "ew-resize";
      return;
    }
    drag.moved ||= Math.abs(event.clientX - drag.x) >= DRAG_PX;
    if (!drag.moved) return;
    const time = clamp(player.timeAt(event), 0, duration);
    if (drag.index >= 0) {
      drag.segments = moveSegment(segments, drag.index, drag.part, time - drag.anchor, duration);
    } else {
      const [low, high] = roomAround(segments, -1, drag.anchor, duration);
      const [from, to] = [Math.max(low, Math.min(time, drag.anchor)), Math.min(high, Math.max(time, drag.anchor))];
      drag.segments = addSegment(segments, from, to, wanted, duration) ?? segments;
      selected = drag.segments.findIndex((each) => !segments.includes(each));
    }
    refresh();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { moved, segments: next, index } = drag;
    drag = null;
    if (moved && next !== segments) {
      const [added, then] = [index < 0, selected];
      change(next, then);
      player.tell(`${added ? "Added " : ""}${words(next[then])}`);
    } else {
      select(index);
      player.seek(player.timeAt(event));
    }
  });
  canvas.addEventListener("pointercancel", () => {
    drag = null; // the finger scrolls the page
    refresh();
  });
  canvas.addEventListener("dblclick", (event) => {
    const time = player.timeAt(event);
    if (at(time) < 0) addBetween(time, time + ADDED_S);
  });

  // --- numbers, labels, file

  numbers.forEach((input, i) => {
    input.onchange = () => {
      const value = input.valueAsNumber;
      if (segments[selected] && Number.isFinite(value)) move(["start", "end"][i], value - segments[selected][i], "number");
      else refresh();
    };
  });
  choice.onchange = () => rename(choice.value);
  download.onclick = () => {
    const text = segments.map(([start, end, text]) => `${start.toFixed(3)}\t${end.toFixed(3)}\t${text}\n`).join("");
    download.href = `data:text/plain;charset=utf-8,${encodeURIComponent(text)}`;
    download.download = `${[player.title, track.name].join(" ").replaceAll(/[^\p{L}\p{N}.-]+/gu, "_").slice(0, 80)}.txt`;
  };
  player.listen(audio, "ended", () => looping && loop(true));
  player.listen(audio, "seeking", () => {
    const [start, end] = shown()[selected] ?? [];
    if (!looping || (audio.currentTime >= start - 0.01 && audio.currentTime < end)) return;
    looping = false; // the reader went elsewhere
    refresh();
  });
  player.whenEdited(() => {
    const next = player.edits(track) ?? given;
    if (same(next, segments)) return; // this view has made the change
    past.push({ segments, selected });
    [segments, drag] = [next, null];
    refresh();
  });

  const row = {
    cell,
    height: 48,
    get segments() {
      return segments;
    },
    draw(view) {
      const { ctx, width, height, scale, x, ink } = view;
      const [top, tall] = [4 * scale, height - 8 * scale];
      shown().forEach(([start, end, text], i) => {
        const [left, right] = [Math.max(x(start), -6 * scale), Math.min(x(end), width + 6 * scale)];
        if (right < left) return;
        drawBox(view, text, labels.indexOf(text), left, top, Math.max(right - left, scale), tall);
        if (i !== selected) return;
        // What is selected has a thick rim, and at each edge a grip.
        Object.assign(ctx, { strokeStyle: ink("--d-ink"), fillStyle: ink("--d-ink"), lineWidth: 2 * scale });
        ctx.strokeRect(left, top, right - left, tall);
        for (const edge of [left, right]) ctx.fillRect(edge - 2.5 * scale, top + tall / 4, 5 * scale, tall / 2);
      });
      if (!shown().length) write(view, "Drag here to add a segment", 8 * scale, height / 2, ink("--d-soft"), ink("--d-paper"));
    },
    update(time) {
      const inside = at(time);
      say(now, inside < 0 ? "–" : segments[inside][2]);
      const looped = shown()[selected];
      if (looping && looped && !audio.paused && time >= looped[1]) audio.currentTime = looped[0];
    },
    spoken: (time) => segments[at(time)]?.[2],
  };
  player.editing ??= row;
  refresh();
  return row;
}

TRACKS.editable = editTrack;
