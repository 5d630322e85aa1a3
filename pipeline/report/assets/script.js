/* Numbers and buttons. */
const makeButton = (text, onclick) => make("button", {type: "button", onclick}, text);
const formatCount = n => n.toLocaleString("en");
const formatImages = n => formatCount(n) + (n === 1 ? " image" : " images");
const formatPercent = share => share == null ? "" : (100 * share).toFixed(1) + "\u202f%";
const getSign = n => n < 0 ? "\u2212" : n ? "+" : "";
const formatNumber = n => String(Number(n.toPrecision(3)));
const press = (buttons, chosen) => { for (const button of buttons) button.ariaPressed = button === chosen; };
const hasModifier = event => event.ctrlKey || event.metaKey || event.altKey;
const ARROWS = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0]};
const setAddress = address => history.replaceState(null, "", address);
const isTyping = target => target.closest("input, textarea, select");
function download(name, content) {
  const href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], {type: "application/json"}));
  make("a", {href, download: name + "-" + data.run_id + ".json"}).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

/* Images. The number of an image is its row in the data; rows with details come first. */
const {classes, table, details, has_targeted_arm: isRetrained} = data;
const detailIndex = Object.fromEntries(data.detail_columns.map((name, k) => [name, k]));
const get = (row, column) => column in table ? table[column][row] : details[row]?.[detailIndex[column]];
const getClass = (row, column) => classes[get(row, column)] ?? "";
const getGroup = row => data.groups[table.group[row]];
const listSlices = row => data.slices.filter(slice => slice.admitted.includes(row));
const isWrong = (row, model) => table[model][row] !== table.label[row];
const CHANGES = ["still right", "broken", "fixed", "still wrong"];
const getChange = row => CHANGES[2 * isWrong(row, "before") + isWrong(row, "after")];
/* The validation images: today's failures first, one of each group, then its second, and so on. */
const predicted = data.order;

/* A picture is stored once: in the markup, or in the data. */
const toSource = code => "data:image/webp;base64," + code;
const sources = data.thumbnails.map(code => code && toSource(code));
for (const img of $$("img[data-p][src]")) sources[img.dataset.p] = img.src;
for (const img of $$("img[data-p]:not([src])")) if (sources[img.dataset.p]) img.src = sources[img.dataset.p];

/* Names of classes stand at even places. */
function describe(row) {
  const [label, before, after] = ["label", "before", "after"].map(column => getClass(row, column));
  if (!before || (label === before && before === after)) return [label];
  if (before === after || !isRetrained) return [label, " → ", before];
  return [label, ": ", before, " → ", after];
}
const describePlainly = row => describe(row).join("");
const buildCaption = row => describe(row).map((text, k) => k % 2 ? text : bdi(text));
function listPredictions(row) {
  const models = table.before[row] < 0 ? [] : isRetrained ? ["before", "after"] : ["before"], lines = models.map((model, k) => {
    const share = get(row, "top_predictions")?.[k]?.[1], wrong = isWrong(row, model);
    return make("span.prediction", isRetrained ? model + " " : "", share === undefined ? "" : Math.round(share / 10) + "\u202f% ", make("span", {className: wrong ? "no" : "ok"}, wrong ? "✕ " : "✓ "), bdi(getClass(row, model)));
  });
  return [bdi(getClass(row, "label")), ...lines];
}
function buildPicture(row) {
  return sources[row] ? make("img", {src: sources[row], alt: describePlainly(row), width: 96, height: 96}) : get(row, "path");
}
function buildCard(row, caption = buildCaption) {
  const opener = make("button", {type: "button", className: sources[row] ? "pic" : "tile", "data-open": row}, buildPicture(row));
  markImage(opener);
  return make("figure", opener, make("figcaption", {title: describePlainly(row)}, ...caption(row)));
}

/* Lists of images: cards in portions. */
const PORTION = 120;
function buildPortions(list, caption, first = PORTION) {
  const cards = make("div", {className: caption ? "cards predictions" : "cards"}), more = makeButton("", () => showNext(PORTION));
  let shown = 0;
  const showNext = count => {
    cards.append(...list.slice(shown, shown += count).map(row => buildCard(row, caption)));
    more.hidden = shown >= list.length;
    more.textContent = "Show more, " + formatCount(Math.max(0, list.length - shown)) + " left";
  };
  showNext(first);
  return [cards, more];
}
function fillDrawer(drawer, title, list, {caption, close, address}) {
  const link = address ? make("a", {href: address}, "Filter and sort them") : "";
  drawer.replaceChildren(make("header", make("h3", ...title), makeButton("Close", close)), make("p.aside", formatImages(list.length) + ". ", link), ...buildPortions(list, caption));
  drawer.hidden = false;
}

