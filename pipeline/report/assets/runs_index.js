/* The list of all runs: two runs side by side. */
function compareRuns() {
  const selects = $$("#compare select"), output = $("#compared"), details = $("#compare").closest("details");
  const formatPoints = n => (Math.abs(n) < .05 ? "" : n < 0 ? "\u2212" : "+") + Math.abs(n).toFixed(1) + " points";
  const buildCell = (run, line, other) => {
    const cell = make("td.num", {"data-l": run.run_id}, line ? line.text : "\u2013");
    if (line && other && line.value !== null && other.value !== null) cell.append(make("small", formatPoints(100 * (line.value - other.value))));
    return cell;
  };
  const show = () => {
    const [first, second] = selects.map(select => data.runs[Number(select.value)]);
    const names = [...new Set([...first.lines, ...second.lines].map(line => line.name))];
    const rows = names.map(name => {
      const [a, b] = [first, second].map(run => run.lines.find(line => line.name === name));
      return make("tr", make("th", {scope: "row"}, bdi(name)), buildCell(first, a), buildCell(second, b, a === b ? undefined : a));
    });
    const corner = make("th", {scope: "col"}, make("span.sr", "Figure"));
    const head = make("tr", corner, ...[first, second].map(run => make("th", {scope: "col", className: "num"}, bdi(run.run_id))));
    output.hidden = false;
    output.replaceChildren(make("table.list.fold", make("thead", head), make("tbody", ...rows)));
  };
  for (const select of selects) select.onchange = show;
  details.ontoggle = () => { if (details.open) show(); };
}
if ($("#compare")) compareRuns();
