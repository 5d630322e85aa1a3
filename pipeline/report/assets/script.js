(() => {
"use strict";
const $ = (selector, root = document) => root.querySelector(selector), $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const data = JSON.parse($("#data").textContent);

/* Elements and numbers. */
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) key in node ? node[key] = value : node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const SVG_NAMESPACE = make("template", {innerHTML: "<svg></svg>"}).content.firstChild.namespaceURI;
function makeSvg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG_NAMESPACE, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const bdi = (text, properties = {}) => make("bdi", properties, text);
const makeButton = (text, onclick, properties = {}) => make("button", {type: "button", onclick, ...properties}, text);
const makeOption = (value, text) => make("option", {value}, text);
const makeSegments = (label, ...buttons) => make("span", {className: "segments", role: "group", "aria-label": label}, ...buttons);
const makeField = (text, input) => make("label", {className: "find"}, text, input);
const formatCount = n => n.toLocaleString("en");
const formatPercent = share => share == null ? "" : (100 * share).toFixed(1) + "\u202f%";
const formatSigned = n => n === 0 ? "0" : (n < 0 ? "\u2212" : "+") + formatCount(Math.abs(n));
const press = (buttons, chosen) => { for (const button of buttons) button.setAttribute("aria-pressed", button === chosen); };
const hasModifier = event => event.ctrlKey || event.metaKey || event.altKey;
const isTyping = target => target.closest("input, textarea, select");

/* Sortable and filtered tables. */
for (const table of $$("table[data-sortable]")) {
  const heads = $$("thead th", table), body = table.tBodies[0];
  heads.forEach((head, column) => {
    const sorter = make("button", {type: "button"}, ...head.childNodes);
    head.replaceChildren(sorter);
    sorter.onclick = () => {
      const ascending = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && !head.classList.contains("num"));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const readValue = row => { const cell = row.cells[column]; return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v); };
      const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, undefined, {numeric: true});
      body.append(...[...body.rows].sort((a, b) => (ascending ? 1 : -1) * compare(readValue(a), readValue(b))));
    };
  });
}
for (const input of $$("[data-filter]")) input.oninput = () => {
  for (const row of document.getElementById(input.dataset.filter).tBodies[0].rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(input.value.toLowerCase());
};

/* Only boxes that scroll can be focused. */
const scrollObserver = new ResizeObserver(entries => { for (const {target: box} of entries) {
  const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
  scrolls && !$("a[href], button, input", box) ? box.tabIndex = 0 : box.removeAttribute("tabindex");
} });
for (const box of $$(".scroll")) scrollObserver.observe(box);

/* The list of all runs: two runs side by side. */
function compareRuns() {
  const selects = $$("#compare select"), output = $("#compared"), details = $("#compare").closest("details");
  const formatPoints = n => (Math.abs(n) < .05 ? "" : n < 0 ? "\u2212" : "+") + Math.abs(n).toFixed(1) + " points";
  const buildCell = (run, line, other) => {
    const cell = make("td", {className: "num", "data-l": run.run_id}, line ? line.text : "\u2013");
    if (line && other && line.value !== null && other.value !== null) cell.append(make("small", {}, formatPoints(100 * (line.value - other.value))));
    return cell;
  };
  const show = () => {
    const [first, second] = selects.map(select => data.runs[Number(select.value)]);
    const names = [...new Set([...first.lines, ...second.lines].map(line => line.name))];
    const rows = names.map(name => {
      const [a, b] = [first, second].map(run => run.lines.find(line => line.name === name));
      return make("tr", {}, make("th", {scope: "row"}, bdi(name)), buildCell(first, a), buildCell(second, b, a === b ? undefined : a));
    });
    const corner = make("th", {scope: "col"}, make("span", {className: "sr"}, "Figure"));
    const head = make("tr", {}, corner, ...[first, second].map(run => make("th", {scope: "col", className: "num"}, bdi(run.run_id))));
    output.hidden = false;
    output.replaceChildren(make("table", {className: "list fold"}, make("thead", {}, head), make("tbody", {}, ...rows)));
  };
  for (const select of selects) select.onchange = show;
  details.ontoggle = () => { if (details.open) show(); };
}
if (data.kind) { document.documentElement.classList.add("on"); if (data.runs?.length > 1) compareRuns(); return; }

/* Images. The id of an image is its row in the data. */
const {classes, images, columns, has_targeted_arm: isRetrained} = data;
const columnIndex = Object.fromEntries(columns.map((name, k) => [name, k]));
const get = (id, column) => images[id][columnIndex[column]];
const nameClass = index => index < 0 ? "" : classes[index];
const predicted = images.map((_, id) => id).filter(id => get(id, "before") >= 0);

/* An image is stored once: in the markup, or in the data. */
const toSource = code => "data:image/webp;base64," + code;
const sources = data.thumbnails.map(code => code && toSource(code));
for (const img of $$("img[data-p][src]")) sources[img.dataset.p] = img.src;
for (const img of $$("img[data-p]:not([src])")) if (sources[img.dataset.p]) img.src = sources[img.dataset.p];

function describeImage(id) {
  const [label, before, after] = ["label", "before", "after"].map(column => nameClass(get(id, column)));
  if (!before || (label === before && before === after)) return [bdi(label)];
  if (before === after || !isRetrained) return [bdi(label), " → ", bdi(before)];
  return [bdi(label), ": ", bdi(before), " → ", bdi(after)];
}
const describePlainly = id => describeImage(id).map(part => part.textContent ?? part).join("");
function listPredictions(id) {
  const lines = (isRetrained ? ["before", "after"] : ["before"]).map((model, k) => {
    const index = get(id, model), isCorrect = index === get(id, "label"), share = get(id, "top_predictions")[k]?.[1];
    return make("span", {className: "prediction"}, isRetrained ? model + " " : "", share === undefined ? "" : Math.round(share / 10) + "\u202f% ", make("span", {className: isCorrect ? "ok" : "no"}, isCorrect ? "✓ " : "✕ "), bdi(nameClass(index)));
  });
  return [bdi(nameClass(get(id, "label"))), ...lines];
}
function buildCard(id, caption = describeImage) {
  const opener = make("button", {type: "button", className: sources[id] ? "pic" : "tile", "data-open": id});
  opener.append(sources[id] ? make("img", {src: sources[id], alt: describePlainly(id), loading: "lazy", width: 96, height: 96}) : get(id, "path"));
  return make("figure", {}, opener, make("figcaption", {title: describePlainly(id)}, ...caption(id)));
}

/* Lists of images: cards in portions. */
const PORTION = 120, FILTERED_LENGTH = 24;
function buildPortions(list, caption) {
  const cards = make("div", {className: caption ? "cards predictions" : "cards"}), more = makeButton("", () => showNext());
  let shown = 0;
  const showNext = () => {
    cards.append(...list.slice(shown, shown += PORTION).map(id => buildCard(id, caption)));
    more.hidden = shown >= list.length;
    more.textContent = "Show more, " + formatCount(Math.max(0, list.length - shown)) + " left";
  };
  showNext();
  return [cards, more];
}
const matchesText = (id, text) => (describePlainly(id) + " " + get(id, "path")).toLowerCase().includes(text.toLowerCase());
const linkFile = href => make("a", {href, download: ""}, href);
const describeTotal = (list, total) => total > list.length ? ["Showing " + formatCount(list.length) + " of " + formatCount(total) + ". All are in ", linkFile("images.parquet"), ", the misclassified ones in ", linkFile("failures.csv"), ". "] : [];
function fillDrawer(drawer, title, list, {total = list.length, caption, close, introduction = ""}) {
  const tools = make("p", {className: "aside"}, introduction, ...describeTotal(list, total), list.length ? "" : "No images."), box = make("div", {}, ...buildPortions(list, caption));
  if (list.length > FILTERED_LENGTH) {
    const input = make("input", {type: "search", autocomplete: "off", oninput: () => box.replaceChildren(...buildPortions(list.filter(id => matchesText(id, input.value)), caption))});
    tools.append(makeField("Filter by class or path", input));
  }
  drawer.replaceChildren(make("header", {}, make("h3", {}, ...title), makeButton("Close", close)), tools, box);
  drawer.hidden = false;
}

/* Confusion matrices; "other" merges classes that are not shown. */
const OTHER = "other", drawer = $("#cell"), matrices = $("#matrices");
let keys = data.kept_classes.length < classes.length ? [...data.kept_classes, OTHER] : data.kept_classes, openedCell = null, cellOpener = null;
const nameKey = key => key === OTHER ? "(other)" : classes[key];
const parseKey = text => text === OTHER ? OTHER : Number(text);
const toShownKey = index => keys.includes(index) ? index : OTHER;

function listCellImages(view, label, prediction) {
  const isIn = (id, column) => toShownKey(get(id, "label")) === label && toShownKey(get(id, column)) === prediction;
  return predicted.filter(id => view === "change" ? isIn(id, "before") !== isIn(id, "after") : isIn(id, view));
}
function closeCell() {
  if (!openedCell) return;
  drawer.hidden = true;
  if (cellOpener?.isConnected) { cellOpener.setAttribute("aria-expanded", "false"); cellOpener.focus(); }
  openedCell = cellOpener = null;
  history.replaceState(null, "", "#confusion_matrix");
}
function openCell(view, label, prediction) {
  const opener = $(`table[data-view=${view}] [data-cell="${label},${prediction}"]`), list = listCellImages(view, label, prediction);
  cellOpener?.setAttribute("aria-expanded", "false");
  [openedCell, cellOpener] = [[view, label, prediction], opener];
  opener?.setAttribute("aria-expanded", "true");
  const model = view === "change" ? ", images that entered or left" : view === "after" ? ", after" : isRetrained ? ", before" : "";
  const title = label === prediction && label !== OTHER ? [bdi(nameKey(label)), " predicted correctly" + model] : [bdi(nameKey(label)), " predicted as ", bdi(nameKey(prediction)), model];
  const counts = ["fixed", "broken", "still wrong", "still right"].map(change => [change, list.filter(id => get(id, "change") === change).length]).filter(([, n]) => n);
  const introduction = isRetrained && list.length ? counts.map(([change, n]) => formatCount(n) + " " + change).join(", ") + ". " : "";
  fillDrawer(drawer, title, list, {total: Number(opener?.dataset.total ?? list.length), caption: listPredictions, close: closeCell, introduction});
  history.replaceState(null, "", "#cell=" + label + "," + prediction + (view === "before" ? "" : "," + view));
  drawer.focus({preventScroll: true});
  drawer.scrollIntoView({block: "nearest"});
}
function openAddressedCell() {
  const match = /^#cell=(\d+|other),(\d+|other)(?:,(before|after|change))?$/.exec(location.hash);
  if (!match || !drawer) return;
  const cell = [parseKey(match[1]), parseKey(match[2])], view = match[3] ?? "before";
  if (cell.some(key => key !== OTHER && !(key < classes.length)) || !$(`table[data-view=${view}]`)) return;
  const isShown = cell.every(key => keys.includes(key));
  if (!isShown && !data.cells.length) return;
  if (!isShown) redraw([...new Set([...cell, ...data.kept_classes])].filter(key => key !== OTHER).sort((a, b) => a - b));
  openCell(view, ...cell);
}
if (matrices) {
  matrices.addEventListener("click", event => {
    const cell = event.target.closest(".cell");
    if (cell) openCell(cell.closest("table").dataset.view, ...cell.dataset.cell.split(",").map(parseKey));
  });
  matrices.addEventListener("keydown", event => {
    const cell = event.target.closest(".cell"), step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!cell || !(step || event.key === "Home" || event.key === "End")) return;
    const rows = cell.closest("tbody").rows, [dy, dx] = step ?? [0, event.key === "Home" ? 1 : -1];
    let y = cell.closest("tr").rowIndex - 1 + dy, x = step ? cell.parentElement.cellIndex + dx : event.key === "Home" ? 1 : rows[0].cells.length - 1, next = null;
    for (; rows[y] && x > 0 && rows[y].cells[x] && !(next = $("button", rows[y].cells[x])); y += dy, x += dx);
    event.preventDefault();
    if (!next) return;
    cell.tabIndex = -1; next.tabIndex = 0; next.focus();
  });
  for (const unit of $$("[data-unit]")) unit.onclick = () => { matrices.classList.toggle("pct", unit.dataset.unit === "p"); press($$("[data-unit]"), unit); };
}

