"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const DASHES = ["", "7 4", "2 4", "9 3 2 3", "12 4", "4 2", "1 3", "10 3 2 3 2 3"];
  const report = JSON.parse(document.getElementById("report-data").textContent);

  /* Small helpers */

  function make(tag, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  function html(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  function figure(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size >= 100) return value.toFixed(0);
    if (size >= 0.0001) return String(Number(value.toPrecision(3)));
    return value.toExponential(1);
  }

  const known = (values) => values.filter((v) => v !== null && v !== undefined);

  function niceTicks(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((s) => s * power >= raw) * power;
    const ticks = [];
    for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) ticks.push(Number(t.toPrecision(12)));
    return ticks;
  }

  function logTicks(low, high) {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1) {
      for (const m of [1, 2, 5]) ticks.push(Number((m * 10 ** e).toPrecision(3)));
    }
    const inside = ticks.filter((t) => t >= low && t <= high);
    return inside.length > 7 ? inside.filter((t) => /^(1|1e.*|0?\.0*1|10+)$/.test(String(t)) || t === 1) : inside;
  }

  /* A scale maps values to pixels; a logarithmic one leaves out what is not positive. */
  function makeScale(values, { pixels, logarithmic, zero }) {
    let low = Math.min(...values);
    let high = Math.max(...values);
    if (logarithmic) {
      low /= 1.25;
      high *= 1.25;
      const span = Math.log(high / low);
      return {
        ticks: logTicks(low, high),
        at: (v) => (v > 0 ? pixels[0] + (Math.log(v / low) / span) * (pixels[1] - pixels[0]) : null),
      };
    }
    if (zero) low = Math.min(0, low);
    if (low === high) high = low + 1;
    const pad = (high - low) * 0.06;
    high += pad;
    if (low < 0 || !zero) low -= pad;
    return {
      ticks: niceTicks(low, high, 5),
      at: (v) => (v === null || v === undefined ? null : pixels[0] + ((v - low) / (high - low)) * (pixels[1] - pixels[0])),
    };
  }

  function lineClass(model) {
    if (model.role === "original") return "anchor";
    if (model.role === "untrained") return "untrained";
    return `s${model.slot % 8}`;
  }

  function markClass(model) {
    if (model.role === "original") return "anchor-mark";
    if (model.role === "untrained") return "untrained-mark";
    return `f${model.slot % 8}`;
  }

  function dash(model) {
    if (model.role === "original") return "1 5";
    if (model.role === "untrained") return "6 5";
    return DASHES[model.slot % DASHES.length];
  }

  /* Each model has its own shape as well as its own colour. */
  function mark(model, x, y, r = 5) {
    const shapes = [
      () => make("circle", { cx: x, cy: y, r }),
      () => make("rect", { x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8 }),
      () => make("path", { d: `M${x} ${y - r * 1.2}L${x + r * 1.15} ${y + r * 0.85}H${x - r * 1.15}Z` }),
      () => make("path", { d: `M${x} ${y - r * 1.3}L${x + r * 1.3} ${y}L${x} ${y + r * 1.3}L${x - r * 1.3} ${y}Z` }),
      () => make("path", { d: `M${x} ${y + r * 1.2}L${x + r * 1.15} ${y - r * 0.85}H${x - r * 1.15}Z` }),
    ];
    const index = model.role === "candidate" ? model.slot % shapes.length : 0;
    const node = shapes[index]();
    node.setAttribute("class", `mark ${markClass(model)}`);
    return node;
  }

  function path(points) {
    let drawn = "";
    let pen = "M";
    for (const [x, y] of points) {
      if (y === null) { pen = "M"; continue; }
      drawn += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
    }
    return drawn;
  }

  function swatch(model) {
    const key = make("svg", { viewBox: "0 0 34 14", "aria-hidden": "true" });
    key.append(make("path", { d: "M1 7H33", class: `line ${lineClass(model)}`, "stroke-dasharray": dash(model) }), mark(model, 17, 7, 4));
    return key;
  }

  function verticalAxis(svg, scale, left, right, name) {
    const axis = make("g", { class: "axis" });
    for (const tick of scale.ticks) {
      const y = scale.at(tick);
      if (y === null) continue;
      axis.append(make("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }));
      axis.append(make("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, figure(tick)));
    }
    axis.append(make("text", { class: "name", x: 0, y: 14 }, name));
    svg.append(axis);
  }

  function draw(canvas, width, height, label) {
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    canvas.replaceChildren(svg);
    return svg;
  }

  const widthOf = (canvas) => Math.max(300, Math.min(820, canvas.clientWidth || 720));

  /* Discrepancy by neighbourhood */

  function neighbourhoodFigure(root, audit) {
    const canvas = root.querySelector(".canvas");
    const legend = root.querySelector(".legend");
    const measure = root.querySelector("[data-choose=measure]");
    const population = root.querySelector("[data-choose=population]");
    const scaleKind = root.querySelector("[data-choose=scale]");
    const hidden = new Set(audit.models.filter((m) => m.role === "untrained").map((m) => m.name));

    function lines(result) {
      return audit.models.filter((m) => result.lines[m.name] && !hidden.has(m.name));
    }

    function drawLegend(result) {
      legend.replaceChildren();
      for (const model of audit.models.filter((m) => result.lines[m.name])) {
        const button = html("button", { type: "button", "aria-pressed": String(!hidden.has(model.name)) }, swatch(model), model.title);
        button.addEventListener("click", () => {
          if (!hidden.delete(model.name)) hidden.add(model.name);
          render();
        });
        legend.append(html("li", {}, button));
      }
    }

    function drawBand(svg, result, x, y) {
      if (!result.floor) return;
      const indices = audit.strata.map((_, i) => i).filter((i) => y.at(result.low[i]) !== null && y.at(result.high[i]) !== null);
      const up = indices.map((i) => `${x(i)} ${y.at(result.high[i])}`);
      const down = indices.map((i) => `${x(i)} ${y.at(result.low[i])}`).reverse();
      if (up.length) svg.append(make("path", { class: "band", d: `M${[...up, ...down].join("L")}Z` }));
      const middle = result.floor.map((v, i) => [x(i), y.at(v)]);
      svg.append(make("path", { class: "floor", d: path(middle) }));
    }

    function horizontalAxis(svg, x, bottom, narrow) {
      const axis = make("g", { class: "axis" });
      const every = Math.ceil(audit.strata.length / (narrow ? 5 : 10));
      audit.strata.forEach((stratum, i) => {
        if (i % every && i !== audit.strata.length - 1) return;
        axis.append(make("text", { x: x(i), y: bottom + 18, "text-anchor": "middle" }, stratum.short));
      });
      axis.append(make("text", { class: "name", x: x(0), y: bottom + 40, "text-anchor": "start" }, "← nearest to the forget set"));
      axis.append(make("text", { class: "name", x: x(audit.strata.length - 1), y: bottom + 40, "text-anchor": "end" }, "farthest →"));
      svg.append(axis);
    }

    function readout(svg, result, x, top, bottom) {
      const box = html("div", { class: "readout", "aria-hidden": "true" });
      box.hidden = true;
      const crosshair = make("line", { class: "crosshair", y1: top, y2: bottom, visibility: "hidden" });
      svg.append(crosshair);
      canvas.append(box);
      const show = (i) => {
        const rows = lines(result).map((m) => html("tr", {}, html("td", {}, m.title), html("td", {}, figure(result.lines[m.name][i]))));
        if (result.floor) rows.push(html("tr", {}, html("td", {}, "noise floor"), html("td", {}, figure(result.floor[i]))));
        const count = audit.strata[i].counts[population.value];
        box.replaceChildren(html("strong", {}, `${audit.strata[i].title}, ${count} examples`), html("table", {}, html("tbody", {}, ...rows)));
        box.hidden = false;
        crosshair.setAttribute("x1", x(i));
        crosshair.setAttribute("x2", x(i));
        crosshair.setAttribute("visibility", "visible");
        const ratio = canvas.clientWidth / svg.viewBox.baseVal.width;
        const at = x(i) * ratio;
        box.style.left = `${at > canvas.clientWidth / 2 ? at - box.offsetWidth - 14 : at + 14}px`;
      };
      svg.addEventListener("pointermove", (event) => {
        const ratio = svg.viewBox.baseVal.width / svg.getBoundingClientRect().width;
        const px = (event.clientX - svg.getBoundingClientRect().left) * ratio;
        const step = audit.strata.length > 1 ? x(1) - x(0) : 1;
        show(Math.max(0, Math.min(audit.strata.length - 1, Math.round((px - x(0)) / step))));
      });
      svg.addEventListener("pointerleave", () => {
        box.hidden = true;
        crosshair.setAttribute("visibility", "hidden");
      });
    }

    function render() {
      const info = audit.measures.find((m) => m.name === measure.value);
      const result = audit.results[info.name][population.value];
      const width = widthOf(canvas);
      const narrow = width < 520;
      const height = narrow ? 340 : 420;
      const [left, right, top, bottom] = [52, width - 16, 30, height - 52];
      const shown = lines(result);
      const values = known([...shown.flatMap((m) => result.lines[m.name]), ...(result.floor ? [...result.low, ...result.high, ...result.floor] : [])]);
      const positive = values.filter((v) => v > 0);
      const logarithmic = scaleKind.value === "log" && !info.signed && positive.length > 0;
      scaleKind.disabled = Boolean(info.signed);
      const title = `${info.title}, ${population.value} set`;
      const svg = draw(canvas, width, height, `${title}: discrepancy to the retrained models by stratum. ${root.dataset.summary || ""}`);
      drawLegend(result);
      if (!values.length) {
        svg.append(make("text", { class: "note", x: left, y: height / 2 }, "No example of this population in any stratum."));
        return;
      }
      const y = makeScale(logarithmic ? positive : values, { pixels: [bottom, top], logarithmic, zero: true });
      const inset = narrow ? 14 : 36;
      const steps = Math.max(1, audit.strata.length - 1);
      const x = (i) => left + inset + (i / steps) * (right - left - 2 * inset);
      verticalAxis(svg, y, left, right, `${info.title}${info.unit ? ` (${info.unit})` : ""}`);
      horizontalAxis(svg, x, bottom, narrow);
      drawBand(svg, result, x, y);
      for (const model of shown) {
        const points = result.lines[model.name].map((v, i) => [x(i), y.at(v)]);
        svg.append(make("path", { class: `line ${lineClass(model)}`, d: path(points), "stroke-dasharray": dash(model) }));
        for (const [px, py] of points) if (py !== null) svg.append(mark(model, px, py, narrow ? 4 : 5));
      }
      readout(svg, result, x, top, bottom);
      root.querySelector("[data-title]").textContent = title;
    }

    for (const choice of [measure, population, scaleKind]) choice.addEventListener("change", render);
    return render;
  }

  /* Tables that follow the chosen measure and population */

  function followTables(article) {
    const measure = article.querySelector("[data-choose=measure]");
    const population = article.querySelector("[data-choose=population]");
    const model = article.querySelector("[data-choose=model]");
    const show = () => {
      for (const body of article.querySelectorAll("tbody[data-model]")) {
        body.hidden = model.value !== "" && body.dataset.model !== model.value;
      }
      for (const table of article.querySelectorAll("[data-table]")) {
        table.hidden = table.dataset.measure !== measure.value || table.dataset.population !== population.value;
      }
    };
    measure.addEventListener("change", show);
    population.addEventListener("change", show);
    model.addEventListener("change", show);
    show();
  }

  /* Damage by class: one row a class, one mark a model */

  function classFigure(root, audit) {
    const canvas = root.querySelector(".canvas");
    const population = root.querySelector("[data-choose=class-population]");
    return function render() {
      const damage = audit.classes[population.value];
      const models = audit.models.filter((m) => damage.lines[m.name]);
      const width = widthOf(canvas);
      const step = 26;
      const height = damage.classes.length * step + 54;
      const longest = Math.max(...damage.classes.map((c) => c.name.length + (c.forgotten ? 10 : 0)));
      const left = Math.min(width * 0.42, 16 + longest * 7);
      const svg = draw(canvas, width, height, `Mean excess by class, ${population.value} set; worst class first. The table below holds the figures.`);
      const values = known(models.flatMap((m) => damage.lines[m.name]));
      const x = makeScale(values.length ? values : [0, 1], { pixels: [left, width - 16], zero: true });
      for (const tick of x.ticks) {
        svg.append(make("line", { class: "grid", x1: x.at(tick), x2: x.at(tick), y1: 10, y2: height - 40 }));
        svg.append(make("text", { class: "tick", x: x.at(tick), y: height - 22, "text-anchor": "middle" }, figure(tick)));
      }
      svg.append(make("text", { class: "axis label", x: left, y: height - 3 }, `mean excess, ${audit.primary.title}`));
      damage.classes.forEach((entry, row) => {
        const y = 24 + row * step;
        const name = entry.name.length > 26 ? `${entry.name.slice(0, 25)}…` : entry.name;
        svg.append(make("text", { class: "label", x: left - 10, y: y + 4, "text-anchor": "end" }, entry.forgotten ? `${name} (forgotten)` : name));
        svg.append(make("line", { class: "grid", x1: left, x2: width - 16, y1: y, y2: y }));
        for (const model of models) {
          const px = x.at(damage.lines[model.name][row]);
          if (px !== null) svg.append(mark(model, px, y, 5));
        }
      });
      root.querySelector(".legend").replaceChildren(...models.map((m) => html("li", {}, html("span", { class: "controls-key" }, swatch(m)), ` ${m.title}`)));
      for (const table of root.querySelectorAll("[data-class-table]")) table.hidden = table.dataset.classTable !== population.value;
    };
  }

  /* Excess in the nearest stratum over cost */

  function costFigure(root, audit) {
    const canvas = root.querySelector(".canvas");
    return function render() {
      const width = widthOf(canvas);
      const height = 320;
      const [left, right, top, bottom] = [58, width - 24, 30, height - 48];
      const svg = draw(canvas, width, height, "Excess in the nearest stratum over cost, one point a model. The table below holds the figures.");
      const points = audit.cost;
      const excess = known(points.flatMap((p) => [p.excess, p.lower, p.upper]));
      const spread = points.map((p) => p.cost).filter((c) => c > 0);
      const y = makeScale([0, ...excess], { pixels: [bottom, top], zero: true });
      const x = makeScale([...spread, 1], { pixels: [left + 20, right - 30], logarithmic: true });
      verticalAxis(svg, y, left, right, `excess, ${audit.primary.title}`);
      const ticks = make("g", { class: "axis" });
      for (const tick of x.ticks) ticks.append(make("text", { x: x.at(tick), y: bottom + 18, "text-anchor": "middle" }, `${figure(100 * tick)} %`));
      ticks.append(make("text", { class: "name", x: left, y: bottom + 40 }, "cost, as a share of one retraining"));
      svg.append(ticks);
      svg.append(make("line", { class: "floor", x1: left, x2: right, y1: y.at(0), y2: y.at(0) }));
      const taken = [];
      for (const point of points) {
        const px = point.cost > 0 ? x.at(point.cost) : left + 6;
        const py = y.at(point.excess);
        if (py === null) continue;
        if (point.lower !== null && point.upper !== null) {
          svg.append(make("line", { class: `whisker ${lineClass(point)}`, x1: px, x2: px, y1: y.at(point.lower), y2: y.at(point.upper) }));
        }
        svg.append(mark(point, px, py, 6));
        const end = px > width * 0.6;
        let ly = Math.abs(py - y.at(0)) < 10 ? py - 8 : py + 4;
        while (taken.some(([tx, ty]) => Math.abs(tx - px) < 130 && Math.abs(ty - ly) < 15)) ly -= 15;
        taken.push([px, ly]);
        svg.append(make("text", { class: "label", x: px + (end ? -11 : 11), y: ly, "text-anchor": end ? "end" : "start" }, point.title));
      }
    };
  }

  /* Gallery */

  function gallery(root) {
    const stratum = root.querySelector("[data-choose=stratum]");
    const label = root.querySelector("[data-choose=class]");
    const count = root.querySelector("[data-count]");
    const items = [...root.querySelectorAll("[data-example]")];
    const filter = () => {
      let shown = 0;
      for (const item of items) {
        const fits = (!stratum.value || item.dataset.stratum === stratum.value) && (!label.value || item.dataset.label === label.value);
        item.hidden = !fits;
        shown += fits ? 1 : 0;
      }
      count.textContent = shown === 1 ? "1 example" : `${shown} examples`;
    };
    stratum.addEventListener("change", filter);
    label.addEventListener("change", filter);
    filter();
  }

  /* Two candidates side by side */

  function sideBySide(article) {
    const table = article.querySelector("[data-pair]");
    const sides = ["left", "right"].map((side) => article.querySelector(`[data-choose=${side}]`));
    if (!table) return;
    const show = () => {
      const chosen = sides.map((side) => side.value);
      for (const cell of table.querySelectorAll("[data-column]")) cell.hidden = !chosen.includes(cell.dataset.column);
    };
    for (const side of sides) side.addEventListener("change", show);
    show();
  }

  /* Deep links: what is chosen stands in the address, and comes back with it */

  const menus = [...document.querySelectorAll("[data-choose]")];
  const called = (menu) => `${menu.closest("article").id}.${menu.dataset.choose}`;
  const linked = () => location.hash.slice(1).split("?");

  function keep(menu) {
    const chosen = new URLSearchParams(linked()[1] || "");
    chosen.set(called(menu), menu.value);
    history.replaceState(null, "", `#${menu.closest("section").id}?${chosen}`);
  }

  function recall() {
    const [place, query] = linked();
    if (!query) return;
    for (const [name, value] of new URLSearchParams(query)) {
      const menu = menus.find((m) => called(m) === name);
      if (!menu || ![...menu.options].some((option) => option.value === value)) continue;
      menu.value = value;
      menu.dispatchEvent(new Event("change"));
    }
    const section = document.getElementById(place);
    if (section) section.scrollIntoView();
  }

  const renders = [];
  document.querySelectorAll("article.audit").forEach((article, index) => {
    const audit = report.audits[index];
    const charts = { neighbourhood: neighbourhoodFigure, classes: classFigure, cost: costFigure };
    for (const [name, chart] of Object.entries(charts)) {
      const root = article.querySelector(`[data-chart=${name}]`);
      if (!root) continue;
      const render = chart(root, audit);
      root.querySelectorAll("[data-choose=class-population]").forEach((s) => s.addEventListener("change", render));
      render();
      renders.push(render);
    }
    followTables(article);
    sideBySide(article);
    const pictures = article.querySelector("[data-gallery]");
    if (pictures) gallery(pictures);
  });

  recall();
  for (const menu of menus) menu.addEventListener("change", () => keep(menu));
  window.addEventListener("hashchange", recall);

  let waiting = 0;
  let lastWidth = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === lastWidth) return;
    lastWidth = window.innerWidth;
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => renders.forEach((render) => render()), 120);
  });
  document.documentElement.dataset.ready = "true";
})();