/* Decisions: stored in this browser, saved as a file. Those of earlier runs are in the data. */
const storageKey = "nightshift review " + data.run_id;
const earlier = {slices: data.reviews.slices ?? {}, labels: data.reviews.labels ?? {}};
let decisions = {slices: {}, labels: {}}, changes = [];
const refreshers = [], refresh = () => refreshers.forEach(show => show());
/* Other pages may write to the same storage. */
const keepRecords = stored => Object.fromEntries(Object.entries(stored ?? {}).filter(([, item]) => isPlain(item) && Object.values(item).every(text => typeof text === "string")));
try {
  const stored = JSON.parse(localStorage.getItem(storageKey));
  for (const kind in decisions) decisions[kind] = keepRecords(stored?.[kind]);
} catch { /* no storage, or damaged */ }
const getDecision = (kind, key) => decisions[kind][key] ?? earlier[kind][key] ?? {};
const getVerdict = row => getDecision("labels", get(row, "image_id")).decision || "";
/* What is taken back stays as an empty record, so that the file withdraws what was applied before. */
function restore(kind, key, item) {
  if (item || !earlier[kind][key]) decisions[kind][key] = item ?? {...decisions[kind][key], decision: "", note: ""}; else delete decisions[kind][key];
  try { localStorage.setItem(storageKey, JSON.stringify(decisions)); } catch { /* they last as long as the page */ }
  refresh();
}
function decide(kind, key, item, change) {
  changes.push([kind, key, decisions[kind][key]]);
  restore(kind, key, {decision: "", note: "", ...getDecision(kind, key), ...item, ...change});
}
function undo() {
  const last = changes.pop();
  if (last) restore(...last);
  return last?.[1];
}

/* A mark on every picture whose label is in doubt or was judged. */
const MARKS = {wrong: "✕", right: "✓", unreadable: "∅"};
function markImage(opener) {
  const row = Number(opener.dataset.open), verdict = getVerdict(row), mark = MARKS[verdict] ?? (data.suspected[row] ? "?" : "");
  mark ? opener.dataset.mark = mark : delete opener.dataset.mark;
  opener.title = !mark ? "" : !verdict ? "label in doubt" : (verdict === "unreadable" ? "" : "label ") + verdict;
}
refreshers.push(() => $$("[data-open]").forEach(markImage));

/* A decision beside the heading of each slice. */
for (const {slice, review, rule_text} of data.slices) {
  const heading = $(`#slice-${CSS.escape(slice)} :is(h3, th)`), template = $("#slice-review");
  if (!heading || !template) continue;
  const panel = template.content.firstElementChild.cloneNode(true), note = $("input", panel), buttons = $$("button", panel), mark = heading.appendChild(make("span.verdict"));
  const store = change => decide("slices", review.key, review, {note: note.value, ...change});
  for (const button of buttons) button.onclick = () => store({decision: button.ariaPressed === "true" ? "" : button.value});
  note.onchange = () => store({});
  panel.dataset.review = slice;
  $("bdi", panel).textContent = rule_text;
  heading.tagName === "TH" ? heading.append(panel) : heading.after(panel);
  refreshers.push(() => {
    const decision = getDecision("slices", review.key);
    press(buttons, buttons.find(button => button.value === decision.decision));
    [note.value, mark.textContent] = [decision.note ?? "", decision.decision ?? ""];
  });
}
for (const button of $$("[data-gallery]")) {
  const slice = data.slices.find(other => other.slice === button.dataset.gallery), place = button.parentElement.nextElementSibling;
  const close = () => { place.hidden = true; button.ariaExpanded = false; button.focus(); };
  button.onclick = () => {
    if (!place.hidden) return close();
    button.ariaExpanded = true;
    fillDrawer(place, ["All images of this slice"], slice.images, {close, address: getAddress({Slice: slice.name})});
  };
  place.onkeydown = event => { if (event.key === "Escape") close(); };
}
for (const button of $$("[data-brighten]")) button.onclick = () => { button.textContent = button.closest(".slice, .kind").classList.toggle("bright") ? "Original brightness" : "Brighten"; };

