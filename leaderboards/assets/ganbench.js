"use strict";
// Sort, filter and expand the rows of a leaderboard. The page is complete without this script, which only moves, hides
// and shows what is there. It uses no library: a table of a few hundred rows needs none, and any would be larger than
// the whole page.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const board = document.getElementById("board");
  const said = document.getElementById("said");
  const tip = document.getElementById("tip");

  // -- explanations of columns: on hover, by keyboard and by tap --------------------------------------------------
  let shownFor = null;
  const hideTip = () => { if (tip) tip.hidden = true; shownFor = null; };
  const showTip = (button) => {
    tip.textContent = button.dataset.why;
    tip.hidden = false;
    shownFor = button;
    button.setAttribute("aria-describedby", "tip");
    const at = button.getBoundingClientRect(), own = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(12, Math.min(at.left, innerWidth - own.width - 12))}px`;
    tip.style.top = `${at.bottom + 8 + own.height > innerHeight ? at.top - own.height - 8 : at.bottom + 8}px`;
  };
  for (const button of document.querySelectorAll(".why")) {
    button.addEventListener("mouseenter", () => showTip(button));
    button.addEventListener("mouseleave", hideTip);
    button.addEventListener("focus", () => showTip(button));
    button.addEventListener("blur", hideTip);
    button.addEventListener("click", () => showTip(button));
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  document.addEventListener("scroll", () => { if (shownFor) hideTip(); }, true);

  // -- copying a command ------------------------------------------------------------------------------------------
  const copied = async (text) => {
    if (navigator.clipboard && window.isSecureContext) {
      try { await navigator.clipboard.writeText(text); return true; } catch { /* fall back to the way below */ }
    }
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const done = await copied(button.previousElementSibling.textContent);
      button.textContent = done ? "Copied" : "Select and copy";
      said.textContent = button.textContent;
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
  if (!board) return;

  // -- stopping animated pictures: a still frame takes the place of each ---------------------------------------------
  const still = document.querySelector(".still");
  const stopped = () => still.getAttribute("aria-pressed") === "true";
  const freeze = (image) => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.className = image.className;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", image.alt);
    canvas.getContext("2d").drawImage(image, 0, 0);
    image.before(canvas);
  };
  const stop = (wanted) => {
    still.setAttribute("aria-pressed", String(wanted));
    for (const image of document.querySelectorAll("img.moving")) {
      image.hidden = wanted;
      if (!wanted && image.previousElementSibling?.tagName === "CANVAS") image.previousElementSibling.remove();
      else if (wanted && image.complete && image.naturalWidth) freeze(image);
      else if (wanted) {
        image.loading = "eager";
        image.addEventListener("load", () => { if (stopped()) freeze(image); }, { once: true });
      }
    }
  };
  if (still) {
    still.addEventListener("click", () => stop(!stopped()));
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) stop(true);
  }

  // -- the rows, each with its details --------------------------------------------------------------------------
  const groups = [...board.tBodies].map((body) => ({
    body,
    rows: [...body.querySelectorAll("tr.row")].map((row) => ({
      row,
      more: document.getElementById(`${row.id}--more`),
      values: [...row.cells].map((cell) => cell.dataset.v ?? ""),
      text: `${row.querySelector(".name").textContent} ${row.dataset.package}`.toLowerCase(),
    })),
  }));
  const all = groups.flatMap((group) => group.rows);

  const open = (one, wanted) => {
    if (!one.more) return;
    one.more.classList.toggle("shown", wanted);
    one.row.querySelector(".open").setAttribute("aria-expanded", String(wanted));
  };
  for (const one of all) {
    const button = one.row.querySelector(".open");
    if (button) button.addEventListener("click", () => open(one, !one.more.classList.contains("shown")));
  }

  // Laying out 500 rows takes a browser a tenth of a second. So after a sort, the first hundred are shown at once, and
  // the rest a hundred at a time whenever the browser is idle.
  const AT_ONCE = 100;
  const whenIdle = window.requestIdleCallback ?? ((then) => setTimeout(then, 20));
  let later = [];
  const showMore = (count) => {
    for (const row of later.splice(0, count)) row.classList.remove("later");
    if (later.length) whenIdle(() => showMore(AT_ONCE));
  };
  const holdBack = () => {
    for (const row of later) row.classList.remove("later");
    later = groups.flatMap(({ rows }) => rows).map(({ row }) => row).filter((row) => !row.hidden).slice(AT_ONCE);
    for (const row of later) row.classList.add("later");
    if (later.length) whenIdle(() => showMore(AT_ONCE));
  };

  // -- sorting: within each part of the table, so that a collapsed row never climbs above a complete one -----------
  const sorts = [...board.tHead.rows[0].cells];
  const compare = (a, b) => {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  const sortBy = (column, direction) => {
    const sign = direction === "descending" ? -1 : 1;
    for (const group of groups) {
      group.rows.sort((one, other) => {
        const a = one.values[column], b = other.values[column];
        if (a === "" || b === "") return (a === "") - (b === "");
        return sign * compare(a, b);
      });
      group.body.append(...group.rows.flatMap(({ row, more }) => (more ? [row, more] : [row])));
    }
    holdBack();
    for (const head of sorts) head.removeAttribute("aria-sort");
    sorts[column].setAttribute("aria-sort", direction);
  };
  sorts.forEach((head, column) => {
    const button = head.querySelector(".sort");
    if (!button) return;
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort"), first = head.dataset.first;
      const turned = first === "ascending" ? "descending" : "ascending";
      sortBy(column, now === first ? turned : first);
      said.textContent = `sorted by ${button.textContent}, ${head.getAttribute("aria-sort")}`;
      remember();
    });
  });

  // -- filters ------------------------------------------------------------------------------------------------------
  const form = document.querySelector(".filters"), fields = form.elements;
  const wanted = (name) => (fields[name] ? fields[name].value : "");
  const fits = ({ row, text }) => {
    if (row.classList.contains("yardstick")) return fields.yardsticks.checked;
    const words = wanted("search").toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.every((word) => text.includes(word))) return false;
    if (wanted("arch") && row.dataset.arch !== wanted("arch")) return false;
    if (wanted("loss") && row.dataset.loss !== wanted("loss")) return false;
    if (wanted("package") && !row.dataset.package.split(" ").includes(wanted("package"))) return false;
    if (wanted("device") && !row.dataset.device.split("|").includes(wanted("device"))) return false;
    return !wanted("size") || Number(row.dataset.size) <= Number(wanted("size"));
  };
  const trained = all.filter(({ row }) => !row.classList.contains("yardstick"));
  const filter = () => {
    for (const one of all) {
      one.row.hidden = !fits(one);
      if (one.more) one.more.hidden = one.row.hidden;
    }
    for (const { body, rows } of groups) body.hidden = rows.every(({ row }) => row.hidden);
    const left = trained.filter(({ row }) => !row.hidden).length;
    fields.count.value = left === trained.length ? `${left} rows` : `${left} of ${trained.length} rows`;
    document.querySelector(".none").hidden = left > 0 || trained.length === 0;
    root.classList.toggle("all-columns", fields.rare.checked);
  };

  // -- the URL holds the filters and the sort order, so that people can link to them ----------------------------------
  const names = ["search", "arch", "loss", "package", "device", "size"];
  const remember = () => {
    const asked = new URLSearchParams();
    for (const name of names) if (wanted(name)) asked.set(name, wanted(name));
    const sorted = sorts.findIndex((head) => head.hasAttribute("aria-sort"));
    const direction = sorted < 0 ? "" : sorts[sorted].getAttribute("aria-sort");
    if (sorted >= 0 && !(sorts[sorted].classList.contains("headline") && direction === sorts[sorted].dataset.first)) {
      asked.set("sort", `${sorts[sorted].querySelector(".sort").textContent} ${direction}`);
    }
    if (!fields.yardsticks.checked) asked.set("yardsticks", "no");
    if (fields.rare.checked) asked.set("columns", "all");
    history.replaceState(null, "", asked.size ? `#?${asked}` : location.pathname + location.search);
  };
  const recall = () => {
    if (!location.hash.startsWith("#?")) return;
    const asked = new URLSearchParams(location.hash.slice(2));
    for (const name of names) if (fields[name] && asked.has(name)) fields[name].value = asked.get(name);
    fields.yardsticks.checked = asked.get("yardsticks") !== "no";
    fields.rare.checked = asked.get("columns") === "all";
    const [, text, direction] = /^(.*) (ascending|descending)$/.exec(asked.get("sort") ?? "") ?? [];
    const column = sorts.findIndex((head) => head.querySelector(".sort")?.textContent === text);
    if (column >= 0) sortBy(column, direction);
  };
  // A link to a row, from outside or from a plot, scrolls to the row and opens its details.
  const visit = () => {
    const one = all.find(({ row }) => row.id === decodeURIComponent(location.hash.slice(1)));
    if (!one) return;
    if (one.row.hidden) { form.reset(); filter(); }
    showMore(later.length);
    open(one, true);
    one.row.scrollIntoView({ block: "center" });
    (one.row.querySelector(".open") ?? one.row).focus({ preventScroll: true });
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { filter(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { filter(); remember(); }));
  window.addEventListener("hashchange", visit);
  recall();
  filter();
  visit();
})();
