(() => {
"use strict";
const $ = (s, from = document) => from.querySelector(s), $$ = (s, from = document) => [...from.querySelectorAll(s)];
const data = JSON.parse($("#data").textContent);
const root = document.documentElement;

function make(tag, props = {}, ...kids) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) key in node ? node[key] = value : node.setAttribute(key, value);
  node.append(...kids);
  return node;
}
const SVG = make("template", {innerHTML: "<svg></svg>"}).content.firstChild.namespaceURI;
function draw(tag, props, ...kids) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...kids);
  return node;
}
const bdi = (text, props = {}) => make("bdi", props, text);
const button = (text, onclick, props = {}) => make("button", {type: "button", onclick, ...props}, text);
const count = n => n.toLocaleString("en");
const percent = share => share === null || share === undefined ? "" : (100 * share).toFixed(1) + "\u202f%";
const signed = n => n === 0 ? "0" : (n < 0 ? "\u2212" : "+") + count(Math.abs(n));
const press = (all, chosen) => { for (const b of all) b.setAttribute("aria-pressed", String(b === chosen)); };
const option = (value, text) => make("option", {value}, text);
const typing = target => target.closest("input, textarea, select");

/* Tables. */
for (const table of $$("table[data-sortable]")) {
  const heads = $$("thead th", table), body = table.tBodies[0];
  heads.forEach((head, k) => {
    const sorter = make("button", {type: "button"}, ...head.childNodes);
    head.replaceChildren(sorter);
    sorter.onclick = () => {
      const down = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && !head.classList.contains("num"));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const value = row => { const c = row.cells[k]; return c.dataset.v === undefined ? c.textContent : Number(c.dataset.v); };
      const order = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, undefined, {numeric: true});
      body.append(...[...body.rows].sort((a, b) => (down ? 1 : -1) * order(value(a), value(b))));
    };
  });
}
for (const input of $$("[data-filter]")) input.oninput = () => {
  for (const row of document.getElementById(input.dataset.filter).tBodies[0].rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(input.value.toLowerCase());
};

/* What scrolls can be reached by keyboard, once it does scroll. */
const scrolls = new ResizeObserver(entries => { for (const {target: box} of entries) {
  const more = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
  more && !$("a[href], button, input", box) ? box.tabIndex = 0 : box.removeAttribute("tabindex");
} });
for (const box of $$(".scroll")) scrolls.observe(box);

/* Two runs side by side, on the list of all runs. */
function compareRuns() {
  const picks = $$("#compare select"), out = $("#compared");
  const show = () => {
    const [a, b] = picks.map(pick => data.runs[Number(pick.value)]);
    out.hidden = false;
    const cell = (run, line, other) => make("td", {className: "num", "data-l": run.run_id}, line ? line.text : "\u2013", ...(line && other && line.value !== null && other.value !== null && line !== other
      ? [make("small", {}, signed1(100 * (line.value - other.value)) + " points")] : []));
    const names = [...new Set([...a.lines, ...b.lines].map(line => line.name))];
    const rows = names.map(name => {
      const [x, y] = [a, b].map(run => run.lines.find(line => line.name === name));
      return make("tr", {}, make("th", {scope: "row"}, bdi(name)), cell(a, x), cell(b, y, x));
    });
    const head = make("tr", {}, make("th", {scope: "col"}, ""), ...[a, b].map(run => make("th", {scope: "col", className: "num"}, bdi(run.run_id))));
    head.firstChild.append(make("span", {className: "sr"}, "What"));
    out.replaceChildren(make("table", {className: "list fold"}, make("thead", {}, head), make("tbody", {}, ...rows)));
  };
  const signed1 = n => (Math.abs(n) < .05 ? "" : n < 0 ? "\u2212" : "+") + Math.abs(n).toFixed(1);
  for (const pick of picks) pick.onchange = show;
  const fold = $("#compare").closest("details");
  fold.ontoggle = () => { if (fold.open) show(); };
}
if (data.kind) { root.classList.add("on"); if (data.runs?.length > 1) compareRuns(); return; }

const {classes, images, columns} = data;
const at = Object.fromEntries(columns.map((name, k) => [name, k]));
const get = (p, column) => images[p][at[column]];
const named = k => k < 0 ? "" : classes[k];
const everyone = images.map((_, p) => p), judged = everyone.filter(p => get(p, "before") >= 0);

/* Each image is stored once: in the markup where it is seen at once, else in the data. */
const webp = code => "data:image/webp;base64," + code;
const sources = data.thumbs.map(code => code && webp(code));
for (const img of $$("img[data-p][src]")) sources[img.dataset.p] = img.src;
for (const img of $$("img[data-p]:not([src])")) if (sources[img.dataset.p]) img.src = sources[img.dataset.p];

function words(p) {
  const [label, before, after] = ["label", "before", "after"].map(c => named(get(p, c)));
  if (!before || (label === before && before === after)) return [bdi(label)];
  if (before === after || !data.changed) return [bdi(label), " → ", bdi(before)];
  return [bdi(label), ": ", bdi(before), " → ", bdi(after)];
}
const plain = p => words(p).map(part => part.textContent ?? part).join("");
function answers(p) {
  const lines = (data.changed ? ["before", "after"] : ["before"]).map((when, k) => {
    const said = get(p, when), right = said === get(p, "label"), share = get(p, "top")[k]?.[1];
    return make("span", {className: "said"}, (data.changed ? when : "says") + " ", share === undefined ? "" : Math.round(share / 10) + "\u202f% ", make("span", {className: right ? "ok" : "no"}, right ? "✓ " : "✕ "), bdi(named(said)));
  });
  return [bdi(named(get(p, "label"))), ...lines];
}
function card(p, caption = words) {
  const opener = make("button", {type: "button", className: sources[p] ? "pic" : "tile", "data-open": p});
  opener.append(sources[p] ? make("img", {src: sources[p], alt: plain(p), loading: "lazy", width: 96, height: 96}) : get(p, "path"));
  return make("figure", {}, opener, make("figcaption", {title: plain(p)}, ...caption(p)));
}

/* Cards, a portion at a time. */
const PORTION = 120;
function portions(list, caption) {
  const cards = make("div", {className: caption ? "cards told" : "cards"}), more = button("", () => next());
  let shown = 0;
  const next = () => {
    cards.append(...list.slice(shown, shown += PORTION).map(p => card(p, caption)));
    more.hidden = shown >= list.length;
    more.textContent = "Show more, " + count(Math.max(0, list.length - shown)) + " left";
  };
  next();
  return [cards, more];
}
const matches = (p, text) => (plain(p) + " " + get(p, "path")).toLowerCase().includes(text.toLowerCase());
const beside = href => make("a", {href, download: ""}, href);
const showing = (list, total) => total > list.length ? ["Showing " + count(list.length) + " of " + count(total) + ". All are in ", beside("images.parquet"), ", the misread ones in ", beside("failures.csv"), ". "] : [];

/* A drawer of images: built when opened. */
function fill(drawer, title, list, {total = list.length, caption, close, say = ""}) {
  const tools = make("p", {className: "aside"}, say, ...showing(list, total), list.length ? "" : "No images here."), box = make("div", {}, ...portions(list, caption));
  if (list.length > 24) {
    const input = make("input", {type: "search", autocomplete: "off", oninput: () => box.replaceChildren(...portions(list.filter(p => matches(p, input.value)), caption))});
    tools.append(make("label", {className: "find"}, "Filter by class or path", input));
  }
  drawer.replaceChildren(make("header", {}, make("h3", {}, ...title), button("Close", close)), tools, box);
  drawer.hidden = false;
}

/* Matrices. A cell is known by its two class numbers; "other" stands for all classes that are not shown. */
const OTHER = "other", drawer = $("#cell"), box = $("#matrices");
let keys = data.shown.length < classes.length ? [...data.shown, OTHER] : data.shown, opened = null, opener = null;
const label = key => key === OTHER ? "(other)" : classes[key];
const keyOf = text => text === OTHER ? OTHER : Number(text);
const bucket = k => keys.includes(k) ? k : OTHER;

function inCell(view, i, j) {
  const is = (p, column) => bucket(get(p, "label")) === i && bucket(get(p, column)) === j;
  return judged.filter(p => view === "change" ? is(p, "before") !== is(p, "after") : is(p, view));
}
function closeCell() {
  if (!opened) return;
  drawer.hidden = true;
  if (opener?.isConnected) { opener.setAttribute("aria-expanded", "false"); opener.focus(); }
  opened = opener = null;
  history.replaceState(null, "", "#confusion");
}
function openCell(view, i, j, focus = true) {
  const from = $(`table[data-view=${view}] [data-cell="${i},${j}"]`), list = inCell(view, i, j);
  opener?.setAttribute("aria-expanded", "false");
  [opened, opener] = [[view, i, j], from];
  from?.setAttribute("aria-expanded", "true");
  const when = view === "change" ? ", images that came or went" : view === "after" ? ", after" : data.changed ? ", before" : "";
  const title = i === j && i !== OTHER ? [bdi(label(i)), " recognized" + when] : [bdi(label(i)), " taken for ", bdi(label(j)), when];
  const kinds = ["fixed", "broken", "still wrong", "still right"].map(kind => [kind, list.filter(p => get(p, "change") === kind).length]).filter(pair => pair[1]);
  const say = data.changed && list.length ? kinds.map(([kind, n]) => count(n) + " " + kind).join(", ") + ". " : "";
  fill(drawer, title, list, {total: Number(from?.dataset.total ?? list.length), caption: answers, close: closeCell, say});
  history.replaceState(null, "", "#cell=" + i + "," + j + (view === "before" ? "" : "," + view));
  if (focus) { drawer.focus({preventScroll: true}); drawer.scrollIntoView({block: "nearest"}); }
}
function follow() {
  const wanted = /^#cell=(\d+|other),(\d+|other)(?:,(before|after|change))?$/.exec(location.hash);
  if (!wanted || !drawer) return;
  const [i, j] = [keyOf(wanted[1]), keyOf(wanted[2])], view = wanted[3] ?? "before";
  if ([i, j].some(k => k !== OTHER && !(k < classes.length)) || !$(`table[data-view=${view}]`)) return;
  const there = [i, j].every(k => keys.includes(k));
  if (!there && !data.counts.length) return;
  if (!there) redraw([...new Set([i, j, ...data.shown])].filter(k => k !== OTHER).sort((a, b) => a - b));
  openCell(view, i, j);
}
if (box) {
  box.addEventListener("click", event => {
    const cell = event.target.closest(".cell");
    if (cell) openCell(cell.closest("table").dataset.view, ...cell.dataset.cell.split(",").map(keyOf));
  });
  box.addEventListener("keydown", event => {
    const cell = event.target.closest(".cell"), step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!cell || !(step || event.key === "Home" || event.key === "End")) return;
    const rows = cell.closest("tbody").rows, [dy, dx] = step ?? [0, event.key === "Home" ? 1 : -1];
    let y = cell.closest("tr").rowIndex - 1 + dy, x = step ? cell.parentElement.cellIndex + dx : event.key === "Home" ? 1 : rows[0].cells.length - 1, to = null;
    for (; rows[y] && x > 0 && rows[y].cells[x] && !(to = $("button", rows[y].cells[x])); y += dy, x += dx);
    event.preventDefault();
    if (!to) return;
    cell.tabIndex = -1; to.tabIndex = 0; to.focus();
  });
  for (const unit of $$("[data-unit]")) unit.onclick = () => { box.classList.toggle("pct", unit.dataset.unit === "p"); press($$("[data-unit]"), unit); };
}