/* Many classes. Steps as in matrix_cells.py. */
const CORRECT_STEPS = [.5, .75, .9], ERROR_STEPS = [.03, .1, .25], CHANGE_STEPS = [.02, .06, .15];
const chooseCssClass = (isGood, n, share, steps, isMixed) => !n ? "zero" : isMixed ? "mixed" : (isGood ? "right" : "wrong") + (1 + steps.filter(step => share >= step).length);
function buildMatrix(view) {
  const places = new Map(keys.map((key, k) => [key, k])), findPlace = index => places.get(index) ?? places.get(OTHER), size = keys.length;
  const cells = new Map(), totals = Array(size).fill(0), isChange = view === "change";
  for (const [label, prediction, before, after] of data.cells) {
    const [y, x] = [findPlace(label), findPlace(prediction)];
    if (y === undefined || x === undefined) continue;
    const sums = cells.get(y * size + x) ?? [0, 0];
    cells.set(y * size + x, [sums[0] + before, sums[1] + after]);
    totals[y] += before;
  }
  const buildHeading = (scope, key) => make("th", {scope, title: nameKey(key)}, make("span", {}, bdi(nameKey(key))));
  const body = make("tbody");
  let isFirst = true;
  for (let y = 0; y < size; y++) {
    const row = make("tr", {}, buildHeading("row", keys[y]));
    for (let x = 0; x < size; x++) {
      const sums = cells.get(y * size + x), td = make("td");
      row.append(td);
      if (!sums) continue;
      const [before, after] = sums, n = isChange ? after - before : view === "after" ? after : before;
      const share = totals[y] ? n / totals[y] : 0, isMixed = keys[y] === OTHER && y === x, steps = isChange ? CHANGE_STEPS : y === x ? CORRECT_STEPS : ERROR_STEPS;
      const total = isChange ? listCellImages("change", keys[y], keys[x]).length : n;
      if (!n && !total) continue;
      const cssClass = chooseCssClass(isChange ? (n > 0) === (y === x) : y === x, n, Math.abs(share), steps, isMixed);
      td.append(make("button", {type: "button", className: "cell " + cssClass, "data-cell": keys[y] + "," + keys[x], "data-total": total, tabIndex: isFirst ? 0 : -1},
        make("span", {className: "n"}, isChange ? formatSigned(n) : formatCount(n)), make("span", {className: "p"}, isChange ? (n < 0 ? "\u2212" : n ? "+" : "") + (100 * Math.abs(share)).toFixed(1) : (100 * share).toFixed(1))));
      isFirst = false;
    }
    body.append(row);
  }
  const corner = make("th", {className: "corner", scope: "col"}, make("span", {className: "sr"}, "label, then prediction"), make("span", {ariaHidden: "true"}, "predicted →", make("br"), "label ↓"));
  return [make("thead", {}, make("tr", {}, corner, ...keys.map(key => buildHeading("col", key)))), body];
}
const MAX_MATRICES_SIZE = 60, MAX_WIDE_SIZE = 30;
let shownView = "before";
function redraw(indices) {
  closeCell();
  keys = indices.length < classes.length ? [...indices, OTHER] : indices;
  const showsOne = keys.length > MAX_MATRICES_SIZE;
  matrices.classList.toggle("whole", keys.length > MAX_WIDE_SIZE);
  for (const table of $$("table[data-view]", matrices)) {
    const isShown = !showsOne || table.dataset.view === shownView;
    table.closest("figure").hidden = !isShown;
    table.replaceChildren(...(isShown ? buildMatrix(table.dataset.view) : []));
  }
  $("#views").hidden = !showsOne;
}
if ($("#whole")) {
  const MAX_MATCHES = 12, MAX_PARTNERS = 3, SEARCH_DELAY = 120;
  const input = $("#find-class"), whole = $("#whole"), wholeText = whole.textContent, allClasses = classes.map((_, k) => k);
  const listPartners = index => data.cells.filter(cell => (cell[0] === index) !== (cell[1] === index)).sort((a, b) => Math.max(b[2], b[3]) - Math.max(a[2], a[3])).slice(0, MAX_PARTNERS).map(cell => cell[0] === index ? cell[1] : cell[0]);
  const sortUnique = list => [...new Set(list)].sort((a, b) => a - b);
  let timer = 0;
  const search = () => {
    const text = input.value.trim().toLowerCase(), matches = allClasses.filter(k => text && classes[k].toLowerCase().includes(text)).slice(0, MAX_MATCHES);
    whole.setAttribute("aria-pressed", "false"); whole.textContent = wholeText;
    $("#class-status").textContent = !text ? "" : matches.length ? formatCount(matches.length) + " found, with the classes they are confused with" : "No class found";
    redraw(matches.length ? sortUnique([...matches, ...matches.flatMap(listPartners)]) : data.kept_classes);
  };
  input.oninput = () => { clearTimeout(timer); timer = setTimeout(search, SEARCH_DELAY); };
  whole.onclick = () => {
    const showsAll = whole.getAttribute("aria-pressed") !== "true";
    whole.setAttribute("aria-pressed", showsAll);
    whole.textContent = showsAll ? "Show the most confused" : wholeText;
    redraw(showsAll ? allClasses : data.kept_classes);
  };
  for (const view of $$("#views button")) view.onclick = () => { shownView = view.dataset.show; press($$("#views button"), view); redraw(allClasses); };
}

