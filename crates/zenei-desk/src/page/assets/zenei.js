// Live values, the theme without a reload, and keys. Pages work without this file.
"use strict";
(() => {
  const root = document.documentElement;
  const by = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  // Theme: the cookie is the one that the server reads.
  by("[data-theme-choice]").forEach((link) => {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const theme = link.dataset.themeChoice;
      document.cookie = `zenei_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax`;
      root.dataset.theme = theme;
      by("[data-theme-choice]").forEach((other) => other.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
      document.dispatchEvent(new CustomEvent("zenei:theme"));
    });
  });

  // Keys.
  const ways = { b: "/", i: "/incidents", f: "/fleet", r: "/rules", s: "/silences" };
  const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;
  let wentAt = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("q").focus();
    } else if (event.key === "?") {
      document.getElementById("keys").showModal();
    } else if (event.key === "g") {
      wentAt = event.timeStamp;
    } else if (event.timeStamp - wentAt < 1500 && ways[event.key]) {
      window.location.assign(ways[event.key]);
    }
  });

  // Live values: an element with data-live="a.b" shows the value at that path of the board's stream.
  const live = by("[data-live]");
  if (live.length === 0 || !("EventSource" in window)) return;
  const at = (value, path) => path.split(".").reduce((inner, key) => (inner == null ? inner : inner[key]), value);
  const shown = (value, element) => {
    if (typeof value !== "number") return String(value);
    if (element.dataset.liveDigits) return value.toFixed(Number(element.dataset.liveDigits));
    return value.toLocaleString("en-US");
  };
  const stream = new EventSource("/api/v1/stream");
  const state = document.getElementById("live-state");
  stream.addEventListener("open", () => state && (state.dataset.state = "on"));
  stream.addEventListener("error", () => state && (state.dataset.state = "off"));
  stream.addEventListener("board", (event) => {
    const board = JSON.parse(event.data);
    live.forEach((element) => {
      const value = at(board, element.dataset.live);
      if (value === undefined || value === null) return;
      const text = shown(value, element);
      if (element.textContent === text) return;
      element.textContent = text;
      element.classList.remove("moved");
      void element.offsetWidth;
      element.classList.add("moved");
    });
    document.dispatchEvent(new CustomEvent("zenei:board", { detail: board }));
  });
  // The list of incidents is drawn by the server: fetch the page again, and take its part.
  let pending = false;
  stream.addEventListener("incident", () => {
    if (pending) return;
    pending = true;
    window.setTimeout(async () => {
      pending = false;
      const response = await fetch(window.location.href, { headers: { Accept: "text/html" } });
      if (!response.ok) return;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      by("[data-fresh]").forEach((part) => {
        const replacement = fresh.querySelector(`[data-fresh="${part.dataset.fresh}"]`);
        if (replacement && !part.contains(document.activeElement)) part.replaceWith(replacement);
      });
    }, 500);
  });
  window.addEventListener("pagehide", () => stream.close());
})();