/* Many classes: other selections of them, and the whole matrix, are drawn here. */
const tone = (good, n, strength, steps, mixed) => !n ? "zero" : mixed ? "mixed" : (good ? "right" : "wrong") + (1 + steps.filter(s => strength >= s).length);
function tabulate(view) {
  const place = new Map(keys.map((k, i) => [k, i])), spot = k => place.get(k) ?? place.get(OTHER), size = keys.length;
  const cells = new Map(), totals = Array(size).fill(0);
  for (const [i, j, before, after] of data.counts) {
    const [y, x] = [spot(i), spot(j)];
    if (y === undefined || x === undefined) continue;
    const sum = cells.get(y * size + x) ?? [0, 0];
    cells.set(y * size + x, [sum[0] + before, sum[1] + after]);
    totals[y] += before;
  }
  const heading = (scope, k) => make("th", {scope, title: label(k)}, make("span", {}, bdi(label(k))));
  const body = make("tbody");
  let first = true;
  for (let y = 0; y < size; y++) {
    const row = make("tr", {}, heading("row", keys[y]));
    for (let x = 0; x < size; x++) {
      const sum = cells.get(y * size + x), td = document.createElement("td");
      row.append(td);
      if (!sum) continue;
      const [before, after] = sum, change = view === "change", n = change ? after - before : view === "after" ? after : before;
      const share = totals[y] ? n / totals[y] : 0, mixed = keys[y] === OTHER && y === x, steps = change ? [.02, .06, .15] : y === x ? [.5, .75, .9] : [.03, .1, .25];
      const total = change ? inCell("change", keys[y], keys[x]).length : n;
      if (!n && !total) continue;
      td.append(make("button", {type: "button", className: "cell " + tone(change ? (n > 0) === (y === x) : y === x, n, Math.abs(share), steps, mixed), "data-cell": keys[y] + "," + keys[x], "data-total": total, tabIndex: first ? 0 : -1},
        make("span", {className: "n"}, change ? signed(n) : count(n)), make("span", {className: "p"}, change ? (n < 0 ? "\u2212" : n ? "+" : "") + (100 * Math.abs(share)).toFixed(1) : (100 * share).toFixed(1))));
      first = false;
    }
    body.append(row);
  }
  const corner = make("th", {className: "corner", scope: "col"}, make("span", {className: "sr"}, "true class, then predicted class"), make("span", {ariaHidden: "true"}, "said →", make("br"), "is ↓"));
  return [make("thead", {}, make("tr", {}, corner, ...keys.map(k => heading("col", k)))), body];
}
function redraw(chosen) {
  closeCell();
  keys = chosen.length < classes.length ? [...chosen, OTHER] : chosen;
  const whole = keys.length > 60, views = $$("table[data-view]", box);
  box.classList.toggle("whole", keys.length > 30);
  for (const table of views) {
    const shown = !whole || table.dataset.view === viewed;
    table.closest("figure").hidden = !shown;
    shown ? table.replaceChildren(...tabulate(table.dataset.view)) : table.replaceChildren();
  }
  const pick = $("#views");
  if (pick) pick.hidden = !whole;
}
let viewed = "before";
if ($("#whole")) {
  const input = $("#find-class"), whole = $("#whole"), counts = data.counts, text = whole.textContent;
  const partners = i => counts.filter(c => (c[0] === i) !== (c[1] === i)).sort((a, b) => Math.max(b[2], b[3]) - Math.max(a[2], a[3])).slice(0, 3).map(c => c[0] === i ? c[1] : c[0]);
  const sorted = list => [...new Set(list)].sort((a, b) => a - b);
  let waiting = 0;
  input.oninput = () => { clearTimeout(waiting); waiting = setTimeout(() => {
    const wanted = input.value.trim().toLowerCase(), found = classes.map((_, k) => k).filter(k => wanted && classes[k].toLowerCase().includes(wanted)).slice(0, 12);
    whole.setAttribute("aria-pressed", "false"); whole.textContent = text;
    $("#found-class").textContent = !wanted ? "" : found.length ? count(found.length) + " found, with the classes they are confused with" : "No class has that in its name";
    redraw(found.length ? sorted([...found, ...found.flatMap(partners)]) : data.shown);
  }, 120); };
  whole.onclick = () => {
    const all = whole.getAttribute("aria-pressed") !== "true";
    whole.setAttribute("aria-pressed", String(all));
    whole.textContent = all ? "Show the most confused" : text;
    redraw(all ? classes.map((_, k) => k) : data.shown);
  };
  for (const view of $$("#views button")) view.onclick = () => { viewed = view.dataset.show; press($$("#views button"), view); redraw(classes.map((_, k) => k)); };
}

