// Sources of numbers, hover of figures, contents, theme, print. Follows tables.js in the same script.
(function () {
  const root = document.documentElement;
  const main = document.querySelector("main");
  const panel = document.getElementById("panel");
  const GROUPS = "tbody, p, dl, ul, figcaption, caption, .card";
  const MAX_RUNS = 50;

  // Numbers: one stop of the keyboard a table or paragraph; arrows move between its numbers, Enter opens the source.
  function makeStop(number) {
    number.tabIndex = 0;
    number.setAttribute("role", "button");
    number.setAttribute("aria-haspopup", "dialog");
  }

  function groupOf(number) {
    return number.closest(GROUPS) || number.parentElement;
  }

  function unmakeStop(number) {
    ["tabindex", "role", "aria-haspopup"].forEach((name) => number.removeAttribute(name));
  }

  function arm(within) {
    const seen = new Set();
    for (const number of all("[data-value]", within)) {
      const group = groupOf(number);
      if (!seen.has(group)) {
        seen.add(group);
        const stops = all('[data-value][tabindex="0"]', group).filter((stop) => groupOf(stop) === group);
        stops.slice(1).forEach(unmakeStop); // rows of two pages of a table may come together, each with a stop
        if (!stops.length) {
          makeStop(number);
        }
      }
    }
  }

  function move(number, key) {
    const group = groupOf(number);
    const numbers = all("[data-value]", group);
    let next = numbers[numbers.indexOf(number) + (key === "ArrowRight" ? 1 : -1)];
    const cell = number.closest("td");
    if (cell && (key === "ArrowUp" || key === "ArrowDown")) {
      const row = key === "ArrowUp" ? cell.parentElement.previousElementSibling : cell.parentElement.nextElementSibling;
      next = row && row.cells[cell.cellIndex].querySelector("[data-value]");
    }
    if (next) {
      unmakeStop(number);
      makeStop(next);
      next.focus();
    }
    return Boolean(next);
  }

  function runRows() {
    const grid = grids.get("t-runs");
    return new Map(grid ? grid.strings.map((_, index) => [String(grid.key(index, 0)), index]) : []);
  }

  function findRuns(source, sources) {
    const found = new Set();
    for (const [, number] of source.matchAll(/§(\d+)/g)) {
      for (const range of (sources.sets[number - 1] || "").split(",").filter(Boolean)) {
        const [first, last] = range.split("-").map(Number);
        for (let index = first; index <= (last === undefined ? first : last); index += 1) {
          found.add(sources.runs[index]);
        }
      }
    }
    return found;
  }

  let opener = null;
  async function openPanel(number) {
    const { sources } = await payload;
    const rows = runRows();
    const source = number.dataset.source;
    const runs = findRuns(source, sources);
    source.split(/[\s,;]+|: /).filter((word) => rows.has(word)).forEach((word) => runs.add(word));
    const cell = number.closest("td, dd, p, li") || number;
    const words = all(".badge", cell).map((badge) => badge.textContent);
    const around = number.closest("tr, .card, p, li, dd") || cell;
    const beside = new Set(all(".badge", around).map((badge) => badge.textContent));
    for (const [word] of around.textContent.matchAll(/\b(?:modelled|simulated|projected)\b/gi)) {
      if (!Array.from(beside).some((badge) => badge.includes(word.toLowerCase()))) {
        beside.add(word.toLowerCase());
      }
    }
    const facts = [
      ["Exact value", number.dataset.value || "unknown"],
      ["Shown as", number.textContent + (words.length ? ` (${words.join(", ")})` : "")],
      ...(beside.size && !words.length ? [["Said beside it", Array.from(beside).join(", ")]] : []),
      ["From", source.replace(/§\d+/g, "the runs below") || "the study"],
    ];
    const list = panel.querySelector("dl");
    list.replaceChildren(
      ...facts.map(([name, text]) => {
        const pair = make("div");
        pair.append(make("dt", name), make("dd", text));
        return pair;
      })
    );
    const links = panel.querySelector("ul");
    links.replaceChildren(...Array.from(runs).slice(0, MAX_RUNS).map((run) => listRun(run, rows)));
    if (runs.size > MAX_RUNS) {
      links.append(make("li", `and ${runs.size - MAX_RUNS} more runs`));
    }
    panel.querySelector(".count").textContent = runs.size ? `${runs.size} run${runs.size === 1 ? "" : "s"}` : "No single runs";
    opener = number;
    panel.show();
    panel.querySelector("button").focus();
  }

  function listRun(run, rows) {
    const item = make("li");
    if (rows.has(run)) {
      const link = make("a", run);
      link.href = "#runs-section";
      link.addEventListener("click", (event) => {
        event.preventDefault();
        closePanel(false);
        grids.get("t-runs").show(rows.get(run));
      });
      item.append(link);
    } else {
      item.append(make("span", run));
    }
    if (main.dataset.records) {
      const file = make("a", "record");
      file.href = `${main.dataset.records}${encodeURIComponent(run)}.json`;
      item.append(" ", file);
    }
    return item;
  }

  function closePanel(back) {
    panel.close();
    if (back && opener && opener.isConnected) {
      opener.focus();
    }
  }

  panel.querySelector("button").addEventListener("click", () => closePanel(true));
  document.addEventListener("click", (event) => {
    const number = event.target.closest("[data-value]");
    if (number) {
      openPanel(number);
    }
  });
  document.addEventListener("keydown", (event) => {
    const number = event.target.closest && event.target.closest('[data-value][role="button"]');
    if (event.key === "Escape" && panel.open) {
      closePanel(true);
    } else if (number && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      openPanel(number);
    } else if (number && event.key.startsWith("Arrow")) {
      if (move(number, event.key)) {
        event.preventDefault(); // at an end the page scrolls as ever
      }
    }
  });
  arm(document);
  document.addEventListener("drawn", (event) => arm(event.target));

  // Figures: a mark tells its row of the table below, and leads there.
  const tip = document.getElementById("tip");
  function rowOf(event) {
    const mark = event.target.closest("[data-row]");
    const figure = mark && mark.closest("figure");
    const table = figure && document.querySelector(`details[data-figure="${CSS.escape(figure.id)}"] table`);
    return table ? [grids.get(table.id), Number(mark.getAttribute("data-row"))] : null;
  }
  document.addEventListener("pointermove", (event) => {
    const found = event.target.closest(".plot-wrap") && rowOf(event);
    tip.hidden = !found || !found[0].strings[found[1]];
    if (!tip.hidden) {
      const texts = found[0].cells(found[1]);
      tip.replaceChildren(
        ...found[0].heads.flatMap((head, column) => [
          make("dt", head.querySelector(".h").textContent), make("dd", texts[column]),
        ])
      );
      tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8))}px`;
      const below = event.clientY + 16;
      const fits = below + tip.offsetHeight < window.innerHeight;
      tip.style.top = `${fits ? below : Math.max(8, event.clientY - 16 - tip.offsetHeight)}px`;
    }
  });
  all(".plot-wrap").forEach((plot) =>
    plot.addEventListener("click", (event) => {
      const found = rowOf(event);
      if (found && found[0].strings[found[1]]) {
        tip.hidden = true;
        found[0].show(found[1]);
      }
    })
  );

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const area = make("textarea", text); // pages opened from disk may have no clipboard interface
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) {
      throw new Error("refused");
    }
  }

  for (const button of all("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await copy(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select and copy by hand";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }

  const toggle = document.getElementById("theme");
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // Contents: open beside a wide page, with the section that is read marked.
  const contents = document.querySelector(".contents details");
  const wide = window.matchMedia("(min-width: 1500px)");
  const unfold = () => (contents.open = wide.matches);
  unfold();
  wide.addEventListener("change", unfold);
  const links = new Map(all(".contents a").map((link) => [link.getAttribute("href").slice(1), link]));
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((found) => found.isIntersecting)) {
        links.forEach((link) => link.removeAttribute("aria-current"));
        links.get(entry.target.id).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" }
  );
  all("main section[id]").filter((section) => links.has(section.id)).forEach((section) => observer.observe(section));

  let unfolded = [];
  let narrow = [];
  window.addEventListener("beforeprint", () => {
    narrow = Array.from(grids.values(), (grid) => grid.widen(500)); // longer ones print their first page, which says so
    unfolded = all("main details:not([open])");
    unfolded.forEach((details) => (details.open = true));
  });
  window.addEventListener("afterprint", () => {
    unfolded.forEach((details) => (details.open = false));
    narrow.forEach((back) => back());
    unfolded = [];
    narrow = [];
  });
})();
