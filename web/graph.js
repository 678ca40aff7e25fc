// Where a node of an execution stands in the open graph, for the other scripts here.
import { app } from "../../scripts/app.js";

export const rootGraph = () => app.rootGraph ?? app.graph;

// Nodes on the way to an execution id such as "5:12", outermost first; none where there is no such node.
export function path(executionId) {
  const nodes = [];
  let graph = rootGraph();
  for (const part of String(executionId).split(":")) {
    const node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part);
    if (!node) return [];
    nodes.push(node);
    graph = node.subgraph;
  }
  return nodes;
}
