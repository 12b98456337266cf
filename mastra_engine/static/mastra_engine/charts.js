// Draws the JSON of a page: a map of points, or bars by day. The colours come from the page's CSS.
"use strict";

(() => {
  const charts = [];
  const pageData = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
  const colourOf = (selector, property) =>
    getComputedStyle(document.querySelector(selector))[property];

  function map(groups) {
    const canvas = document.getElementById("map");
    // The axes have no unit: only distances between points have a meaning.
    const axis = { display: false, grace: "5%" };
    const chart = new Chart(canvas, {
      type: "scatter",
      data: {
        datasets: groups.map(({ label, points }) => ({
          label,
          data: points.map(([x, y]) => ({ x, y })),
          radius: points.length > 300 ? 3 : 4,
          hoverRadius: 7,
          borderWidth: 0,
        })),
      },
      options: {
        animation: false,
        maintainAspectRatio: false,
        scales: {
          x: axis,
          y: axis,
        },
        plugins: {
          legend: { display: false },
          tooltip: {
            displayColors: false,
            callbacks: {
              title: ([item]) => item.dataset.label,
              label: (item) => lines(groups[item.datasetIndex].points[item.dataIndex][3]),
            },
          },
        },
        onHover: (event, [item]) => {
          canvas.style.cursor = item ? "pointer" : "";
        },
        onClick: (event, [item]) => {
          const address = item && groups[item.datasetIndex].points[item.index][2];
          if (address) location.assign(address);
        },
      },
    });
    document.querySelectorAll("[data-group]").forEach((box) => {
      const show = () => chart.setDatasetVisibility(Number(box.dataset.group), box.checked);
      box.addEventListener("change", () => {
        show();
        chart.update();
      });
      show();
    });
    charts.push([chart, (set, i) => colourOf(`.me-colour-${i}`, "backgroundColor")]);
  }

  function growth(days, canvas) {
    const chart = new Chart(canvas, {
      type: "bar",
      data: {
        labels: days.map(({ day }) => day.slice(5)),
        datasets: [{ data: days.map((day) => day[canvas.dataset.kind]) }],
      },
      options: {
        animation: false,
        maintainAspectRatio: false,
        scales: {
          x: { grid: { display: false }, ticks: { maxTicksLimit: 5, maxRotation: 0 } },
          y: { beginAtZero: true, border: { display: false }, ticks: { maxTicksLimit: 4, precision: 0 } },
        },
        plugins: { legend: { display: false }, tooltip: { displayColors: false } },
      },
    });
    charts.push([chart, () => colourOf(".me-chart", "color")]);
  }

  function lines(text) {
    return text.match(/.{1,50}(\s|$)|.{50}/gsu) ?? [text];
  }

  function paint() {
    const quiet = colourOf(".me-page .me-quiet, .me-page small", "color");
    const line = colourOf(".me-map, .me-chart", "borderTopColor");
    for (const [chart, colour] of charts) {
      for (const scale of Object.values(chart.options.scales)) {
        scale.ticks.color = quiet;
        scale.grid.color = line;
      }
      chart.data.datasets.forEach((set, i) => {
        set.backgroundColor = set.hoverBackgroundColor = colour(set, i);
      });
      chart.update();
    }
  }

  const points = pageData("map-data");
  if (points) map(points);
  const days = pageData("growth-data");
  if (days) document.querySelectorAll("[data-kind]").forEach((canvas) => growth(days, canvas));
  if (charts.length) {
    paint();
    new MutationObserver(paint).observe(document.documentElement, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  }
})();
