(() => {
"use strict";
const $ = (s, from = document) => from.querySelector(s), $$ = (s, from = document) => [...from.querySelectorAll(s)];
const data = JSON.parse($("#data").textContent), {classes, photos, columns} = data;
const at = Object.fromEntries(columns.map((name, k) => [name, k]));
const get = (p, column) => photos[p][at[column]];
const named = k => k < 0 ? "" : classes[k];

function make(tag, props = {}, ...kids) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) key in node ? node[key] = value : node.setAttribute(key, value);
  node.append(...kids);
  return node;
}
const bdi = text => make("bdi", {}, text);
const percent = share => share === null ? "" : (100 * share).toFixed(1) + "\u202f%";

/* Each photo is stored once: in the markup where it is seen at once, else in the data. */
const sources = data.thumbs.map(code => code && "data:image/webp;base64," + code);
for (const img of $$("img[data-p][src]")) sources[img.dataset.p] = img.src;
for (const img of $$("img[data-p]:not([src])")) if (sources[img.dataset.p]) img.src = sources[img.dataset.p];

function words(p) {
  const [label, before, after] = ["label", "before", "after"].map(c => named(get(p, c)));
  if (!before) return [bdi(label)];
  if (label === before && before === after) return [bdi(label)];
  if (before === after || !data.changed) return [bdi(label), " → ", bdi(before)];
  return [bdi(label), ": ", bdi(before), " → ", bdi(after)];
}
const plain = p => words(p).map(part => part.textContent ?? part).join("");

function card(p) {
  const button = make("button", {type: "button", className: sources[p] ? "pic" : "tile", "data-open": p});
  button.append(sources[p] ? make("img", {src: sources[p], alt: plain(p), loading: "lazy", width: 96, height: 96}) : get(p, "path"));
  return make("figure", {}, button, make("figcaption", {title: plain(p)}, ...words(p)));
}

/* A drawer of photos: built when opened, a portion at a time. */
const PORTION = 120;
function fill(drawer, title, list, total, close) {
  const cards = make("div", {className: "cards"}), more = make("button", {type: "button"});
  let chosen = list, shown = 0;
  const next = () => {
    cards.append(...chosen.slice(shown, shown += PORTION).map(card));
    more.hidden = shown >= chosen.length;
    more.textContent = "Show more, " + Math.max(0, chosen.length - shown).toLocaleString("en") + " left";
  };
  const part = total > list.length ? "Showing " + list.length.toLocaleString("en") + " of " + total.toLocaleString("en") + ". " : "";
  const head = make("header", {}, make("h3", {}, ...title), make("button", {type: "button", onclick: close}, "Close"));
  const tools = make("p", {className: "aside"}, part + (list.length ? "" : "No photos here."));
  if (list.length > 24) {
    const input = make("input", {type: "search", autocomplete: "off", oninput: () => {
      const wanted = input.value.toLowerCase();
      chosen = list.filter(p => (plain(p) + " " + get(p, "path")).toLowerCase().includes(wanted));
      shown = 0; cards.replaceChildren(); next();
    }});
    tools.append(make("label", {className: "find"}, "Filter by class or path", input));
  }
  more.onclick = next;
  drawer.replaceChildren(head, tools, cards, more);
  drawer.hidden = false;
  next();
}

/* Matrices. */
const shown = data.shown, place = new Map(shown.map((k, i) => [k, i])), bucket = k => place.get(k) ?? shown.length;
const label = i => i < shown.length ? classes[shown[i]] : "(other)";
const drawer = $("#cell");
let open = null;

function inCell(view, i, j) {
  const is = (p, column) => bucket(get(p, "label")) === i && bucket(get(p, column)) === j;
  return photos.map((_, p) => p).filter(p => get(p, "before") >= 0 && (
    view === "change" ? is(p, "before") !== is(p, "after") : is(p, view)));
}
function closeCell() {
  if (!open) return;
  drawer.hidden = true;
  open.setAttribute("aria-expanded", "false");
  open.focus();
  open = null;
  history.replaceState(null, "", "#confusion");
}
function openCell(button, focus) {
  const view = button.closest("table").dataset.view, [i, j] = button.dataset.cell.split(",").map(Number);
  if (open) open.setAttribute("aria-expanded", "false");
  open = button;
  open.setAttribute("aria-expanded", "true");
  const list = inCell(view, i, j);
  const when = view === "change" ? ", photos that came or went" : view === "after" ? ", after" : data.changed ? ", before" : "";
  const title = i === j ? [bdi(label(i)), " recognised" + when] : [bdi(label(i)), " taken for ", bdi(label(j)), when];
  fill(drawer, title, list, Number(button.dataset.total), closeCell);
  history.replaceState(null, "", "#cell=" + view + ":" + i + "," + j);
  if (focus) { drawer.focus({preventScroll: true}); drawer.scrollIntoView({block: "nearest"}); }
}
for (const table of $$("table[data-view]")) {
  const cells = $$("tbody tr", table).map(row => $$("button", row));
  table.addEventListener("click", event => { const cell = event.target.closest(".cell"); if (cell) openCell(cell, true); });
  table.addEventListener("keydown", event => {
    const cell = event.target.closest(".cell"), step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!cell) return;
    const [i, j] = cell.dataset.cell.split(",").map(Number), last = cells.length - 1;
    const to = step ? cells[i + step[0]]?.[j + step[1]] : event.key === "Home" ? cells[i][0] : event.key === "End" ? cells[i][last] : null;
    if (!to) return;
    event.preventDefault();
    cell.tabIndex = -1; to.tabIndex = 0; to.focus();
  });
}
for (const button of $$("[data-unit]")) button.onclick = () => {
  $("#matrices").classList.toggle("pct", button.dataset.unit === "p");
  for (const other of $$("[data-unit]")) other.setAttribute("aria-pressed", String(other === button));
};
const wanted = /^#cell=(before|after|change):(\d+),(\d+)$/.exec(location.hash);
const cell = wanted && $(`table[data-view=${wanted[1]}] [data-cell="${wanted[2]},${wanted[3]}"]`);
if (cell) openCell(cell, true);

