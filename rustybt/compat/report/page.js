(async () => {
  "use strict";
  const PRINT_WIDTH = 680;
  const byId = (id) => document.getElementById(id);

  async function unpack(id) {
    const packed = atob(byId(id).textContent);
    const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
    const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(text).text();
  }

  async function loadPlotly() {
    const script = document.createElement("script");
    script.textContent = await unpack("plotly-gz");
    document.head.append(script);
  }

  // A finger scrolls the page; a mouse zooms the chart.
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "resetScale2d"]],
    displayModeBar: touch ? false : "hover",
    doubleClick: "reset",
  };

  async function draw(id, data, layout, time) {
    for (const trace of data) {
      if (typeof trace.x === "string") trace.x = specs.shared[trace.x];
      // Of a stack, the label under the mouse lists what was held.
      if (trace.stackgroup) trace.hoverinfo = trace.y.map((value) => (value ? "all" : "none"));
    }
    Object.assign(layout.xaxis, time);
    if (touch) {
      layout.dragmode = false;
      for (const name of Object.keys(layout)) {
        if (/^[xy]axis/.test(name)) layout[name].fixedrange = true;
      }
    }
    await Plotly.newPlot(byId(id), data, layout, config);
  }

  async function drawFills(index) {
    const { layout, time, assets } = specs.fills;
    await draw("fills", assets[index], structuredClone(layout), time);
    for (const note of document.querySelectorAll("[data-asset]")) {
      note.hidden = note.dataset.asset !== String(index);
    }
  }

  async function drawAll() {
    for (const [id, chart] of Object.entries(specs.charts)) {
      if (chart) await draw(id, chart.data, chart.layout, specs.time);
    }
    if (specs.fills.assets.length) await drawFills(0);
  }

  function resizeAll(size) {
    for (const chart of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(chart, size);
  }

  let specs;
  try {
    [specs] = [JSON.parse(await unpack("charts-gz")), await loadPlotly()];
    await drawAll();
  } catch (error) {
    byId("failure").textContent =
      "The charts could not be drawn. They need a browser of 2023 or later (Chrome 80, Firefox 113, Safari 16.4).";
    byId("failure").hidden = false;
    document.documentElement.dataset.charts = "failed";
    throw error;
  }
  byId("scale").addEventListener("change", (event) => {
    Plotly.relayout(byId("equity"), { "yaxis.type": event.target.value });
  });
  byId("asset")?.addEventListener("change", (event) => drawFills(Number(event.target.value)));
  addEventListener("beforeprint", () => resizeAll({ width: PRINT_WIDTH, autosize: false }));
  addEventListener("afterprint", () => resizeAll({ width: undefined, autosize: true }));
  document.documentElement.dataset.charts = "drawn";
})();