/* The list of decisions, and files of them. */
const decisionList = $("#decisions"), queue = Object.keys(data.suspected).map(Number).filter(row => details[row]).sort((a, b) => data.suspected[b][1] - data.suspected[a][1]);
const formatProgress = list => list.filter(getVerdict).length + " of " + list.length + " reviewed";
function exportImages(convert) {
  return table.path.flatMap((path, row) => {
    const decision = getDecision("labels", get(row, "image_id"));
    return decision.decision || decision.note || data.suspected[row] ? [convert(row, path, decision)] : [];
  });
}
function buildTask(row, path, {decision = "", suggested, note = ""}) {
  const label = getClass(row, "label"), answer = {right: label, wrong: suggested}[decision], [index, score] = data.suspected[row] ?? [];
  const choose = name => [{from_name: "label", to_name: "image", type: "choices", value: {choices: [name]}}];
  return {data: {image: "/data/local-files/?d=" + path, label, decision, note}, annotations: answer ? [{result: choose(answer)}] : [],
    predictions: classes[index] ? [{model_version: data.run_id, score, result: choose(classes[index])}] : []};
}
function buildSample(row, path, {decision}) {
  const tags = listSlices(row).map(slice => "slice " + slice.slice);
  if (data.suspected[row]) tags.push("label in doubt");
  if (decision) tags.push(decision === "unreadable" ? decision : "label " + decision);
  return {filepath: path, ground_truth: {_cls: "Classification", label: getClass(row, "label")}, tags};
}
function buildDecisionRow(kind, key) {
  const item = getDecision(kind, key), isHere = key in decisions[kind], withdraw = () => decide(kind, key, {[kind === "slices" ? "key" : "image_id"]: key}, {decision: "", note: ""});
  return make("tr", make("td", kind === "slices" ? "Slice" : "Label"), make("th", {scope: "row"}, bdi((kind === "slices" ? item.words : item.path) || key)),
    make("td", item.decision || (item.note ? "note only" : "withdrawn"), ...(item.suggested ? [", it is ", bdi(item.suggested)] : []), isHere ? "" : make("small", "before this run")),
    make("td", bdi(item.note ?? "")), make("td", makeButton("Undo", isHere ? () => restore(kind, key) : withdraw)));
}
const actions = {
  queue: () => openQueue(queue), found: () => openQueue(found), undo, clear: () => { state = new URLSearchParams(); setFilter(); showState(); },
  save: () => download("review", {review: 1, run_id: data.run_id, slices: Object.values(decisions.slices), labels: Object.values(decisions.labels)}),
  tasks: () => download("label-studio", exportImages(buildTask)), tags: () => download("fiftyone", {samples: exportImages(buildSample)}),
  discard: () => { if (confirm("Take back every decision that was made in this browser?")) for (const kind in decisions) for (const key in decisions[kind]) restore(kind, key); },
};
for (const button of $$("[data-act]")) button.onclick = actions[button.dataset.act];
if (decisionList) refreshers.push(() => {
  const isShown = (kind, key) => earlier[kind][key] || decisions[kind][key].decision || decisions[kind][key].note;
  const rows = ["slices", "labels"].flatMap(kind => Object.keys({...earlier[kind], ...decisions[kind]}).filter(key => isShown(kind, key)).map(key => buildDecisionRow(kind, key)));
  decisionList.tBodies[0].replaceChildren(...rows);
  decisionList.hidden = !rows.length;
  $("#progress").textContent = (queue.length ? "Labels in doubt: " + formatProgress(queue) + ". " : "No label is in doubt. ") + (rows.length ? "" : "No decisions in this browser yet.");
});

/* The explorer: all validation images, filtered, brushed and sorted. The address holds its state. */
const explorer = $("#images"), controls = $$(":is(select, input)[data-field]"), LEVELS = 48, BARS = 24, FIRST_CODE = 63, FIRST_PORTION = 48;
const latest = isRetrained ? "after" : "before", admitting = new Map(data.slices.map(slice => [slice.name, new Set(slice.admitted)]));
const getAddress = values => "#images?" + new URLSearchParams(values);
let state = new URLSearchParams(), found = [];
/* Of each field: the function of a chosen value that returns a test of rows. */
const passesAll = () => () => true, compare = getValue => value => row => getValue(row) === value, compareClass = column => value => { const index = classes.indexOf(value); return row => table[column][row] === index; };
const tests = {
  Change: compare(getChange), Label: compareClass("label"), Before: compareClass("before"), After: compareClass("after"), Review: compare(row => getVerdict(row) || "none"), "Label in doubt": compare(row => data.suspected[row] ? "yes" : "no"),
  Slice: value => row => admitting.has(value) ? admitting.get(value).has(row) : ![...admitting.values()].some(rows => rows.has(row)),
  Find: value => row => [describePlainly(row), get(row, "path"), getGroup(row)].some(text => text.toLowerCase().includes(value.toLowerCase())), Groups: passesAll, Sort: passesAll,
};
for (const {name, values, codes} of data.choices) tests[name] = value => { const code = values.indexOf(value); return row => codes[row] === code; };
/* A range that ends before it starts wraps around, such as the hours from 21 to 5. */
const isWithin = (level, [from, to]) => level >= 0 && (from <= to ? level >= from && level < to : level >= from || level < to);
const scales = new Map(data.scales.map(({name, low, high, codes}) => {
  const toLevel = text => Math.max(0, Math.min(LEVELS, Math.round((Number(text) - low) / (high - low) * LEVELS)));
  const parse = value => value.split("~").map((text, k) => text.trim() === "" || Number.isNaN(Number(text)) ? k * LEVELS : toLevel(text));
  const scale = {levels: Int8Array.from(codes, code => code.charCodeAt() - FIRST_CODE), counts: [], parse, format: level => formatNumber(low + (high - low) * level / LEVELS)};
  tests[name] = value => { const range = parse(value); return row => isWithin(scale.levels[row], range); };
  return [name, scale];
}));