/* Night images are dark: all of one place at once, as bright as the viewer makes one. */
for (const lamp of $$("[data-lamp]")) lamp.onclick = () => { lamp.textContent = lamp.closest(".slice, .kind").classList.toggle("lamp") ? "As they are" : "Brighten"; };

/* Galleries of slices. */
const members = new Map(data.slices.map(s => [s.slice, s]));
for (const more of $$("[data-gallery]")) {
  const slice = members.get(more.dataset.gallery), place = more.parentElement.nextElementSibling;
  const shut = () => { place.hidden = true; more.setAttribute("aria-expanded", "false"); more.focus(); };
  more.onclick = () => {
    if (!place.hidden) return shut();
    more.setAttribute("aria-expanded", "true");
    fill(place, ["All images of this slice"], slice.images, {total: slice.n, close: shut});
  };
  place.addEventListener("keydown", event => { if (event.key === "Escape") shut(); });
}

/* Every image, by filter. */
const browser = $("#browse");
let browse = () => {};
if (browser) {
  const pick = (name, ...options) => [name, make("select", {onchange: () => show()}, option("", "any"), ...options)];
  const change = pick("Change", ...Object.keys(data.totals).sort().map(k => option(k, k)));
  const seen = column => [...new Set(judged.map(p => get(p, column)))].sort((a, b) => a - b).map(k => option(k, classes[k]));
  const input = make("input", {type: "search", autocomplete: "off", oninput: () => show()});
  const out = make("div"), said = make("p", {className: "aside", role: "status"});
  let picks = null;
  const build = () => {
    const slice = pick("Slice", ...data.slices.map((s, k) => option(k, s.title.slice(0, 60))));
    picks = [...(data.changed ? [change] : []), pick("True class", ...seen("label")), pick(data.changed ? "Before" : "Model says", ...seen("before")), ...(data.changed ? [pick("After", ...seen("after"))] : []), ...(data.slices.length ? [slice] : [])];
    browser.replaceChildren(make("div", {className: "filters"}, ...picks.map(([name, select]) => make("label", {}, name, select)), make("label", {}, "Class or path", input)), said, out);
    browser.hidden = false;
  };
  const show = () => {
    const value = name => picks.find(pick => pick[0] === name)?.[1].value ?? "";
    const is = (p, column, name) => !value(name) || get(p, column) === Number(value(name));
    const slice = value("Slice") && data.slices[value("Slice")].images;
    const list = judged.filter(p => (!value("Change") || get(p, "change") === value("Change")) && is(p, "label", "True class") && is(p, "before", data.changed ? "Before" : "Model says")
      && is(p, "after", "After") && (!slice || slice.includes(p)) && matches(p, input.value));
    const alone = !input.value && picks.every(([name, select]) => name === "Change" || !select.value);
    const total = !alone ? list.length : value("Change") ? data.totals[value("Change")] : Object.values(data.totals).reduce((a, b) => a + b, 0);
    const part = showing(list, total);
    said.replaceChildren(...(part.length ? part : [count(list.length) + (list.length === 1 ? " image. " : " images. ")]), alone ? "" : "Of those that this page carries.");
    out.replaceChildren(...portions(list, answers));
  };
  browse = (kind, focus) => {
    if (!picks) build();
    if (kind !== undefined) change[1].value = kind;
    show();
    if (focus === "search") input.focus();
    if (focus === "list") { change[1].isConnected ? change[1].focus() : input.focus(); }
  };
  for (const more of $$("[data-browse]")) more.onclick = () => { browse(more.dataset.browse, "list"); browser.scrollIntoView({block: "nearest"}); };
}

