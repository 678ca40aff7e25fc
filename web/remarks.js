// What a node of this pack says of its run (`ui` text: a remark, where a file was saved) stays under the node, cached runs included.
// So does the sentence of a run that failed. A node inside a subgraph also says it under the subgraph, because that is what its user looks at.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { path } from "./graph.js";

const OURS = "Micromotion";
const WIDGET = "micromotion_remark";
const WIDEST_LINE = 46; // letters of a line, for the room that a remark takes
const LINE_PX = 17;
const MOST_LINES = { said: 8, failed: 12 };
const SAID = "var(--input-text, #ddd)", FAILED = "#ff8a80";
const MARGIN = 4; // pixels around the text in the canvas renderer
const said = new Map(); // execution id -> text

function textUnder(depth, executionId) {
  const inside = String(executionId).split(":").slice(0, depth + 1).join(":");
  const found = [...said].filter(([id]) => id === inside || id.startsWith(`${inside}:`)).map(([, text]) => text);
  return [...new Set(found)].join("\n");
}

function lines(text) {
  return text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / WIDEST_LINE)), 0);
}

function addWidget(node) {
  const element = document.createElement("div");
  element.dataset.kind = "said";
  element.style.cssText = `font-size:12px;line-height:${LINE_PX}px;white-space:pre-wrap;overflow-wrap:anywhere;overflow-y:auto;`
    + "padding:4px 8px;border-radius:6px;background:rgba(128,128,128,.15);user-select:text;box-sizing:border-box";
  const height = () => Math.min(MOST_LINES[element.dataset.kind], lines(element.textContent)) * LINE_PX + 8 + 2 * MARGIN;
  const kept = { serialize: false, getValue: () => "", setValue: () => {} };
  const options = { ...kept, hideOnZoom: false, margin: MARGIN, getMinHeight: height, getMaxHeight: height };
  const widget = node.addDOMWidget(WIDGET, WIDGET, element, options);
  widget.serialize = false;
  widget.label = " ";
  return widget;
}

function show(node, text, failed) {
  let widget = node.widgets?.find((one) => one.name === WIDGET);
  if (!text) {
    if (widget) node.removeWidget ? node.removeWidget(widget) : node.widgets.splice(node.widgets.indexOf(widget), 1);
    widget?.onRemove?.();
  } else {
    widget ??= addWidget(node);
    widget.element.dataset.kind = failed ? "failed" : "said";
    widget.element.style.color = failed ? FAILED : SAID;
    if (widget.element.textContent === text) return;
    widget.element.textContent = text;
    widget.element.title = text;
  }
  const [width, height] = node.computeSize();
  node.setSize([Math.max(width, node.size[0]), text ? Math.max(height, node.size[1]) : node.size[1]]);
  node.setDirtyCanvas?.(true, true);
}

function update(executionId, text, failed = false) {
  const nodes = path(executionId);
  if (!nodes.at(-1)?.type?.startsWith(OURS)) return;
  text ? said.set(String(executionId), text) : said.delete(String(executionId));
  nodes.forEach((node, depth) => show(node, textUnder(depth, executionId), failed));
}

app.registerExtension({
  name: "micromotion.remarks",
  setup() {
    api.addEventListener("executing", ({ detail }) => detail && said.has(String(detail)) && update(detail, ""));
    api.addEventListener("execution_error", ({ detail }) => update(detail.node_id, detail.exception_message.trim(), true));
    api.addEventListener("executed", ({ detail }) => update(detail.node, (detail.output?.text ?? []).join("\n")));
  },
  beforeConfigureGraph: () => said.clear(),
});
