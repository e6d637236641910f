"use strict";
// Tables: sort, filter, page, CSV. Rows of long tables come as markup from the page's own payload.
const PAGE_ROWS = 50;
const grids = new Map();

function all(selector, within) {
  return Array.from((within || document).querySelectorAll(selector));
}

function make(tag, text, className) {
  const element = document.createElement(tag);
  element.textContent = text === undefined ? "" : text;
  if (className) {
    element.className = className;
  }
  return element;
}

const payload = (async () => {
  const packed = Uint8Array.from(atob(document.getElementById("payload").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
})().catch(() => ({ tables: {}, figures: {}, sources: { runs: [], sets: [] } }));

const reader = document.createElement("template");
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'" };

function strip(markup, between) {
  return markup.replace(/<[^>]*>/g, between).replace(/&(?:amp|lt|gt|#34|#39);/g, (entity) => ENTITIES[entity]);
}

class Grid {
  constructor(table) {
    this.table = table;
    this.heads = Array.from(table.tHead.rows[0].cells);
    this.nodes = Array.from(table.tBodies[0].rows);
    this.strings = this.nodes.map((row) => row.outerHTML);
    this.size = Infinity;
    this.page = 0;
    this.reset();
  }

  reset() {
    this.order = this.strings.map((_, index) => index);
    this.shown = this.order;
    this.texts = null;
  }

  adopt(strings) {
    this.strings = strings;
    this.size = PAGE_ROWS;
    this.reset();
    this.draw();
  }

  node(index) {
    if (!this.nodes[index]) {
      reader.innerHTML = this.strings[index]; // markup that this page was made with: texts were escaped when it was made
      this.nodes[index] = reader.content.firstElementChild;
    }
    return this.nodes[index];
  }

  key(index, column) {
    const cell = this.strings[index].split("<td")[column + 1] || "";
    const number = /data-value="([^"]*)"/.exec(cell);
    if (number) {
      return number[1] === "" ? null : Number(number[1]);
    }
    return strip(cell.replace(/^[^>]*>/, ""), "").trim() || null;
  }

  sort(column) {
    const head = this.heads[column];
    const up = head.getAttribute("aria-sort") !== "ascending";
    this.heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const words = new Intl.Collator("en", { numeric: true });
    const keys = this.strings.map((_, index) => this.key(index, column));
    const compare = (a, b) => {
      if (keys[a] === null || keys[b] === null) {
        return (keys[a] === null) - (keys[b] === null); // the unknown stays at the end
      }
      const kinds = (typeof keys[a] === "string") - (typeof keys[b] === "string"); // numbers before words
      const order = kinds || (typeof keys[a] === "number" ? keys[a] - keys[b] : words.compare(keys[a], keys[b]));
      return up ? order : -order;
    };
    this.order = this.strings.map((_, index) => index).sort(compare);
    this.filter(this.words || []);
  }

  filter(words) {
    this.words = words;
    this.texts = this.texts || this.strings.map((row) => strip(row, " ").toLowerCase());
    this.shown = words.length
      ? this.order.filter((index) => words.every((word) => this.texts[index].includes(word)))
      : this.order;
    this.page = 0;
    this.draw();
  }

  turn(page) {
    this.page = Math.max(0, Math.min(page, this.pages() - 1));
    this.draw();
  }

  pages() {
    return Math.max(1, Math.ceil(this.shown.length / this.size));
  }

  draw() {
    const begin = this.size === Infinity ? 0 : this.page * this.size;
    this.table.tBodies[0].replaceChildren(
      ...this.shown.slice(begin, begin + this.size).map((index) => this.node(index))
    );
    this.table.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
  }

  widen(most) {
    const { size, page } = this;
    if (this.strings.length > most || size === Infinity) {
      return () => {};
    }
    this.size = Infinity;
    this.turn(0);
    return () => {
      this.size = size;
      this.turn(page);
    };
  }

  show(index) {
    if (!this.shown.includes(index)) {
      const input = this.tools && this.tools.querySelector("input");
      if (input) {
        input.value = "";
      }
      this.filter([]);
    }
    this.turn(Math.floor(this.shown.indexOf(index) / this.size) || 0);
    const row = this.node(index);
    all("tr.hit").forEach((other) => other.classList.remove("hit"));
    row.classList.add("hit");
    for (let fold = row.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      fold.open = true;
    }
    row.scrollIntoView({ block: "center" });
    row.tabIndex = -1;
    row.focus({ preventScroll: true });
  }

  cells(index) {
    return Array.from(this.node(index).cells).map((cell) => cell.textContent.replace(/\s+/g, " ").trim());
  }

  flatten() {
    const rows = this.order.map((index) => Array.from(this.node(index).cells));
    const names = [];
    const columns = this.heads.map((head, column) => {
      const name = head.querySelector(".h").textContent;
      const most = Math.max(0, ...rows.map((row) => row[column].querySelectorAll("[data-value]").length));
      for (let part = 0; part < most; part += 1) {
        names.push(part ? `${name} (${part + 1})` : name);
      }
      names.push(most ? `${name}, as shown` : name);
      return most;
    });
    const lines = rows.map((row) =>
      columns.flatMap((most, column) => {
        const values = all("[data-value]", row[column]).map((number) => number.dataset.value);
        const exact = values.map((value) => (value === "" ? null : Number(value)));
        const text = row[column].textContent.replace(/\s+/g, " ").trim();
        return [...exact, ...Array(most - values.length).fill(null), text];
      })
    );
    return [names, lines];
  }

  csv() {
    const [names, lines] = this.flatten();
    const write = (value) => (value === null ? "" : typeof value === "number" ? String(value) : quote(value));
    return [names.map(quote), ...lines.map((line) => line.map(write)), []].map((line) => line.join(",")).join("\r\n");
  }

  json() {
    const [names, lines] = this.flatten();
    const rows = lines.map((line) => Object.fromEntries(line.map((value, place) => [names[place], value])));
    return `${JSON.stringify(rows, null, 1)}\n`;
  }
}

function quote(text) {
  const safe = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text; // no formula in a spreadsheet
  return `"${safe.replace(/"/g, '""')}"`;
}

function save(name, type, content) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function furnish(tools, caption) {
  const parts = document.getElementById("tools").content.cloneNode(true);
  for (const kind of ["filter", "pager", "json", "csv"]) {
    const part = parts.querySelector(`.${kind}`);
    if (!tools.dataset.with.split(" ").includes(kind)) {
      part.remove();
    } else if (part.localName === "button") {
      part.setAttribute("aria-label", `${part.textContent} of: ${caption}`);
    }
  }
  tools.append(parts);
}

function addTools(grid) {
  const tools = document.querySelector(`[data-tools="${CSS.escape(grid.table.id)}"]`);
  if (!tools) {
    return;
  }
  grid.tools = tools;
  furnish(tools, grid.table.parentElement.getAttribute("aria-label"));
  tools.hidden = false;
  const input = tools.querySelector("input");
  const output = tools.querySelector("output");
  const pager = tools.querySelector(".pager");
  const tell = () => {
    const total = Number(tools.dataset.rows); // all rows, also those that could not be unpacked
    output.textContent = grid.shown.length === total ? `${total} rows` : `${grid.shown.length} of ${total} rows`;
    if (pager) {
      pager.hidden = grid.pages() < 2;
      pager.querySelector(".where").textContent = `page ${grid.page + 1} of ${grid.pages()}`;
      all("button", pager).forEach((button) => {
        const back = button.dataset.turn === "first" || button.dataset.turn === "previous";
        button.disabled = back ? grid.page === 0 : grid.page === grid.pages() - 1;
      });
    }
  };
  grid.table.addEventListener("drawn", tell);
  tell();
  if (input) {
    input.addEventListener("input", () => grid.filter(input.value.toLowerCase().split(/\s+/).filter(Boolean)));
  }
  if (pager) {
    const turns = { first: () => 0, previous: () => grid.page - 1, next: () => grid.page + 1, last: () => Infinity };
    all("button", pager).forEach((button) =>
      button.addEventListener("click", () => grid.turn(turns[button.dataset.turn]()))
    );
  }
  for (const [kind, type] of [["csv", "text/csv"], ["json", "application/json"]]) {
    const button = tools.querySelector(`.${kind}`);
    if (button) {
      button.addEventListener("click", () => {
        const study = document.querySelector("main").dataset.study.replace(/[^\w.-]+/g, "_");
        save(`${study}-${grid.table.id.replace(/^t-/, "")}.${kind}`, type, grid[kind]());
      });
    }
  }
}

all("table[id]").forEach((table) => {
  const grid = new Grid(table);
  grids.set(table.id, grid);
  addTools(grid);
  if (table.classList.contains("sortable")) {
    grid.heads.forEach((head, column) => {
      const title = head.querySelector(".h");
      const button = make("button", title.textContent, "h");
      button.type = "button";
      button.addEventListener("click", () => grid.sort(column));
      title.replaceWith(button);
    });
  }
});

payload.then((content) => {
  for (const [id, rows] of Object.entries(content.tables)) {
    const grid = grids.get(id);
    grid.adopt(rows);
    const note = grid.table.parentElement.previousElementSibling; // stays where the rows cannot be unpacked
    if (note && note.classList.contains("rest")) {
      note.remove();
    }
  }
  Object.entries(content.figures).forEach(([id, drawing]) => {
    reader.innerHTML = drawing; // the same figure for phones: the style shows one of the two
    document.getElementById(id).querySelector(".plot-wrap").append(reader.content);
  });
});