/* Galleries. */
const members = new Map(data.slices.map(s => [s.slice, s]));
for (const button of $$("[data-gallery]")) {
  const [kind, ...rest] = button.dataset.gallery.split(":"), key = rest.join(":");
  const box = button.parentElement.nextElementSibling;
  const shut = () => { box.hidden = true; button.setAttribute("aria-expanded", "false"); button.focus(); };
  button.onclick = () => {
    if (!box.hidden) return shut();
    button.setAttribute("aria-expanded", "true");
    const slice = members.get(key);
    if (kind === "slice") fill(box, ["All photos of this slice"], slice.photos, slice.n, shut);
    else fill(box, [key[0].toUpperCase() + key.slice(1)], photos.map((_, p) => p).filter(p => get(p, "change") === key), data.totals[key], shut);
  };
  box.addEventListener("keydown", event => { if (event.key === "Escape") shut(); });
}

/* The viewer. */
const viewer = $("#viewer");
let list = [], here = 0, from = null, lit = false;
function facts(p) {
  const rows = [["True class", named(get(p, "label"))]];
  if (get(p, "before") >= 0) {
    rows.push([data.changed ? "Before" : "Model says", named(get(p, "before")), "true class at " + percent(get(p, "p_before"))]);
    if (data.changed) rows.push(["Control", named(get(p, "control"))], ["After", named(get(p, "after")), "true class at " + percent(get(p, "p_after"))]);
    if (data.changed) rows.push(["Change", get(p, "change")]);
  }
  const where = data.slices.filter(s => s.photos.includes(p)).map(s => s.title);
  if (where.length) rows.push(["Slice", where.join("; ")]);
  rows.push(["Taken", get(p, "taken")], ["Group", get(p, "group")], ["Split", get(p, "split")]);
  data.attributes.forEach((name, k) => { const v = get(p, "values")[k]; if (v !== null) rows.push([name, String(v)]); });
  return rows.filter(row => row[1]);
}
function copy(path, button) {
  const done = () => { button.textContent = "Copied"; };
  const select = () => { getSelection().selectAllChildren($(".full", viewer)); button.textContent = "Press Ctrl+C"; };
  navigator.clipboard ? navigator.clipboard.writeText(path).then(done, select) : select();
}
function view(index) {
  here = (index + list.length) % list.length;
  const p = list[here], path = get(p, "path");
  const copier = make("button", {type: "button", onclick: () => copy(path, copier)}, "Copy path");
  const lamp = make("button", {type: "button", "aria-pressed": String(lit), onclick: () => { lit = !lit; view(here); $("[aria-pressed]", viewer).focus(); }}, "Brighten");
  const table = make("dl", {className: "facts"});
  for (const [name, value, more] of facts(p)) table.append(make("dt", {}, name), make("dd", {}, bdi(value), ...(more ? [make("div", {className: "ci"}, more)] : [])));
  table.append(make("dt", {}, "Path"), make("dd", {}, make("bdi", {className: "full"}, path)));
  const bar = make("div", {className: "bar"},
    make("button", {type: "button", onclick: () => view(here - 1)}, "Previous"),
    make("button", {type: "button", onclick: () => view(here + 1)}, "Next"), ...(sources[p] ? [lamp] : []), copier,
    make("span", {}, ""), make("button", {type: "button", onclick: () => viewer.close()}, "Close"));
  const picture = sources[p] ? [make("img", {src: sources[p], alt: plain(p)})] : [];
  viewer.replaceChildren(make("div", {className: lit ? "view lit" : "view"}, ...picture, make("div", {}, make("h3", {}, (here + 1) + " of " + list.length), table)), bar);
}
document.addEventListener("click", event => {
  const button = event.target.closest("[data-open]");
  if (!button) return;
  from = button;
  const all = $$("[data-open]", button.closest(".sheet,.pairs,.cards") ?? document);
  list = all.map(other => Number(other.dataset.open));
  view(all.indexOf(button));
  viewer.showModal();
});
viewer.addEventListener("close", () => from?.focus());
viewer.addEventListener("click", event => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("keydown", event => {
  if (event.key === "ArrowLeft") view(here - 1);
  else if (event.key === "ArrowRight") view(here + 1);
  else return;
  viewer.querySelector("button").focus();
});
document.addEventListener("keydown", event => { if (event.key === "Escape" && !viewer.open && open && (drawer.contains(event.target) || event.target === open)) closeCell(); });

/* Tables. */
for (const table of $$("table[data-sortable]")) {
  const heads = $$("thead th", table), body = table.tBodies[0];
  heads.forEach((head, k) => {
    const button = make("button", {type: "button"}, ...head.childNodes);
    head.replaceChildren(button);
    button.onclick = () => {
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

/* Where we are. */
const links = new Map($$(".toc a").map(a => [a.hash.slice(1), a]));
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) for (const [id, link] of links) id === entry.target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
}, {rootMargin: "-15% 0px -75% 0px"});
for (const part of $$(".part")) seen.observe(part);
document.documentElement.classList.add("on");
})();