function sortRows(list) {
  const [, name, way] = /^(.*) (up|down)$/.exec(state.get("Sort")) ?? [], levels = scales.get(name)?.levels, seen = new Set();
  const sorted = levels ? list.sort((a, b) => (levels[a] - levels[b]) * (way === "up" ? 1 : -1)) : list;
  return state.has("Groups") ? sorted.filter(row => !seen.has(table.group[row]) && seen.add(table.group[row])) : sorted;
}
/* A histogram counts the images that all other filters let through. */
function filterRows() {
  const active = [...state].map(([name, value]) => [name, tests[name](value)]), list = [];
  for (const scale of scales.values()) scale.counts = Array(BARS).fill(0);
  const count = ({levels, counts}, row) => { if (levels[row] >= 0) counts[levels[row] * BARS / LEVELS | 0]++; };
  for (const row of predicted) {
    const failed = active.filter(([, passes]) => !passes(row));
    if (!failed.length) { list.push(row); for (const scale of scales.values()) count(scale, row); }
    else if (failed.length === 1 && scales.has(failed[0][0])) count(scales.get(failed[0][0]), row);
  }
  return list;
}
function explore() {
  found = sortRows(filterRows());
  for (const show of brushes) show();
  $("#found").textContent = formatImages(found.length) + ", " + formatCount(found.filter(row => isWrong(row, latest)).length) + " of them misclassified";
  $("#results").replaceChildren(...buildPortions(found, listPredictions, FIRST_PORTION));
}
function setFilter(name, value) {
  value ? state.set(name, value) : state.delete(name);
  setAddress(getAddress(state));
  explore();
}
const brushes = $$("fieldset[data-field]").map(field => {
  const name = field.dataset.field, scale = scales.get(name), svg = $("svg", field), [outside, inside] = $$("path", field), ends = $$("input", field);
  const setRange = texts => setFilter(name, texts.some(text => text.trim()) ? texts.join("~") : "");
  const draw = range => [inside, outside].forEach((path, isOutside) => path.setAttribute("d", scale.counts.map((n, bar) => n && isWithin(bar * LEVELS / BARS, range) !== Boolean(isOutside) ? `M${bar} 10v${-Math.max(.4, 10 * n / Math.max(...scale.counts)).toFixed(2)}h.9V10z` : "").join("")));
  const findBar = event => { const box = svg.getBoundingClientRect(); return Math.max(0, Math.min(BARS - 1, Math.floor((event.clientX - box.x) / box.width * BARS))); };
  let start = null;
  const toRange = event => [Math.min(start, findBar(event)), Math.max(start, findBar(event)) + 1].map(bar => bar * LEVELS / BARS);
  svg.onpointerdown = event => { start = findBar(event); svg.setPointerCapture(event.pointerId); };
  svg.onpointermove = event => { if (start !== null) draw(toRange(event)); };
  svg.onpointerup = event => { const range = toRange(event); start = null; setRange(range.map(scale.format)); };
  for (const input of ends) input.onchange = () => setRange(ends.map(end => end.value));
  return () => {
    const texts = (state.get(name) ?? "~").split("~");
    ends.forEach((end, k) => { end.value = texts[k] ?? ""; });
    draw(scale.parse(texts[0] + "~" + (texts[1] ?? "")));
  };
});
for (const control of controls) control[control.type === "search" ? "oninput" : "onchange"] = () => setFilter(control.dataset.field, control.type !== "checkbox" ? control.value : control.checked ? control.value : "");
/* Names and values of an address that the page does not know are left out. */
function showState() {
  for (const name of [...state.keys()]) if (!Object.hasOwn(tests, name)) state.delete(name);
  for (const control of controls) {
    const value = state.get(control.dataset.field) ?? "";
    control.type === "checkbox" ? control.checked = value : control.value = value;
    if (control.value !== value && control.type !== "checkbox") { state.delete(control.dataset.field); control.value = ""; }
  }
  explore();
}
function openAddress() {
  const [address, query] = /^#images(?:\?(.*))?$/.exec(location.hash) ?? [];
  if (!address || !explorer) return openAddressedCell();
  state = new URLSearchParams(query ?? "");
  showState();
  explorer.scrollIntoView({behavior: "instant"});
}
if (explorer) {
  if (innerWidth < 700) $("details", explorer).open = false;
  showState();
}