/* Dark images are brightened together. */
for (const button of $$("[data-brighten]")) button.onclick = () => { button.textContent = button.closest(".slice, .kind").classList.toggle("bright") ? "Original brightness" : "Brighten"; };

/* All images of a slice. */
const slices = new Map(data.slices.map(slice => [slice.slice, slice]));
for (const button of $$("[data-gallery]")) {
  const slice = slices.get(button.dataset.gallery), place = button.parentElement.nextElementSibling;
  const close = () => { place.hidden = true; button.setAttribute("aria-expanded", "false"); button.focus(); };
  button.onclick = () => {
    if (!place.hidden) return close();
    button.setAttribute("aria-expanded", "true");
    fillDrawer(place, ["All images of this slice"], slice.images, {total: slice.n, close});
  };
  place.addEventListener("keydown", event => { if (event.key === "Escape") close(); });
}

/* All images, filtered. */
const browser = $("#browse");
let browse = () => {};
if (browser) {
  const MODEL = isRetrained ? "Before" : "Prediction", MAX_TITLE = 60;
  const makeFilter = (name, ...options) => [name, make("select", {onchange: () => show()}, makeOption("", "any"), ...options)];
  const listClasses = column => [...new Set(predicted.map(id => get(id, column)))].sort((a, b) => a - b).map(index => makeOption(index, classes[index]));
  const change = makeFilter("Change", ...Object.keys(data.change_counts).sort().map(kind => makeOption(kind, kind)));
  const input = make("input", {type: "search", autocomplete: "off", oninput: () => show()});
  const output = make("div"), status = make("p", {className: "aside", role: "status"});
  let filters = null;
  const build = () => {
    filters = [makeFilter("Label", ...listClasses("label")), makeFilter(MODEL, ...listClasses("before"))];
    if (isRetrained) filters = [change, ...filters, makeFilter("After", ...listClasses("after"))];
    if (data.slices.length) filters.push(makeFilter("Slice", ...data.slices.map((slice, k) => makeOption(k, slice.title.slice(0, MAX_TITLE)))));
    browser.replaceChildren(make("div", {className: "filters"}, ...filters.map(([name, select]) => make("label", {}, name, select)), make("label", {}, "Class or path", input)), status, output);
    browser.hidden = false;
  };
  const show = () => {
    const read = name => filters.find(filter => filter[0] === name)?.[1].value ?? "";
    const isClass = (id, column, name) => !read(name) || get(id, column) === Number(read(name));
    const kind = read("Change"), members = read("Slice") && data.slices[read("Slice")].images;
    const list = predicted.filter(id => (!kind || get(id, "change") === kind) && isClass(id, "label", "Label") && isClass(id, "before", MODEL)
      && isClass(id, "after", "After") && (!members || members.includes(id)) && matchesText(id, input.value));
    const hasTotal = !input.value && filters.every(([name, select]) => name === "Change" || !select.value);
    const total = !hasTotal ? list.length : kind ? data.change_counts[kind] : Object.values(data.change_counts).reduce((a, b) => a + b, 0);
    const parts = describeTotal(list, total);
    status.replaceChildren(...(parts.length ? parts : [formatCount(list.length) + (list.length === 1 ? " image. " : " images. ")]), hasTotal ? "" : "Among the images on this page.");
    output.replaceChildren(...buildPortions(list, listPredictions));
  };
  browse = (kind, focus) => {
    if (!filters) build();
    if (kind !== undefined) change[1].value = kind;
    show();
    (focus === "list" && change[1].isConnected ? change[1] : input).focus();
  };
  for (const button of $$("[data-browse]")) button.onclick = () => { browse(button.dataset.browse, "list"); browser.scrollIntoView({block: "nearest"}); };
}

