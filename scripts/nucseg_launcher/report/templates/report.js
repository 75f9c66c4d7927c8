"use strict";

// Sorting: the first click on numbers puts the largest first, on words A first; rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const words = heading.classList.contains("words");
    const before = heading.getAttribute("aria-sort");
    const ascending = before === "none" ? words : before === "descending";
    headings.forEach(other => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const value = row => {
      const cell = row.cells[column];
      return words ? cell.textContent.trim() : cell?.dataset.order === undefined ? null : Number(cell.dataset.order);
    };
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [first, second] = [value(a), value(b)];
      if (first === null || second === null) return (first === null) - (second === null);
      const order = words ? first.localeCompare(second, "en", { numeric: true }) : first - second;
      return ascending ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }));
}

// The image alone: while a mouse is over it, or from one tap to the next. CSS's :hover would stay on after a tap.
for (const picture of document.querySelectorAll("button.picture")) {
  picture.addEventListener("pointerenter", event => picture.classList.toggle("hovered", event.pointerType === "mouse"));
  picture.addEventListener("pointerleave", () => picture.classList.remove("hovered"));
  picture.addEventListener("click", () => {
    picture.setAttribute("aria-pressed", picture.getAttribute("aria-pressed") !== "true");
  });
}

const viewers = JSON.parse(document.getElementById("viewers").textContent);
for (const figure of document.querySelectorAll(".viewer")) {
  const { planes, z_um, slices, outlines } = viewers[figure.dataset.viewer];
  const slider = figure.querySelector("input[type=range]");
  const image = figure.querySelector("image");
  const paths = [...figure.querySelectorAll("path.outline")];
  const show = () => {
    const number = Number(slider.value);
    const depth = z_um ? ` (${(planes[number] * z_um).toFixed(1)} µm)` : "";
    figure.querySelector("output").textContent = planes[number] + depth;
    slider.setAttribute("aria-valuetext", planes[number] + depth);
    image.setAttribute("href", slices[number]);
    for (const path of paths) path.setAttribute("d", outlines[path.dataset.layer][number]);
  };
  slider.addEventListener("input", show);
  for (const box of figure.querySelectorAll("input[type=checkbox]")) {
    const toggle = () => {
      for (const path of paths) if (path.dataset.layer === box.value) path.toggleAttribute("hidden", !box.checked);
    };
    box.addEventListener("change", toggle);
  }
  show();
}