/* Confusion matrices; "other" merges classes that are not shown. */
const OTHER = "other", drawer = $("#cell"), matrices = $("#matrices");
let keys = data.kept_classes.length < classes.length ? [...data.kept_classes, OTHER] : data.kept_classes, openedCell = null;
const nameKey = key => key === OTHER ? "(other)" : classes[key];
const parseKey = text => text === OTHER ? OTHER : Number(text);
const findCell = (view, label, prediction) => $(`table[data-view=${view}] [data-cell="${label},${prediction}"]`);
function listCellImages(view, label, prediction) {
  const toKey = index => keys.includes(index) ? index : OTHER, isIn = (row, model) => toKey(table.label[row]) === label && toKey(table[model][row]) === prediction;
  return predicted.filter(row => view === "change" ? isIn(row, "before") !== isIn(row, "after") : isIn(row, view));
}
const expandCell = isExpanded => { const cell = openedCell && findCell(...openedCell); if (cell) cell.ariaExpanded = isExpanded; return cell; };
function closeCell() {
  if (!openedCell) return;
  drawer.hidden = true;
  expandCell(false)?.focus();
  openedCell = null;
  setAddress("#confusion_matrix");
}
function openCell(view, label, prediction) {
  const list = listCellImages(view, label, prediction), isRight = label === prediction && label !== OTHER;
  expandCell(false);
  openedCell = [view, label, prediction];
  expandCell(true);
  const model = view === "change" ? ", images that entered or left" : isRetrained ? ", " + view : "";
  const title = [bdi(nameKey(label)), ...(isRight ? [" predicted correctly"] : [" predicted as ", bdi(nameKey(prediction))]), model];
  const address = view === "change" || label === OTHER || prediction === OTHER ? "" : getAddress({Label: classes[label], [view === "after" ? "After" : "Before"]: classes[prediction]});
  fillDrawer(drawer, title, list, {caption: listPredictions, close: closeCell, address});
  setAddress("#cell=" + label + "," + prediction + (view === "before" ? "" : "," + view));
  drawer.focus({preventScroll: true});
  drawer.scrollIntoView({block: "nearest"});
}
function openAddressedCell() {
  const [, ...parts] = /^#cell=(\d+|other),(\d+|other)(?:,(before|after|change))?$/.exec(location.hash) ?? [], view = parts[2] ?? "before";
  const cell = parts.slice(0, 2).map(parseKey), isShown = cell.every(key => keys.includes(key));
  if (!drawer || !parts.length || cell.some(key => key !== OTHER && !(key < classes.length)) || !$(`table[data-view=${view}]`) || !(isShown || data.cells.length)) return;
  if (!isShown) redraw([...new Set([...cell, ...data.kept_classes])].filter(key => key !== OTHER).sort((a, b) => a - b));
  openCell(view, ...cell);
}
if (matrices) {
  matrices.addEventListener("click", event => {
    const cell = event.target.closest(".cell");
    if (cell) openCell(cell.closest("table").dataset.view, ...cell.dataset.cell.split(",").map(parseKey));
  });
  matrices.addEventListener("keydown", event => {
    const cell = event.target.closest(".cell"), step = ARROWS[event.key] ?? {Home: [1, 0], End: [-1, 0]}[event.key];
    if (!cell || !step) return;
    const {rows} = cell.closest("tbody"), isJump = !event.key.startsWith("Arrow"), [dx, dy] = step;
    let y = cell.closest("tr").rowIndex - 1 + dy, x = !isJump ? cell.parentElement.cellIndex + dx : dx > 0 ? 1 : rows[0].cells.length - 1, next = null;
    for (; rows[y] && x > 0 && rows[y].cells[x] && !(next = $("button", rows[y].cells[x])); y += dy, x += dx);
    event.preventDefault();
    if (!next) return;
    cell.tabIndex = -1; next.tabIndex = 0; next.focus();
  });
  for (const unit of $$("[data-unit]")) unit.onclick = () => { matrices.classList.toggle("pct", unit.dataset.unit === "p"); press($$("[data-unit]"), unit); };
}

/* Many classes. Steps as in matrix_cells.py. */
const CORRECT_STEPS = [.5, .75, .9], ERROR_STEPS = [.03, .1, .25], CHANGE_STEPS = [.02, .06, .15];
const chooseCssClass = (isGood, n, share, steps) => n ? (isGood ? "right" : "wrong") + (1 + steps.filter(step => share >= step).length) : "zero";
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
  const buildHeading = (scope, key) => make("th", {scope, title: nameKey(key)}, make("span", bdi(nameKey(key))));
  let tabIndex = 0;
  const buildCell = (y, x) => {
    const [before, after] = cells.get(y * size + x) ?? [0, 0], n = isChange ? after - before : view === "after" ? after : before, td = make("td");
    if (!n && !(isChange && before + after && listCellImages("change", keys[y], keys[x]).length)) return td;
    const share = totals[y] ? n / totals[y] : 0, sign = isChange ? getSign(n) : "", steps = isChange ? CHANGE_STEPS : y === x ? CORRECT_STEPS : ERROR_STEPS;
    const cssClass = n && keys[y] === OTHER && y === x ? "mixed" : chooseCssClass(isChange ? (n > 0) === (y === x) : y === x, n, Math.abs(share), steps);
    td.append(make("button.cell." + cssClass, {type: "button", "data-cell": keys[y] + "," + keys[x], tabIndex}, make("span.n", sign + formatCount(Math.abs(n))), make("span.p", sign + (100 * Math.abs(share)).toFixed(1))));
    tabIndex = -1;
    return td;
  };
  const corner = make("th.corner", {scope: "col"}, make("span.sr", "label, then prediction"), make("span", {ariaHidden: "true"}, "predicted →", make("br"), "label ↓"));
  return [make("thead", make("tr", corner, ...keys.map(key => buildHeading("col", key)))), make("tbody", ...keys.map((key, y) => make("tr", buildHeading("row", key), ...keys.map((_, x) => buildCell(y, x)))))];
}
const MAX_MATRICES_SIZE = 60, MAX_WIDE_SIZE = 30;
let shownView = "before";
function redraw(indices) {
  closeCell();
  keys = indices.length < classes.length ? [...indices, OTHER] : indices;
  const showsOne = keys.length > MAX_MATRICES_SIZE;
  matrices.classList.toggle("whole", keys.length > MAX_WIDE_SIZE);
  for (const matrix of $$("table[data-view]", matrices)) {
    const isShown = !showsOne || matrix.dataset.view === shownView;
    matrix.closest("figure").hidden = !isShown;
    matrix.replaceChildren(...(isShown ? buildMatrix(matrix.dataset.view) : []));
  }
  $("#views").hidden = !showsOne;
}
if ($("#whole")) {
  const MAX_MATCHES = 12, MAX_PARTNERS = 3;
  const input = $("#find-class"), whole = $("#whole"), wholeText = whole.textContent, allClasses = classes.map((_, k) => k);
  const listPartners = index => data.cells.filter(cell => (cell[0] === index) !== (cell[1] === index)).sort((a, b) => Math.max(b[2], b[3]) - Math.max(a[2], a[3])).slice(0, MAX_PARTNERS).map(cell => cell[0] === index ? cell[1] : cell[0]);
  const showWhole = isWhole => {
    whole.ariaPressed = isWhole;
    whole.textContent = isWhole ? "Show the most confused" : wholeText;
  };
  input.oninput = () => {
    const text = input.value.trim().toLowerCase(), matches = allClasses.filter(k => text && classes[k].toLowerCase().includes(text)).slice(0, MAX_MATCHES);
    showWhole(false);
    $("#class-status").textContent = !text ? "" : matches.length ? matches.length + " found, with the classes they are confused with" : "No class found";
    redraw(matches.length ? [...new Set([...matches, ...matches.flatMap(listPartners)])].sort((a, b) => a - b) : data.kept_classes);
  };
  whole.onclick = () => {
    const isWhole = whole.ariaPressed !== "true";
    showWhole(isWhole);
    redraw(isWhole ? allClasses : data.kept_classes);
  };
  for (const view of $$("#views button")) view.onclick = () => { shownView = view.dataset.show; press($$("#views button"), view); redraw(allClasses); };
}