/* Review decisions: stored in this browser, saved as a file. */
const MAX_NOTE = 2000, storageKey = "nightshift review " + data.run_id;
let decisions = {slices: {}, labels: {}};
const isRecord = item => item !== null && typeof item === "object" && !Array.isArray(item);
/* Other pages may write to the same storage. */
const keepRecords = stored => Object.fromEntries(Object.entries(isRecord(stored) ? stored : {}).filter(([, item]) => isRecord(item) && Object.values(item).every(text => typeof text === "string")));
try {
  const stored = JSON.parse(localStorage.getItem(storageKey));
  for (const kind in decisions) decisions[kind] = keepRecords(stored?.[kind]);
} catch { /* no storage, or damaged */ }
const earlier = {slices: data.reviews.slices ?? {}, labels: data.reviews.labels ?? {}};
const getDecision = (kind, key) => decisions[kind][key] ?? earlier[kind][key] ?? {};
function storeDecision(kind, key, item, change) {
  decisions[kind][key] = {decision: "", note: "", ...getDecision(kind, key), ...item, ...change};
  try { localStorage.setItem(storageKey, JSON.stringify(decisions)); } catch { }
  listDecisions();
}
function buildChoices(kind, key, getItem, options) {
  const buttons = options.map(([value, text]) => makeButton(text, () => {
    const decision = getDecision(kind, key).decision === value ? "" : value;
    storeDecision(kind, key, getItem(), {decision});
    press(buttons, buttons[options.findIndex(option => option[0] === decision)]);
    note.dispatchEvent(new Event("decided"));
  }));
  press(buttons, buttons[options.findIndex(option => option[0] === getDecision(kind, key).decision)]);
  const note = make("input", {type: "text", maxLength: MAX_NOTE, autocomplete: "off", value: getDecision(kind, key).note ?? "", onchange: () => storeDecision(kind, key, getItem(), {note: note.value})});
  return [buttons, note];
}
for (const panel of $$("[data-review]")) {
  const slice = slices.get(panel.dataset.review), [buttons, note] = buildChoices("slices", slice.key, () => ({key: slice.key, words: slice.title.slice(0, MAX_NOTE)}), [["accepted", "Accept"], ["muted", "Mute"]]);
  panel.append(makeSegments("Decision on this slice", ...buttons), makeField("Note", note));
}
function buildLabelPanel(id) {
  const key = get(id, "image_id"), getItem = () => ({image_id: key, path: get(id, "path"), label: nameClass(get(id, "label"))});
  const [buttons, note] = buildChoices("labels", key, getItem, [["wrong", "Label is wrong"], ["right", "Label is right"]]);
  const select = make("select", {onchange: () => storeDecision("labels", key, getItem(), {suggested: select.value})}, makeOption("", "unknown"), ...classes.filter((_, k) => k !== get(id, "label")).map(name => makeOption(name, name)));
  select.value = getDecision("labels", key).suggested ?? "";
  const suggestion = makeField("Correct label", select);
  const update = () => suggestion.hidden = getDecision("labels", key).decision !== "wrong";
  note.addEventListener("decided", update);
  update();
  return make("div", {className: "review"}, makeSegments("Decision on this label", ...buttons), suggestion, makeField("Note", note));
}
const reviewList = $("#review-list");
function listDecisions() {
  if (!reviewList) return;
  const rows = ["slices", "labels"].flatMap(kind => Object.values(decisions[kind]).filter(item => item.decision || item.note || earlier[kind][item.key ?? item.image_id]).map(item => [kind, item]));
  const buildRow = ([kind, item]) => make("tr", {}, make("td", {}, kind === "slices" ? "Slice" : "Label"), make("th", {scope: "row"}, bdi(kind === "slices" ? item.words : item.path)),
    make("td", {}, item.decision || (item.note ? "note only" : "withdrawn"), ...(item.suggested ? [", it is ", bdi(item.suggested)] : [])), make("td", {}, bdi(item.note ?? "")));
  const head = make("tr", {}, ...["Kind", "Item", "Decision", "Note"].map(text => make("th", {scope: "col"}, text)));
  const save = makeButton("Save as a file", () => {
    const file = {review: 1, run_id: data.run_id, slices: Object.values(decisions.slices), labels: Object.values(decisions.labels)};
    const link = make("a", {href: URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], {type: "application/json"})), download: "review-" + data.run_id + ".json"});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  const discard = makeButton("Discard all", () => { decisions = {slices: {}, labels: {}}; try { localStorage.removeItem(storageKey); } catch { } listDecisions(); });
  reviewList.replaceChildren(...(rows.length ? [make("div", {className: "scroll"}, make("table", {className: "list"}, make("thead", {}, head), make("tbody", {}, ...rows.map(buildRow)))), make("p", {className: "tools"}, save, discard)]
    : [make("p", {className: "aside"}, "No decisions in this browser yet.")]));
}
listDecisions();