/* What a reviewer decides: kept in this browser, saved as a file. */
const shelf = "nightshift review " + data.run;
let kept = {slices: {}, labels: {}};
try { kept = {...kept, ...JSON.parse(localStorage.getItem(shelf))}; } catch { /* no storage, or not ours: begin anew */ }
const before = {slices: data.reviews.slices ?? {}, labels: data.reviews.labels ?? {}};
const decided = (kind, key) => kept[kind][key] ?? before[kind][key] ?? {};
function decide(kind, key, fixed, change) {
  kept[kind][key] = {decision: "", note: "", ...decided(kind, key), ...fixed, ...change};
  try { localStorage.setItem(shelf, JSON.stringify(kept)); } catch { /* it stays until the page is left */ }
  list();
}
function choices(kind, key, fixed, options) {
  const buttons = options.map(([value, text]) => button(text, () => {
    const now = decided(kind, key).decision === value ? "" : value;
    decide(kind, key, fixed(), {decision: now});
    press(buttons, now ? buttons[options.findIndex(o => o[0] === now)] : null);
    note.dispatchEvent(new Event("decided"));
  }));
  press(buttons, buttons[options.findIndex(o => o[0] === decided(kind, key).decision)]);
  const note = make("input", {type: "text", maxLength: 2000, autocomplete: "off", value: decided(kind, key).note ?? "", onchange: () => decide(kind, key, fixed(), {note: note.value})});
  return [buttons, note];
}
for (const panel of $$("[data-review]")) {
  const slice = members.get(panel.dataset.review), [buttons, note] = choices("slices", slice.key, () => ({key: slice.key, words: slice.title.slice(0, 2000)}), [["accepted", "Accept"], ["muted", "Mute"]]);
  panel.append(make("span", {className: "segments", role: "group", "aria-label": "Decision on this slice"}, ...buttons), make("label", {className: "find"}, "Note", note));
}
function labelPanel(p) {
  const key = get(p, "id"), fixed = () => ({image_id: key, path: get(p, "path"), label: named(get(p, "label"))});
  const [buttons, note] = choices("labels", key, fixed, [["wrong", "Label is wrong"], ["right", "Label is right"]]);
  const pick = make("select", {onchange: () => decide("labels", key, fixed(), {suggested: pick.value})}, option("", "not known"), ...classes.filter((_, k) => k !== get(p, "label")).map(name => option(name, name)));
  pick.value = decided("labels", key).suggested ?? "";
  const right = make("label", {className: "find"}, "It is", pick);
  const update = () => right.hidden = decided("labels", key).decision !== "wrong";
  note.addEventListener("decided", update);
  update();
  return make("div", {className: "judge"}, make("span", {className: "segments", role: "group", "aria-label": "Decision on this label"}, ...buttons), right, make("label", {className: "find"}, "Note", note));
}
const reviews = $("#review-list");
function list() {
  if (!reviews) return;
  const rows = ["slices", "labels"].flatMap(kind => Object.values(kept[kind]).filter(d => d.decision || d.note || before[kind][d.key ?? d.image_id]).map(d => [kind, d]));
  const line = ([kind, d]) => make("tr", {}, make("td", {}, kind === "slices" ? "Slice" : "Label"), make("th", {scope: "row"}, bdi(kind === "slices" ? d.words : d.path)),
    make("td", {}, d.decision || (d.note ? "noted" : "taken back"), ...(d.suggested ? [", it is ", bdi(d.suggested)] : [])), make("td", {}, bdi(d.note ?? "")));
  const head = make("tr", {}, ...["Of", "What", "Decision", "Note"].map(text => make("th", {scope: "col"}, text)));
  const save = button("Save as a file", () => {
    const file = {review: 1, run_id: data.run, slices: Object.values(kept.slices), labels: Object.values(kept.labels)};
    const link = make("a", {href: URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], {type: "application/json"})), download: "review-" + data.run + ".json"});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  const anew = button("Take all back", () => { kept = {slices: {}, labels: {}}; try { localStorage.removeItem(shelf); } catch { /* nothing was kept */ } list(); });
  reviews.replaceChildren(...(rows.length ? [make("div", {className: "scroll"}, make("table", {className: "list"}, make("thead", {}, head), make("tbody", {}, ...rows.map(line)))), make("p", {className: "tools"}, save, anew)]
    : [make("p", {className: "aside"}, "Nothing was decided in this browser yet.")]));
}
list();