/* The image window, also the queue of labels to judge. */
const viewer = $("#viewer"), part = Object.fromEntries($$("[data-k]", viewer).map(node => [node.dataset.k, node])), MAX_NEIGHBORS = 6;
const saliencyButtons = $$("button", part.saliency), verdictButtons = Object.keys(MARKS).map(name => part[name]);
let viewed = [], current = 0, viewerOpener = null, isQueue = false, saliency = "";
part.suggested.append(...classes.map(name => make("option", name)));
function listFacts(row) {
  const [index, probability, kind] = data.suspected[row] ?? [], models = isRetrained ? {before: "Before", control: "Control arm", after: "After"} : {before: "Prediction"}, facts = [["Label", getClass(row, "label")]];
  if (kind) facts.push(["Label in doubt", classes[index] ? "probably " + classes[index] : kind, kind + ", " + formatPercent(probability)]);
  for (const [model, name] of Object.entries(models)) facts.push([name, getClass(row, model), get(row, "p_" + model) == null ? "" : "label probability " + formatPercent(get(row, "p_" + model))]);
  if (isRetrained && table.before[row] >= 0) facts.push(["Change", getChange(row)]);
  facts.push(["Slice", listSlices(row).map(slice => slice.title + (slice.images.includes(row) ? "" : " (proposed the rule)")).join("; ")]);
  facts.push(["Captured", get(row, "captured_at")], ["Group", getGroup(row)], ["Split", get(row, "split")]);
  for (const [names, column] of [["user_columns", "user_values"], ["attributes", "attribute_values"]]) data[names].forEach((name, k) => facts.push([name, String(get(row, column)?.[k] ?? "").replace(/^-/, "\u2212")]));
  return [...facts, ["Path", get(row, "path")]].filter(fact => fact[1]);
}
function buildRankings(row) {
  return (get(row, "top_predictions") ?? []).slice(0, isRetrained ? 2 : 1).map((ranked, model) => {
    const lines = [];
    for (let i = 0; i < ranked.length; i += 2) lines.push(make("tr", {className: ranked[i] === table.label[row] ? "label" : ""}, make("th", {scope: "row"}, bdi(classes[ranked[i]])), make("td", make("meter", {max: 1000, value: ranked[i + 1], ariaHidden: true})), make("td.num", formatPercent(ranked[i + 1] / 1000))));
    return make("table.ranking", make("caption", "Most probable" + (isRetrained ? [" before", " after"][model] : "")), make("tbody", ...lines));
  });
}
function buildNeighbors(row) {
  const others = table.path.map((_, other) => other).filter(other => other !== row && table.group[other] === table.group[row] && sources[other]).slice(0, MAX_NEIGHBORS);
  return others.map(other => make("figure", buildPicture(other), make("figcaption", ...listPredictions(other))));
}
function showImage(index) {
  current = (index + viewed.length) % viewed.length;
  const row = viewed[current], maps = sources[row] && data.heat_maps[row], decision = getDecision("labels", get(row, "image_id"));
  part.place.textContent = (current + 1) + " of " + viewed.length + (isQueue ? "; " + formatProgress(viewed) : "");
  part.frame.replaceChildren(...(sources[row] ? [buildPicture(row)] : []), ...(maps && saliency ? [make("img.heat", {src: toSource(maps[saliency === "after" ? 1 : 0]), alt: "Saliency map of the prediction " + saliency})] : []));
  part.saliency.hidden = !maps;
  press(saliencyButtons, saliencyButtons.find(button => button.value === saliency));
  part.neighbors.replaceChildren(...buildNeighbors(row));
  part.rankings.replaceChildren(...buildRankings(row));
  part.judge.hidden = !details[row];
  press(verdictButtons, part[decision.decision]);
  for (const option of part.suggested.options) option.disabled = option.value === getClass(row, "label");
  part.suggested.value = decision.suggested || classes[data.suspected[row]?.[0]] || "";
  part.note.value = decision.note ?? "";
  part.facts.replaceChildren(...listFacts(row).flatMap(([name, value, detail]) => [make("dt", name), make("dd", bdi(value), detail ? make("div.ci", detail) : "")]));
}
function judge(change) {
  const row = viewed[current], key = get(row, "image_id");
  decide("labels", key, {image_id: key, path: get(row, "path"), label: getClass(row, "label")}, {note: part.note.value, suggested: part.suggested.value, ...change});
  const next = viewed.map((_, k) => (current + 1 + k) % viewed.length).find(k => !getVerdict(viewed[k]));
  showImage(isQueue && change.decision ? next ?? current : current);
}
for (const [name, act] of Object.entries({
  previous: () => showImage(current - 1), next: () => showImage(current + 1), close: () => viewer.close(), bright: () => { part.bright.ariaPressed = part.frame.classList.toggle("bright"); },
  undo: () => { const key = undo(), place = viewed.findIndex(row => get(row, "image_id") === key); showImage(place < 0 ? current : place); },
  copy: () => {
    const show = text => () => { part.copy.textContent = text; };
    getSelection().selectAllChildren(part.facts.lastChild);
    (navigator.clipboard?.writeText(get(viewed[current], "path")) ?? Promise.reject()).then(show("Copied"), show("Press Ctrl+C"));
  },
})) part[name].onclick = act;
for (const button of saliencyButtons) button.onclick = () => { saliency = button.value; showImage(current); };
for (const button of verdictButtons) button.onclick = () => judge(button.ariaPressed === "true" ? {decision: "", suggested: ""} : {decision: button.value, ...(button.value === "wrong" ? {} : {suggested: ""})});
part.suggested.onchange = () => { if (getVerdict(viewed[current]) === "wrong") judge({}); };
part.note.onchange = () => judge({suggested: getDecision("labels", get(viewed[current], "image_id")).suggested ?? ""});
function openViewer(list, index, opener, asQueue = false) {
  [viewed, viewerOpener, isQueue] = [list, opener, asQueue];
  part.copy.textContent = "Copy path";
  showImage(index);
  viewer.showModal();
}
function openQueue(list) {
  const rows = list.filter(row => details[row]);
  if (rows.length) openViewer(rows, Math.max(0, rows.findIndex(row => !getVerdict(row))), document.activeElement, true);
}
document.addEventListener("click", event => {
  const opener = event.target.closest("[data-open]");
  if (!opener) return;
  const all = $$("[data-open]", opener.closest(".sheet,.pairs,.cards,.strip") ?? document);
  openViewer(all.map(other => Number(other.dataset.open)), all.indexOf(opener), opener);
});
viewer.onclose = () => { viewerOpener?.focus(); if (state.has("Review")) explore(); };
for (const dialog of $$("dialog")) dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
const VIEWER_KEYS = {ArrowLeft: "previous", ArrowRight: "next", n: "next", b: "bright", c: "copy", w: "wrong", r: "right", u: "unreadable", z: "undo"};
viewer.onkeydown = event => {
  if (isTyping(event.target) || hasModifier(event)) return;
  const next = saliencyButtons[(saliencyButtons.findIndex(button => button.value === saliency) + 1) % saliencyButtons.length];
  const button = event.key === "s" && !part.saliency.hidden ? next : part[VIEWER_KEYS[event.key]];
  if (button?.checkVisibility()) { event.preventDefault(); button.click(); }
};

