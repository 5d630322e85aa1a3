(() => {
"use strict";
const $ = selector => document.querySelector(selector), $$ = selector => [...document.querySelectorAll(selector)];
const {runs} = JSON.parse($("#data").textContent);
document.documentElement.classList.add("on");

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) key in node ? node[key] = value : node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/* Runs of one config; its name is kept in the address. */
const chooser = $("#name");
if (chooser) {
  const filter = () => { for (const part of $$("[data-name]")) {
    part.hidden = chooser.value !== "" && part.dataset.name !== chooser.value;
    if (part.open === false && part.dataset.name === chooser.value) part.open = true;
  } };
  chooser.onchange = () => { history.replaceState(null, "", "#name=" + encodeURIComponent(chooser.value)); filter(); };
  const restore = () => {
    const name = decodeURIComponent(location.hash.replace(/^#name=/, ""));
    chooser.value = [...chooser.options].some(option => option.value === name) ? name : "";
    filter();
  };
  addEventListener("hashchange", restore);
  restore();
}

/* Two runs side by side, with their images. */
const selects = $$("#compare select"), output = $("#compared");
if (output) {
  const formatPoints = n => (Math.abs(n) < .05 ? "" : n < 0 ? "\u2212" : "+") + Math.abs(n).toFixed(1) + " points";
  const buildCell = (run, line, other) => {
    const cell = make("td", {className: line?.picture ? "" : "num", "data-l": run.run_id});
    if (line?.picture) cell.append(make("img", {src: line.picture, loading: "lazy", alt: line.name + ", run " + run.run_id}));
    else cell.append(line ? line.text : "\u2013");
    if (line && other && line.value !== null && other.value !== null) cell.append(make("small", {}, formatPoints(100 * (line.value - other.value))));
    return cell;
  };
  const show = () => {
    const pair = selects.map(select => runs[Number(select.value)]);
    const names = [...new Set(pair.flatMap(run => run.lines.map(line => line.name)))];
    const rows = names.map(name => {
      const [a, b] = pair.map(run => run.lines.find(line => line.name === name));
      return make("tr", {}, make("th", {scope: "row"}, make("bdi", {}, name)), buildCell(pair[0], a), buildCell(pair[1], b, a === b ? undefined : a));
    });
    const heads = pair.map(run => make("th", {scope: "col", className: "num"}, make("bdi", {}, run.run_id)));
    const corner = make("th", {scope: "col"}, make("span", {className: "sr"}, "Figure"));
    output.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, corner, ...heads)), make("tbody", {}, ...rows)));
    output.hidden = false;
  };
  for (const select of selects) select.onchange = show;
  output.closest("details").ontoggle = event => { if (event.target.open) show(); };
}
})();