/* The viewer. */
const viewer = $("#viewer");
let row = [], here = 0, from = null, lit = false, heat = "";
function facts(p) {
  const rows = [["True class", named(get(p, "label"))]];
  if (get(p, "before") >= 0) {
    rows.push([data.changed ? "Before" : "Model says", named(get(p, "before")), "true class at " + percent(get(p, "p_before"))]);
    if (data.changed) rows.push(["Control", named(get(p, "control"))], ["After", named(get(p, "after")), "true class at " + percent(get(p, "p_after"))], ["Change", get(p, "change")]);
  }
  const where = data.slices.filter(s => s.images.includes(p)).map(s => s.title);
  if (where.length) rows.push(["Slice", where.join("; ")]);
  rows.push(["Taken", get(p, "taken")], ["Group", get(p, "group")], ["Split", get(p, "split")]);
  data.attributes.forEach((name, k) => { const v = get(p, "values")[k]; if (v !== null) rows.push([name, String(v).replace("-", "\u2212")]); });
  return rows.filter(fact => fact[1]);
}
function ranking(p) {
  return get(p, "top").slice(0, data.changed ? 2 : 1).map((top, k) => {
    const rows = [];
    for (let i = 0; i < top.length; i += 2) {
      const share = top[i + 1] / 1000, bar = draw("svg", {viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true"}, draw("rect", {width: 100 * share, height: 8}));
      rows.push(make("tr", {className: top[i] === get(p, "label") ? "true" : ""}, make("th", {scope: "row"}, bdi(classes[top[i]])), make("td", {}, bar), make("td", {className: "num"}, percent(share))));
    }
    return make("table", {className: "top3"}, make("caption", {}, data.changed ? ["Likeliest before", "Likeliest after"][k] : "Likeliest"), make("tbody", {}, ...rows));
  });
}
function copy(path, copier) {
  const done = () => { copier.textContent = "Copied"; };
  const select = () => { getSelection().selectAllChildren($(".full", viewer)); copier.textContent = "Press Ctrl+C"; };
  navigator.clipboard ? navigator.clipboard.writeText(path).then(done, select) : select();
}
function look(index) {
  here = (index + row.length) % row.length;
  const p = row[here], path = get(p, "path"), maps = data.heat[p];
  const again = change => () => { const name = document.activeElement.dataset.k; change(); look(here); $(`[data-k="${name}"]`, viewer)?.focus(); };
  const copier = button("Copy path", () => copy(path, copier), {"data-k": "copy"});
  const lamp = button("Brighten", again(() => { lit = !lit; }), {"aria-pressed": String(lit), "data-k": "lamp"});
  const table = make("dl", {className: "facts"});
  for (const [name, value, more] of facts(p)) table.append(make("dt", {}, name), make("dd", {}, bdi(value), ...(more ? [make("div", {className: "ci"}, more)] : [])));
  table.append(make("dt", {}, "Path"), make("dd", {}, make("bdi", {className: "full"}, path)));
  const looks = ["", "before", ...(data.changed ? ["after"] : [])].map(when => button(when ? "Heat" + (data.changed ? " " + when : "") : "Image", again(() => { heat = when; }), {"aria-pressed": String(heat === when), "data-k": "heat" + when}));
  const bar = make("div", {className: "bar"}, button("Previous", again(() => { here--; }), {"data-k": "prev"}), button("Next", again(() => { here++; }), {"data-k": "next"}),
    ...(sources[p] ? [lamp] : []), copier, make("span", {}, ""), button("Close", () => viewer.close(), {"data-k": "close"}));
  const frame = make("div", {className: lit ? "frame lit" : "frame"});
  if (sources[p]) frame.append(make("img", {src: sources[p], alt: plain(p)}));
  if (sources[p] && maps && heat) frame.append(make("img", {className: "heat", src: webp(maps[heat === "after" ? 1 : 0]), alt: "Heat map: what spoke for the model’s answer " + heat}));
  const left = make("div", {}, frame, ...(maps && sources[p] ? [make("div", {className: "segments", role: "group", "aria-label": "Where the model looks"}, ...looks)] : []), ...ranking(p));
  if (!maps && Object.keys(data.heat).length) left.append(make("p", {className: "ci"}, "Where the model looks was not computed for this image."));
  viewer.replaceChildren(make("h3", {tabIndex: -1, autofocus: true}, (here + 1) + " of " + row.length), make("div", {className: "view"}, left, make("div", {}, table, labelPanel(p))), bar);
}
function open(list, index, opener) {
  [row, from] = [list, opener];
  look(index);
  viewer.showModal();
}
document.addEventListener("click", event => {
  const opener = event.target.closest("[data-open]");
  if (!opener) return;
  const all = $$("[data-open]", opener.closest(".sheet,.pairs,.cards,.strip") ?? document);
  open(all.map(other => Number(other.dataset.open)), all.indexOf(opener), opener);
});
viewer.addEventListener("close", () => from?.focus());
for (const dialog of $$("dialog")) dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
viewer.addEventListener("keydown", event => {
  if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = {ArrowLeft: "prev", ArrowRight: "next", b: "lamp", c: "copy"}[event.key];
  const now = $$("[data-k^=heat]", viewer), s = event.key === "s" && now[(now.findIndex(b => b.getAttribute("aria-pressed") === "true") + 1) % now.length];
  const wanted = s || (key && $(`[data-k=${key}]`, viewer));
  if (wanted) { event.preventDefault(); wanted.focus(); wanted.click(); }
});

/* The map: drawn when it comes into view. */
const MARKS = ["", "M-6 5L0 -6L6 5z", "M-5 -5H5V5H-5z", "M0 -7L7 0L0 7L-7 0z", "M-6 -5L0 6L6 -5z", "M-6 -2H-2V-6H2V-2H6V2H2V6H-2V2H-6z", "M-6 -6L0 -2L6 -6L2 0L6 6L0 2L-6 6L-2 0z"];
for (const mark of $$("[data-mark]")) { mark.setAttribute("d", MARKS[mark.dataset.mark]); mark.setAttribute("transform", "translate(10 10)"); }
const map = $("#map");
function chart() {
  const spots = data.map.map(([x, y, slice, bad, p, ...near]) => ({ways: [[x, y], near], slice, bad, p}));
  const ring = draw("circle", {r: 11, class: "ring"}), said = $("#map-said");
  const svg = draw("svg", {viewBox: "0 0 1000 600", "aria-hidden": "true"});
  let shown = [], now = null;
  for (const s of [...spots].sort((a, b) => a.slice - b.slice || a.bad - b.bad)) {
    const mark = (s.slice ? "m" + s.slice : "") + (s.bad ? " bad" : "");
    s.dot = s.slice ? draw("path", {class: "dot " + mark, d: MARKS[s.slice]}) : draw("circle", {class: "dot" + mark, r: 4});
    svg.append(s.dot);
  }
  const lay = way => {
    for (const s of spots) {
      const at = s.ways[way];
      s.dot.toggleAttribute("hidden", !at.length);
      if (!at.length) continue;
      [s.x, s.y] = [15 + at[0] * .97, 12 + at[1] * .576];
      s.dot.setAttribute("transform", `translate(${s.x.toFixed(1)} ${s.y.toFixed(1)})`);
    }
    shown = spots.filter(s => s.p >= 0 && s.ways[way].length);
    now = null; said.textContent = ""; ring.setAttribute("cx", -99); ring.setAttribute("cy", -99);
  };
  lay(0);
  for (const way of $$("[data-map]")) way.onclick = () => { lay(Number(way.dataset.map)); press($$("[data-map]"), way); };
  svg.append(ring);
  map.append(svg);
  const far = (a, b) => (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
  const choose = s => {
    now = s;
    ring.setAttribute("cx", s.x); ring.setAttribute("cy", s.y);
    said.textContent = "Chosen: " + plain(s.p) + ", " + get(s.p, "path") + (s.slice ? ", of “" + data.slices[s.slice - 1].title + "”" : "");
  };
  const near = (spot, n) => [...shown].sort((a, b) => far(a, spot) - far(b, spot)).slice(0, n);
  const enter = () => open(near(now, 48).map(s => s.p), 0, map);
  svg.addEventListener("click", event => {
    const frame = svg.getBoundingClientRect(), spot = {x: (event.clientX - frame.x) / frame.width * 1000, y: (event.clientY - frame.y) / frame.height * 600};
    if (shown.length && far(near(spot, 1)[0], spot) < 900) { choose(near(spot, 1)[0]); enter(); }
  });
  map.addEventListener("keydown", event => {
    const step = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0]}[event.key];
    if (event.key === "Enter" && now) { event.preventDefault(); enter(); }
    if (!step || !shown.length) return;
    event.preventDefault();
    if (!now) return choose(near({x: 500, y: 300}, 1)[0]);
    const ahead = shown.map(s => [s, (s.x - now.x) * step[0] + (s.y - now.y) * step[1]]).filter(([s, along]) => along > .5 && far(s, now) < 4 * along * along);
    if (ahead.length) choose(ahead.reduce((a, b) => far(b[0], now) < far(a[0], now) ? b : a)[0]);
  });
}
if (map) new IntersectionObserver((entries, watch) => { if (entries.some(e => e.isIntersecting)) { watch.disconnect(); chart(); } }, {rootMargin: "600px"}).observe(map);

/* Keys of the whole page. */
const help = $("#help");
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !$("dialog[open]") && opened && (drawer.contains(event.target) || event.target.closest(".cell"))) closeCell();
  if (typing(event.target) || $("dialog[open]")) return;
  if (event.key === "/" && browser) { event.preventDefault(); browser.scrollIntoView({block: "nearest"}); browse(undefined, "search"); }
  if (event.key === "?") { event.preventDefault(); help.showModal(); }
});
$("#help-open").onclick = () => help.showModal();
$("button", help).onclick = () => help.close();

/* Where we are. */
const links = new Map($$(".toc a").map(a => [a.hash.slice(1), a])), toc = $(".toc");
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) for (const [id, link] of links) {
    id === entry.target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
    if (id === entry.target.id) toc.scrollTo({left: link.offsetLeft - 60});
  }
}, {rootMargin: "-15% 0px -75% 0px"});
for (const part of $$(".part")) seen.observe(part);
addEventListener("hashchange", follow);
root.classList.add("on");

/* Sections out of sight are laid out when there is nothing else to do, or at once when somebody goes there. */
const unseen = $$(".part"), later = window.requestIdleCallback ?? setTimeout;
const unveil = n => { for (const part of unseen.splice(0, n)) part.classList.add("seen"); if (unseen.length) later(() => unveil(1)); };
document.addEventListener("click", event => { if (event.target.closest("a[href^='#']")) unveil(99); }, true);
document.addEventListener("keydown", () => unveil(99), {capture: true, once: true});
unveil(location.hash ? 99 : 1);
follow();
})();