/* The embedding map: a drawing that answers to pointing, clicks, keys and a line around marks. */
const map = $("#map");
function openMap() {
  const NEIGHBORS = 48, CLICK_RADIUS = 30, MIN_LINE_POINTS = 6, svg = $("svg", map), {width: WIDTH, height: HEIGHT} = svg.viewBox.baseVal;
  const points = data.map_points.map(([x, y, slice, isBad, row, ...tsne]) => ({places: [[x, y], tsne], slice, mark: slice + "," + isBad, row}));
  const ring = $("circle", svg), line = $("polyline", svg), status = $("#map-status"), tip = $(".tip", map);
  let visible = [], chosen = null, drawn = null;
  const placePoints = layout => {
    visible = points.filter(point => point.places[layout].length);
    for (const point of visible) [point.x, point.y] = point.places[layout];
    for (const path of $$("[data-dot]", svg)) path.setAttribute("d", visible.filter(point => point.mark === path.dataset.dot).map(point => `M${point.x} ${point.y}` + path.dataset.shape).join(""));
    chosen = null; status.textContent = ""; ring.setAttribute("cx", -99);
  };
  placePoints(0);
  for (const button of $$("[data-map]")) button.onclick = () => { placePoints(Number(button.dataset.map)); press($$("[data-map]"), button); };
  const squareDistance = (a, b) => (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
  const listNearest = place => [...visible].sort((a, b) => squareDistance(a, place) - squareDistance(b, place)).slice(0, NEIGHBORS);
  const findNearest = place => visible.reduce((a, b) => !a || squareDistance(b, place) < squareDistance(a, place) ? b : a, null);
  const findAt = place => { const nearest = findNearest(place); return nearest && squareDistance(nearest, place) < CLICK_RADIUS ** 2 ? nearest : null; };
  const choose = point => {
    chosen = point;
    ring.setAttribute("cx", point.x); ring.setAttribute("cy", point.y);
    status.textContent = "Chosen: " + describePlainly(point.row) + ", " + get(point.row, "path") + (point.slice ? ", in “" + data.slices[point.slice - 1].title + "”" : "");
  };
  const openChosen = () => openViewer(listNearest(chosen).map(point => point.row), 0, map);
  const listImages = (title, inside) => {
    const box = $("#lasso");
    fillDrawer(box, [title], inside.map(point => point.row), {caption: listPredictions, close: () => { box.hidden = true; line.setAttribute("points", ""); map.focus(); }});
  };
  const toPlace = event => { const box = svg.getBoundingClientRect(); return {x: (event.clientX - box.x) / box.width * WIDTH, y: (event.clientY - box.y) / box.height * HEIGHT}; };
  /* Even-odd rule: a point is inside if a ray from it crosses the line an odd number of times. */
  const isInside = (point, corners) => corners.filter((a, k) => { const b = corners[(k + 1) % corners.length]; return (a.y > point.y) !== (b.y > point.y) && point.x < (b.x - a.x) * (point.y - a.y) / (b.y - a.y) + a.x; }).length % 2 === 1;
  svg.onpointerdown = event => {
    drawn = event.pointerType === "touch" ? null : [toPlace(event)];
    if (drawn) svg.setPointerCapture(event.pointerId);
  };
  svg.onpointermove = event => {
    const place = toPlace(event), point = event.buttons ? null : findAt(place);
    if (drawn && event.buttons) { drawn.push(place); line.setAttribute("points", drawn.map(({x, y}) => x.toFixed() + "," + y.toFixed()).join(" ")); }
    tip.hidden = !point;
    if (!point) return;
    tip.replaceChildren(buildPicture(point.row), make("figcaption", ...buildCaption(point.row)));
    const box = map.getBoundingClientRect();
    tip.style.left = Math.min(event.clientX - box.x + 14, box.width - 120) + "px";
    tip.style.top = Math.min(event.clientY - box.y + 14, box.height - 150) + "px";
  };
  svg.onpointerleave = () => { tip.hidden = true; };
  svg.onpointerup = () => {
    if (drawn?.length >= MIN_LINE_POINTS) listImages("Images inside the line", visible.filter(point => isInside(point, drawn)));
    else line.setAttribute("points", "");
  };
  svg.onclick = event => {
    const nearest = drawn?.length >= MIN_LINE_POINTS ? null : findAt(toPlace(event));
    if (nearest) { choose(nearest); openChosen(); }
  };
  map.onkeydown = event => {
    const step = ARROWS[event.key];
    if (!step && !(chosen && (event.key === "Enter" || event.key === " "))) return;
    event.preventDefault();
    if (!step) return event.key === " " ? listImages("Images around the chosen one", listNearest(chosen)) : openChosen();
    if (!chosen) return choose(findNearest({x: WIDTH / 2, y: HEIGHT / 2}));
    const measureAhead = point => (point.x - chosen.x) * step[0] + (point.y - chosen.y) * step[1];
    const ahead = visible.filter(point => measureAhead(point) > .5 && squareDistance(point, chosen) < 4 * measureAhead(point) ** 2);
    if (ahead.length) choose(ahead.reduce((a, b) => squareDistance(b, chosen) < squareDistance(a, chosen) ? b : a));
  };
}
if (map) openMap();

/* Keyboard shortcuts of the whole page. */
const help = $("#help");
document.addEventListener("keydown", event => {
  if (hasModifier(event)) return;
  if (event.key === "Escape" && !$("dialog[open]") && openedCell && (drawer.contains(event.target) || event.target.closest(".cell"))) closeCell();
  if (isTyping(event.target) || $("dialog[open]")) return;
  const act = {"/": () => { explorer?.scrollIntoView(); $("#find")?.focus(); }, l: actions.queue, s: actions.save, z: undo, "?": () => help.showModal()}[event.key];
  if (act) { event.preventDefault(); act(); }
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
addEventListener("hashchange", openAddress);

/* Sections are laid out when idle, or before a jump. */
const waiting = $$(".part"), whenIdle = window.requestIdleCallback ?? setTimeout;
const reveal = n => { for (const section of waiting.splice(0, n)) section.classList.add("revealed"); if (waiting.length) whenIdle(() => reveal(1)); };
document.addEventListener("click", event => { if (event.target.closest("a[href^='#']")) reveal(99); }, true);
document.addEventListener("keydown", () => reveal(99), {capture: true, once: true});
reveal(location.hash ? 99 : 1);
refresh();
openAddress();
