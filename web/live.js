// With Run (On Change) the page runs a graph when a slider is let go. In graphs with nodes of this pack it also runs while the mouse moves:
// one run at a time, always with the newest values, and a last one for where the slider was left. These runs are sent without the page's
// Run button, so that a drag is one step of undo and not a hundred.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const LOOK_MS = 10;
const NUMBERS = ["number", "slider", "FLOAT", "INT"]; // types of widgets that one drags

let dragging = false;
let busy = false;
let timer = 0;
let sent = "";
const waiting = new Map(); // prompt id -> what to do when it ends; or true where it ended before it was known

const onChange = () => app.extensionManager?.queueSettings?.mode === "change";
const isOurs = (node) => node.type?.startsWith("Micromotion") || node.subgraph?.nodes?.some(isOurs);

// What the sliders of our nodes, and of subgraphs around them, stand at.
function values(graph = app.rootGraph ?? app.graph) {
  const nodes = (graph?.nodes ?? []).filter(isOurs);
  const sliders = nodes.flatMap((node) => node.widgets ?? []).filter((widget) => NUMBERS.includes(widget.type));
  return sliders.map((widget) => widget.value).join() + nodes.map((node) => (node.subgraph ? values(node.subgraph) : "")).join(";");
}

function ended({ detail }) {
  const then = waiting.get(detail.prompt_id);
  waiting.delete(detail.prompt_id);
  then ? then() : busy && waiting.set(detail.prompt_id, true);
}

async function run() {
  const { output, workflow } = await app.graphToPrompt();
  const { prompt_id } = await api.queuePrompt(0, { output, workflow });
  if (!waiting.delete(prompt_id)) await new Promise((then) => waiting.set(prompt_id, then));
}

async function look() {
  if (busy) return;
  const now = values();
  if (now === sent) return dragging || stop();
  [busy, sent] = [true, now];
  try {
    await run();
  } catch (error) {
    console.warn("micromotion: no live run;", error.message ?? error); // Run, at the end of the drag, shows what is wrong
  }
  busy = false;
}

function start() {
  if (!onChange()) return;
  dragging = true;
  if (timer) return;
  sent = values();
  timer = setInterval(look, LOOK_MS);
}

function stop() {
  clearInterval(timer);
  timer = 0;
  waiting.clear();
}

app.registerExtension({
  name: "micromotion.live",
  setup() {
    for (const end of ["execution_success", "execution_error", "execution_interrupted"]) api.addEventListener(end, ended);
    window.addEventListener("pointerdown", start, true);
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (dragging = false), true);
  },
});
