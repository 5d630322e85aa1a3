/* Elements and numbers, for every page. */
const $ = (selector, root = document) => root.querySelector(selector), $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const data = JSON.parse($("#data").textContent);

const isPlain = value => Object.getPrototypeOf(value ?? "") === Object.prototype;
/* `make("p.aside", {id: "x"}, "text", child)`; the properties may be left out. */
function make(tag, properties, ...children) {
  const [name, ...styles] = tag.split("."), node = document.createElement(name);
  if (styles.length) node.className = styles.join(" ");
  if (!isPlain(properties)) children.unshift(properties ?? "");
  else for (const [key, value] of Object.entries(properties)) key in node ? node[key] = value : node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const bdi = text => make("bdi", text);

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
document.documentElement.classList.add("on");
