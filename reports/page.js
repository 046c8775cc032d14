// The page is complete without this: here is what makes long tables handy. Nothing is ever put in as HTML.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const PAGE = 100;
  const find = (selector) => document.querySelector(selector);
  const texts = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  const keyOf = (cell, numeric) => {
    const text = cell.dataset.v ?? cell.textContent.trim();
    if (text === "inf") return Infinity;
    const number = text === "" ? NaN : Number(text);
    if (!Number.isNaN(number)) return number;
    return numeric ? parseFloat(text) : text;
  };

  // What has no number comes last, whichever way round.
  function sorted(rows, column, direction, numeric) {
    const keyed = rows.map((row) => [keyOf(row.cells[column], numeric), row]);
    const empty = (key) => key === "" || key === "-" || Number.isNaN(key);
    keyed.sort(([a], [b]) => {
      if (empty(a) || empty(b)) return empty(a) - empty(b);
      if (typeof a === "number" && typeof b === "number") return direction * (a - b);
      return direction * texts.compare(String(a), String(b));
    });
    return keyed.map(([, row]) => row);
  }

  // Headings become buttons; `act` is told the column and the direction. Returns how to mark one.
  function sortable(table, act) {
    const heads = [...table.tHead.rows[0].cells];
    const mark = (column, direction) =>
      heads.forEach((head, at) => {
        if (at === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        mark(column, direction);
        act(column, direction, head.classList.contains("n"));
      });
    });
    return mark;
  }

  function small(table) {
    const body = table.tBodies[0];
    sortable(table, (column, direction, numeric) =>
      body.append(...sorted([...body.rows], column, direction, numeric)));
  }

  async function copy(text, button) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "The browser does not let this page copy";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  function tasks(table) {
    const body = table.tBodies[0];
    const selects = [...document.querySelectorAll(".tools select")];
    const heads = [...table.tHead.rows[0].cells];
    const [search, shown, before, after] = ["#q", "#shown", "#before", "#after"].map(find);
    const reasons = new Map([...document.querySelectorAll(".reasons li")].map((one) => [`#${one.id}`, one.textContent]));
    const all = [...body.rows];
    const told = (row) => [...row.querySelectorAll("a")].map((link) => reasons.get(link.getAttribute("href")) ?? "");
    let words = null; // what rows are searched in, made when it is first needed
    const facets = selects.map((select) => all.map((row) => row.cells[+select.dataset.column].textContent.trim()));
    const place = new Map(all.map((row, at) => [row, at]));
    const state = { q: "", sort: -1, direction: 1, page: 0 };
    let order = all;
    let matching = all;

    function listen() {
      words ??= all.map((row) => [row.textContent, ...told(row)].join(" ").toLowerCase());
    }

    function match() {
      const wanted = state.q.toLowerCase().split(/\s+/).filter(Boolean);
      if (wanted.length) listen();
      const chosen = selects.map((select) => select.value);
      matching = order.filter((row) => {
        const at = place.get(row);
        if (chosen.some((value, which) => value && facets[which][at] !== value)) return false;
        return wanted.every((word) =>
          word.length > 1 && word[0] === "-" ? !words[at].includes(word.slice(1)) : words[at].includes(word));
      });
    }

    function show() {
      const pages = Math.max(1, Math.ceil(matching.length / PAGE));
      state.page = Math.min(Math.max(0, state.page), pages - 1);
      const first = state.page * PAGE;
      const now = matching.slice(first, first + PAGE);
      body.replaceChildren(...now);
      const count = (number) => number.toLocaleString("en");
      shown.textContent = now.length
        ? `Rows ${count(first + 1)} to ${count(first + now.length)} of ${count(matching.length)}` +
          (matching.length < all.length ? `, of ${count(all.length)} in all` : "")
        : `None of ${count(all.length)} rows`;
      before.disabled = state.page === 0;
      after.disabled = state.page >= pages - 1;
    }

    function keep() {
      const said = new URLSearchParams();
      if (state.q) said.set("q", state.q);
      selects.forEach((select) => select.value && said.set(select.dataset.name, select.value));
      if (state.sort >= 0) said.set("sort", `${state.direction < 0 ? "-" : ""}${heads[state.sort].textContent}`);
      if (state.page) said.set("page", state.page + 1);
      const text = said.toString();
      try {
        history.replaceState(null, "", text ? `#${text}` : location.href.split("#")[0]);
      } catch { /* a page in a frame or an odd viewer: then the address keeps nothing */ }
    }

    function arrange() {
      order = state.sort < 0 ? all : sorted(all, state.sort, state.direction, heads[state.sort].classList.contains("n"));
    }

    const changed = (page = 0) => { state.page = page; match(); show(); keep(); };
    const mark = sortable(table, (column, direction) => {
      [state.sort, state.direction] = [column, direction];
      arrange();
      changed();
    });

    function recall() {
      if (!location.hash.includes("=")) return false;
      const said = new URLSearchParams(location.hash.slice(1));
      state.q = search.value = said.get("q") ?? "";
      selects.forEach((select) => {
        const value = said.get(select.dataset.name) ?? "";
        select.value = [...select.options].some((option) => option.value === value) ? value : "";
      });
      const [, minus, name] = /^(-?)(.*)$/.exec(said.get("sort") ?? "");
      state.sort = heads.findIndex((head) => head.textContent === name);
      state.direction = minus ? -1 : 1;
      mark(state.sort, state.direction);
      state.page = (parseInt(said.get("page") ?? "1", 10) || 1) - 1;
      arrange();
      match();
      show();
      return true;
    }

    const clear = () => {
      selects.forEach((select) => { select.value = ""; });
      [state.q, search.value, state.sort] = ["", "", -1];
      mark(-1, 1);
      arrange();
      changed();
    };

    search.addEventListener("input", () => { state.q = search.value; changed(); });
    selects.forEach((select) => select.addEventListener("change", () => changed()));
    find("#clear").addEventListener("click", clear);
    before.addEventListener("click", () => changed(state.page - 1));
    after.addEventListener("click", () => changed(state.page + 1));
    find("#copy").addEventListener("click", (event) =>
      copy([...body.rows].map((row) => row.cells[row.cells.length - 1].textContent.trim()).join("\n") + "\n", event.target));
    body.addEventListener("dblclick", (event) => {
      const code = event.target.closest("code");
      if (code) getSelection().selectAllChildren(code);
    });
    addEventListener("hashchange", recall);
    addEventListener("keydown", (event) => {
      if (event.target === search && event.key === "Escape") { clear(); return; }
      const typing = event.target.closest?.("input, select, textarea");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !find("#use-keys").checked) return;
      if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
      if (event.key === "]" && !after.disabled) changed(state.page + 1);
      if (event.key === "[" && !before.disabled) changed(state.page - 1);
    });

    find(".tools").hidden = false;
    if (recall()) find("#tasks").scrollIntoView();
    else show();
    (window.requestIdleCallback ?? setTimeout)(listen);
  }

  addEventListener("DOMContentLoaded", () => {
    const rows = find("#rows");
    for (const table of document.querySelectorAll("table")) if (table !== rows && table.tBodies[0].rows.length > 1) small(table);
    if (rows) tasks(rows);
    document.documentElement.classList.add("ready");
  });
})();