/* The viewer. */
const viewer = $("#viewer");
let viewed = [], current = 0, viewerOpener = null, isBright = false, saliency = "";
function listFacts(id) {
  const rows = [["Label", nameClass(get(id, "label"))]];
  if (get(id, "before") >= 0) {
    rows.push([isRetrained ? "Before" : "Prediction", nameClass(get(id, "before")), "label probability " + formatPercent(get(id, "p_before"))]);
    if (isRetrained) rows.push(["Control arm", nameClass(get(id, "control"))], ["After", nameClass(get(id, "after")), "label probability " + formatPercent(get(id, "p_after"))], ["Change", get(id, "change")]);
  }
  rows.push(["Slice", data.slices.filter(slice => slice.images.includes(id)).map(slice => slice.title).join("; ")]);
  rows.push(["Captured", get(id, "captured_at")], ["Group", get(id, "group")], ["Split", get(id, "split")]);
  data.attributes.forEach((name, k) => { const value = get(id, "attribute_values")[k]; if (value !== null) rows.push([name, String(value).replace("-", "\u2212")]); });
  return rows.filter(row => row[1]);
}
function buildRankings(id) {
  return get(id, "top_predictions").slice(0, isRetrained ? 2 : 1).map((ranked, model) => {
    const rows = [];
    for (let i = 0; i < ranked.length; i += 2) {
      const share = ranked[i + 1] / 1000, bar = makeSvg("svg", {viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true"}, makeSvg("rect", {width: 100 * share, height: 8}));
      rows.push(make("tr", {className: ranked[i] === get(id, "label") ? "label" : ""}, make("th", {scope: "row"}, bdi(classes[ranked[i]])), make("td", {}, bar), make("td", {className: "num"}, formatPercent(share))));
    }
    return make("table", {className: "ranking"}, make("caption", {}, "Most probable" + (isRetrained ? [" before", " after"][model] : "")), make("tbody", {}, ...rows));
  });
}
function copyPath(path, button) {
  const done = () => { button.textContent = "Copied"; };
  const select = () => { getSelection().selectAllChildren($(".full", viewer)); button.textContent = "Press Ctrl+C"; };
  navigator.clipboard ? navigator.clipboard.writeText(path).then(done, select) : select();
}
function showImage(index) {
  current = (index + viewed.length) % viewed.length;
  const id = viewed[current], source = sources[id], path = get(id, "path"), maps = data.heat_maps[id];
  const refresh = change => () => { const key = document.activeElement.dataset.k; change(); showImage(current); $(`[data-k="${key}"]`, viewer)?.focus(); };
  const copy = makeButton("Copy path", () => copyPath(path, copy), {"data-k": "copy"});
  const brighten = makeButton("Brighten", refresh(() => { isBright = !isBright; }), {"aria-pressed": isBright, "data-k": "bright"});
  const facts = make("dl", {className: "facts"});
  for (const [name, value, detail] of listFacts(id)) facts.append(make("dt", {}, name), make("dd", {}, bdi(value), ...(detail ? [make("div", {className: "ci"}, detail)] : [])));
  facts.append(make("dt", {}, "Path"), make("dd", {}, make("bdi", {className: "full"}, path)));
  const views = ["", "before", ...(isRetrained ? ["after"] : [])].map(model => makeButton(model ? "Saliency" + (isRetrained ? " " + model : "") : "Image", refresh(() => { saliency = model; }), {"aria-pressed": saliency === model, "data-k": "saliency" + model}));
  const bar = make("div", {className: "bar"}, makeButton("Previous", refresh(() => { current--; }), {"data-k": "previous"}), makeButton("Next", refresh(() => { current++; }), {"data-k": "next"}),
    ...(source ? [brighten] : []), copy, make("span"), makeButton("Close", () => viewer.close(), {"data-k": "close"}));
  const frame = make("div", {className: isBright ? "frame bright" : "frame"});
  if (source) frame.append(make("img", {src: source, alt: describePlainly(id)}));
  if (source && maps && saliency) frame.append(make("img", {className: "heat", src: toSource(maps[saliency === "after" ? 1 : 0]), alt: "Saliency map of the prediction " + saliency}));
  const left = make("div", {}, frame, ...(maps && source ? [makeSegments("Saliency map", ...views)] : []), ...buildRankings(id));
  if (!maps && Object.keys(data.heat_maps).length) left.append(make("p", {className: "ci"}, "No saliency map was computed for this image."));
  viewer.replaceChildren(make("h3", {tabIndex: -1, autofocus: true}, (current + 1) + " of " + viewed.length), make("div", {className: "view"}, left, make("div", {}, facts, buildLabelPanel(id))), bar);
}
function openViewer(list, index, opener) {
  [viewed, viewerOpener] = [list, opener];
  showImage(index);
  viewer.showModal();
}
document.addEventListener("click", event => {
  const opener = event.target.closest("[data-open]");
  if (!opener) return;
  const all = $$("[data-open]", opener.closest(".sheet,.pairs,.cards,.strip") ?? document);
  openViewer(all.map(other => Number(other.dataset.open)), all.indexOf(opener), opener);
});
viewer.addEventListener("close", () => viewerOpener?.focus());
for (const dialog of $$("dialog")) dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
viewer.addEventListener("keydown", event => {
  if (isTyping(event.target) || hasModifier(event)) return;
  const key = {ArrowLeft: "previous", ArrowRight: "next", b: "bright", c: "copy"}[event.key];
  const views = $$("[data-k^=saliency]", viewer), next = event.key === "s" && views[(views.findIndex(view => view.getAttribute("aria-pressed") === "true") + 1) % views.length];
  const button = next || (key && $(`[data-k=${key}]`, viewer));
  if (button) { event.preventDefault(); button.focus(); button.click(); }
});

/* The embedding map. */
const MARKS = ["", "M-6 5L0 -6L6 5z", "M-5 -5H5V5H-5z", "M0 -7L7 0L0 7L-7 0z", "M-6 -5L0 6L6 -5z", "M-6 -2H-2V-6H2V-2H6V2H2V6H-2V2H-6z", "M-6 -6L0 -2L6 -6L2 0L6 6L0 2L-6 6L-2 0z"];
for (const mark of $$("[data-mark]")) { mark.setAttribute("d", MARKS[mark.dataset.mark]); mark.setAttribute("transform", "translate(10 10)"); }
const map = $("#map");
function drawMap() {
  const NEIGHBORS = 48, CLICK_RADIUS = 30, WIDTH = 1000, HEIGHT = 600;
  const points = data.map_points.map(([x, y, slice, isBad, id, ...tsne]) => ({layouts: [[x, y], tsne], slice, isBad, id}));
  const ring = makeSvg("circle", {r: 11, class: "ring"}), status = $("#map-status");
  const svg = makeSvg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true"});
  let visible = [], chosen = null;
  for (const point of [...points].sort((a, b) => a.slice - b.slice || a.isBad - b.isBad)) {
    const bad = point.isBad ? " bad" : "";
    point.dot = point.slice ? makeSvg("path", {class: "dot m" + point.slice + bad, d: MARKS[point.slice]}) : makeSvg("circle", {class: "dot" + bad, r: 4});
    svg.append(point.dot);
  }
  const placePoints = layout => {
    for (const point of points) {
      const place = point.layouts[layout];
      point.dot.toggleAttribute("hidden", !place.length);
      if (!place.length) continue;
      [point.x, point.y] = [15 + place[0] * .97, 12 + place[1] * .576];
      point.dot.setAttribute("transform", `translate(${point.x.toFixed(1)} ${point.y.toFixed(1)})`);
    }
    visible = points.filter(point => point.id >= 0 && point.layouts[layout].length);
    chosen = null; status.textContent = ""; ring.setAttribute("cx", -99); ring.setAttribute("cy", -99);
  };
  placePoints(0);
  for (const button of $$("[data-map]")) button.onclick = () => { placePoints(Number(button.dataset.map)); press($$("[data-map]"), button); };
  svg.append(ring);
  map.append(svg);
  const squareDistance = (a, b) => (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
  const listNearest = (place, n) => [...visible].sort((a, b) => squareDistance(a, place) - squareDistance(b, place)).slice(0, n);
  const choose = point => {
    chosen = point;
    ring.setAttribute("cx", point.x); ring.setAttribute("cy", point.y);
    status.textContent = "Chosen: " + describePlainly(point.id) + ", " + get(point.id, "path") + (point.slice ? ", in “" + data.slices[point.slice - 1].title + "”" : "");
  };
  const openChosen = () => openViewer(listNearest(chosen, NEIGHBORS).map(point => point.id), 0, map);
  svg.addEventListener("click", event => {
    const frame = svg.getBoundingClientRect(), place = {x: (event.clientX - frame.x) / frame.width * WIDTH, y: (event.clientY - frame.y) / frame.height * HEIGHT};
    const [nearest] = listNearest(place, 1);
    if (nearest && squareDistance(nearest, place) < CLICK_RADIUS ** 2) { choose(nearest); openChosen(); }
  });
  map.addEventListener("keydown", event => {
    const step = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0]}[event.key];
    if (event.key === "Enter" && chosen) { event.preventDefault(); openChosen(); }
    if (!step || !visible.length) return;
    event.preventDefault();
    if (!chosen) return choose(listNearest({x: WIDTH / 2, y: HEIGHT / 2}, 1)[0]);
    const measureAhead = point => (point.x - chosen.x) * step[0] + (point.y - chosen.y) * step[1];
    const ahead = visible.filter(point => measureAhead(point) > .5 && squareDistance(point, chosen) < 4 * measureAhead(point) ** 2);
    if (ahead.length) choose(ahead.reduce((a, b) => squareDistance(b, chosen) < squareDistance(a, chosen) ? b : a));
  });
}
if (map) new IntersectionObserver((entries, observer) => { if (entries.some(entry => entry.isIntersecting)) { observer.disconnect(); drawMap(); } }, {rootMargin: "600px"}).observe(map);

/* Keyboard shortcuts of the whole page. */
const help = $("#help");
document.addEventListener("keydown", event => {
  if (hasModifier(event)) return;
  if (event.key === "Escape" && !$("dialog[open]") && openedCell && (drawer.contains(event.target) || event.target.closest(".cell"))) closeCell();
  if (isTyping(event.target) || $("dialog[open]")) return;
  if (event.key === "/" && browser) { event.preventDefault(); browser.scrollIntoView({block: "nearest"}); browse(undefined, "search"); }
  if (event.key === "?") { event.preventDefault(); help.showModal(); }
});
$("#help-open").onclick = () => help.showModal();
$("button", help).onclick = () => help.close();

/* The navigation marks the current section. */
const links = new Map($$(".toc a").map(link => [link.hash.slice(1), link])), toc = $(".toc");
const sectionObserver = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) for (const [id, link] of links) {
    id === entry.target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
    if (id === entry.target.id) toc.scrollTo({left: link.offsetLeft - 60});
  }
}, {rootMargin: "-15% 0px -75% 0px"});
for (const section of $$(".part")) sectionObserver.observe(section);
addEventListener("hashchange", openAddressedCell);
document.documentElement.classList.add("on");

/* Sections are laid out when idle, or before a jump. */
const waiting = $$(".part"), whenIdle = window.requestIdleCallback ?? setTimeout;
const reveal = n => { for (const section of waiting.splice(0, n)) section.classList.add("revealed"); if (waiting.length) whenIdle(() => reveal(1)); };
document.addEventListener("click", event => { if (event.target.closest("a[href^='#']")) reveal(99); }, true);
document.addEventListener("keydown", () => reveal(99), {capture: true, once: true});
reveal(location.hash ? 99 : 1);
openAddressedCell();
})();
