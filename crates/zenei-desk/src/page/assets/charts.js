// Charts of a page. An element with `data-charts="ADDRESS"` names where its figures are; each `[data-chart=ID]` inside
// holds a drawing that the server made, which stays where this script can't run or the figures can't be had.
// Figures: { zone, from_s, to_s, x: [s], charts: [{ id, unit, digits, kind: "line" | "bars", x?, series: [{ name, mean, min?,
// max?, band? }], lines?: [{ at, name }] }], bands: [{ from_s, to_s, name, urgency }], marks: [{ at_s, name }], profiles: [{ name, step_ms, ma }] }.
// The script writes text only by textContent: names come from devices.
"use strict";
(() => {
  const HEIGHT = 168;

  /** A colour of the style sheet as the browser resolves it for the theme in force. */
  function colours() {
    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    const read = (name) => {
      probe.style.color = `var(--chart-${name}, gray)`;
      return getComputedStyle(probe).color;
    };
    const look = { text: read("text"), grid: read("grid"), band: read("band"), mark: read("mark"), limit: read("limit"), old: read("old"), lines: [1, 2, 3, 4, 5, 6, 7].map(read) };
    probe.remove();
    return look;
  }

  /** The same colour, faint, for the range from the least to the greatest. */
  function faint(paint) {
    const parts = /(\d+)\D+(\d+)\D+(\d+)/.exec(paint);
    return parts ? `rgba(${parts[1]}, ${parts[2]}, ${parts[3]}, .22)` : "rgba(120, 120, 120, .2)";
  }

  function times(zone) {
    const shape = { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
    let format;
    try {
      format = new Intl.DateTimeFormat("sv-SE", shape);
    } catch {
      format = new Intl.DateTimeFormat("sv-SE", { ...shape, timeZone: "UTC" });
    }
    return (seconds) => format.format(new Date(seconds * 1000));
  }

  const number = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

  /** Draws incidents as bands behind the lines, and changes of firmware as marks. */
  function ground(figures, look, withNames) {
    return (plot) => {
      const { ctx } = plot;
      const { left, top, width, height } = plot.bbox;
      const place = (seconds) => Math.min(left + width, Math.max(left, plot.valToPos(seconds, "x", true)));
      ctx.save();
      ctx.fillStyle = look.band;
      for (const band of figures.bands || []) {
        const from = place(band.from_s);
        ctx.fillRect(from, top, Math.max(2, place(band.to_s) - from), height);
      }
      ctx.strokeStyle = look.mark;
      ctx.fillStyle = look.text;
      ctx.setLineDash([4, 4]);
      ctx.font = `${Math.round(11 * devicePixelRatio)}px sans-serif`;
      for (const mark of figures.marks || []) {
        if (mark.at_s < plot.scales.x.min || mark.at_s > plot.scales.x.max) continue;
        const at = place(mark.at_s);
        ctx.beginPath();
        ctx.moveTo(at, top);
        ctx.lineTo(at, top + height);
        ctx.stroke();
        if (withNames) ctx.fillText(mark.name, Math.min(at + 3, left + width - ctx.measureText(mark.name).width), top + 12 * devicePixelRatio);
      }
      ctx.restore();
    };
  }

  /** Draws thresholds and baselines across. */
  function limits(chart, look) {
    return (plot) => {
      const { ctx } = plot;
      const { left, top, width, height } = plot.bbox;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = look.limit;
      ctx.setLineDash([6, 3]);
      ctx.font = `${Math.round(11 * devicePixelRatio)}px sans-serif`;
      for (const line of chart.lines || []) {
        const at = plot.valToPos(line.at, "y", true);
        if (at < top || at > top + height) continue;
        ctx.beginPath();
        ctx.moveTo(left, at);
        ctx.lineTo(left + width, at);
        ctx.stroke();
        ctx.fillText(line.name, left + 4, at - 3);
      }
      ctx.restore();
    };
  }

  /** What the pointer is on, as a line of text below the chart. */
  function reader(box, chart, figures, x, when) {
    const line = document.createElement("p");
    line.className = "chart-read";
    box.append(line);
    const covers = (seconds) => (figures.bands || []).filter((band) => band.from_s <= seconds && seconds <= band.to_s);
    return (plot) => {
      const at = plot.cursor.idx;
      if (at === null || at === undefined) {
        line.textContent = "";
        return;
      }
      const parts = chart.series.filter((series) => series.mean[at] !== null && series.mean[at] !== undefined).map((series) => {
        const { name, mean, min, max } = series;
        const isRange = min && max && min[at] !== max[at];
        const range = isRange ? ` (${number(min[at], chart.digits)}–${number(max[at], chart.digits)})` : "";
        return `${name} ${number(mean[at], chart.digits)}${range} ${chart.unit}`;
      });
      const open = covers(x[at]).map((band) => band.name);
      line.textContent = [when(x[at]), ...parts, ...open].join(" · ");
    };
  }

  /** A line goes on over spans without a value that are short: a lock moves a few times a day. */
  const SHORT_S = 2 * 86400;
  const gaps = (plot, at, first, last, found) => found.filter(([from, to]) => plot.posToVal(to, "x", true) - plot.posToVal(from, "x", true) > SHORT_S);

  /** uPlot's columns and series: means as lines, least to greatest as a band around each; or bars on top of each other. */
  function columns(chart, x, look) {
    const table = [x];
    const series = [{}];
    const bands = [];
    if (chart.kind === "bars") {
      let below = x.map(() => 0);
      const stacked = chart.series.map((one) => (below = below.map((sum, at) => sum + (one.mean[at] || 0))));
      for (let n = chart.series.length - 1; n >= 0; n -= 1) {
        const paint = look.lines[n % look.lines.length];
        table.push(stacked[n]);
        series.push({ stroke: paint, fill: paint, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 40], align: 1 }) });
      }
      return { table, series, bands };
    }
    chart.series.forEach((one, n) => {
      const paint = look.lines[n % look.lines.length];
      table.push(one.mean);
      series.push({ stroke: paint, width: 1.6, gaps, dash: n === 0 ? undefined : [7, 3], points: { size: 4 } });
      if (one.min && one.max) {
        table.push(one.max, one.min);
        const edge = { stroke: "transparent", width: 0, gaps, points: { show: false } };
        series.push(edge, { ...edge });
        bands.push({ series: [series.length - 2, series.length - 1], fill: faint(paint) });
      }
    });
    return { table, series, bands };
  }

  // Ticks of the time axis: 24 hours, and the day or the year below the first of them.
  const TIMES = [
    [86400 * 27, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [86400, "{M}/{D}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{M}/{D}", null, "\n{M}/{D}", null, null, null, 1],
    [0, "{HH}:{mm}:{ss}", "\n{M}/{D}", null, "\n{M}/{D}", null, null, null, 1],
  ];

  function axes(look, isTime) {
    const common = { stroke: look.text, grid: { stroke: look.grid, width: 1 }, ticks: { stroke: look.grid, width: 1 }, font: "11px system-ui, sans-serif" };
    return [{ ...common, size: 40, ...(isTime ? { values: TIMES } : {}) }, { ...common, size: 56, values: (_, splits) => splits.map((value) => (Math.abs(value) >= 10000 ? value.toExponential(0) : String(Number(value.toFixed(4))))) }];
  }

  /** Arrow keys move the cursor of a focused chart. */
  function keys(box, plot, x) {
    box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const at = Math.min(x.length - 1, Math.max(0, (plot.cursor.idx ?? (step > 0 ? -1 : x.length)) + step));
      plot.setCursor({ left: plot.valToPos(x[at], "x"), top: plot.over.clientHeight / 2 });
    });
  }

  function widen(plot, box) {
    new ResizeObserver(() => {
      const width = box.clientWidth;
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: plot.height });
    }).observe(box);
  }

  function empty(box) {
    const holder = document.createElement("div");
    holder.className = "chart-canvas";
    holder.tabIndex = 0;
    holder.setAttribute("role", "img");
    const label = box.getAttribute("data-label");
    if (label) holder.setAttribute("aria-label", label);
    box.replaceChildren(holder);
    return holder;
  }

  function draw(box, chart, figures, look, isFirst) {
    const x = chart.x || figures.x;
    if (!x.length) return null;
    const holder = empty(box);
    const { table, series, bands } = columns(chart, x, look);
    const read = reader(box, chart, figures, x, times(figures.zone));
    const options = {
      width: holder.clientWidth || 600,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), figures.zone),
      legend: { show: false },
      cursor: { sync: { key: "zenei", scales: ["x", null] }, points: { show: chart.kind !== "bars" }, drag: { x: true, y: false } },
      scales: { x: { time: true }, y: chart.kind === "bars" ? { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } : {} },
      axes: axes(look, true),
      series,
      bands,
      hooks: { drawClear: [ground(figures, look, isFirst)], draw: [limits(chart, look)], setCursor: [read] },
    };
    const plot = new uPlot(options, table, holder);
    plot.setScale("x", { min: figures.from_s, max: figures.to_s });
    keys(holder, plot, x);
    widen(plot, holder);
    return plot;
  }

  /** Motor currents over each other, the newest in front. */
  function drawProfiles(box, profiles, look) {
    if (!profiles.length) return null;
    const holder = empty(box);
    const oldestFirst = [...profiles].reverse();
    const table = uPlot.join(oldestFirst.map((one) => [one.ma.map((_, at) => at * one.step_ms), one.ma]));
    const series = [{}, ...oldestFirst.map((one, n) => {
      const isNewest = n === oldestFirst.length - 1;
      return { stroke: isNewest ? look.lines[0] : look.old, width: isNewest ? 2.4 : 1, spanGaps: true, points: { show: false } };
    })];
    const line = document.createElement("p");
    line.className = "chart-read";
    box.append(line);
    const read = (plot) => {
      const at = plot.cursor.idx;
      const newest = at === null || at === undefined ? undefined : table[table.length - 1][at];
      line.textContent = newest === undefined ? "" : `${table[0][at]} ms · ${profiles[0].name} ${number(newest, 0)} mA`;
    };
    const plot = new uPlot({
      width: holder.clientWidth || 600,
      height: 220,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: axes(look, false),
      series,
      hooks: { setCursor: [read] },
    }, table, holder);
    keys(holder, plot, table[0]);
    widen(plot, holder);
    return plot;
  }

  function drawAll(root, figures) {
    const look = colours();
    let isFirst = true;
    return (figures.charts || []).map((chart) => {
      const box = root.querySelector(`[data-chart="${CSS.escape(chart.id)}"]`);
      const plot = box && draw(box, chart, figures, look, isFirst);
      if (plot) isFirst = false;
      return plot;
    }).concat([...root.querySelectorAll("[data-profiles]")].map((box) => drawProfiles(box, figures.profiles || [], look))).filter(Boolean);
  }

  const asked = new Map();

  /** The figures at an address, asked for once. */
  function ask(address) {
    if (!asked.has(address)) {
      asked.set(address, fetch(address, { credentials: "same-origin", headers: { accept: "application/json" } }).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null));
    }
    return asked.get(address);
  }

  async function begin(root) {
    const figures = await ask(root.getAttribute("data-charts"));
    if (!figures) return;
    let plots = drawAll(root, figures);
    const again = () => {
      plots.forEach((plot) => plot.destroy());
      plots = drawAll(root, figures);
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
  }

  if (typeof uPlot === "function") document.querySelectorAll("[data-charts]").forEach(begin);
})();
