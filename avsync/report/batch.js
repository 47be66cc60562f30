// The rows stand worst first without this: it sorts and filters them, and opens the one that the address names.
{
  const rows = [...document.querySelectorAll(".row")];
  const place = document.getElementById("rows");
  const form = document.querySelector(".controls");
  const name = document.getElementById("name-filter");
  const shown = document.getElementById("shown");
  const heads = [...document.querySelectorAll("[data-sort]")];
  // Which way a column is sorted at first: names from A, numbers from the largest, the worst first.
  const first = { name: 1, worst: 1, offset: -1, out: -1, sure: -1 };
  let key = "worst", way = 1;
  const compare = (a, b) => {
    const [left, right] = [a.dataset[key], b.dataset[key]];
    if (key === "name") return way * left.localeCompare(right, undefined, { numeric: true });
    // What has no number comes last, whichever way.
    if (left === "" || right === "") return (left === "") - (right === "");
    return way * (left - right);
  };
  const show = () => {
    const kind = form.elements.kind.value, part = name.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !((!kind || row.dataset.kind === kind) && row.dataset.name.toLowerCase().includes(part));
      count += !row.hidden;
    }
    shown.textContent = count === rows.length ? `all ${count} files` : `${count} of ${rows.length} files`;
  };
  const sort = () => {
    rows.sort((a, b) => compare(a, b) || a.dataset.worst - b.dataset.worst);
    place.append(...rows);
    for (const head of heads) {
      const on = head.dataset.sort === key;
      head.setAttribute("aria-pressed", on);
      if (on && key !== "worst") head.dataset.way = way; else delete head.dataset.way;
    }
  };
  for (const head of heads) {
    head.disabled = false;
    head.addEventListener("click", () => {
      way = key === head.dataset.sort ? -way : first[head.dataset.sort];
      key = head.dataset.sort;
      sort();
    });
  }
  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  const open = () => {
    const row = document.getElementById(location.hash.slice(1));
    if (row && row.matches(".row")) { row.open = true; row.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  show();
  open();
}
