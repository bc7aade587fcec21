// Draws openapi.json. No framework, no outside resource: the page must work on
// an island and under a strict content policy.
"use strict";

const el = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};

const main = async () => {
  const spec = await (await fetch("/openapi.json")).json();
  document.title = document.getElementById("title").textContent = `${spec.info.title} ${spec.info.version}`;
  document.getElementById("description").textContent = spec.info.description;
  const tags = new Map();
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, op] of Object.entries(methods)) {
      const tag = (op.tags || ["other"])[0];
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push(operation(spec, path, method, op));
    }
  }
  const root = document.getElementById("operations");
  for (const [tag, ops] of tags) root.append(el("section", {}, el("h2", { textContent: tag }), ...ops));
};

const operation = (spec, path, method, op) => {
  const body = el("div", { className: "body" });
  const inputs = new Map();
  if (op.parameters) {
    body.append(el("h3", { textContent: "Parameters" }), el("table", {}, ...op.parameters.map((p) => {
      const input = el("input", { placeholder: String(p.schema.default ?? p.example ?? p.schema.examples?.[0] ?? "") });
      input.setAttribute("aria-label", p.name);
      if (p.in !== "header") inputs.set(p, input);
      return row(`${p.name}${p.required ? " *" : ""}`, typeName(p.schema), p.description, p.in !== "header" && method === "get" ? input : "");
    })));
  }
  for (const [type, content] of Object.entries(op.requestBody?.content || {})) {
    body.append(el("h3", { textContent: `Body: ${type}` }), el("pre", { textContent: JSON.stringify(example(spec, content.schema, 0), null, 2) }));
  }
  for (const [status, response] of Object.entries(op.responses)) {
    if (status === "default") continue;
    const [type, content] = Object.entries(response.content || {})[0] || [];
    body.append(el("h3", { textContent: `${status}${type ? `: ${type}` : ""}` }));
    if (content) body.append(fields(spec, content.schema), el("pre", { textContent: JSON.stringify(example(spec, content.schema, 0), null, 2) }));
  }
  if (method === "get" && path !== "/v1/events") body.append(tryIt(path, inputs));
  return el("details", {},
    el("summary", {}, el("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
      el("code", { textContent: path }), el("span", { className: "what", textContent: op.summary })),
    body);
};

const tryIt = (path, inputs) => {
  const out = el("pre", { hidden: true });
  const button = el("button", { textContent: "Try it" });
  button.addEventListener("click", async () => {
    const query = new URLSearchParams();
    let url = path;
    for (const [p, input] of inputs) {
      const value = input.value || (p.in === "path" ? input.placeholder : "");
      if (p.in === "path") url = url.replace(`{${p.name}}`, encodeURIComponent(value));
      else if (value) query.set(p.name, value);
    }
    if (query.size) url += `?${query}`;
    out.hidden = false;
    try {
      const response = await fetch(url);
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it is */ }
      out.textContent = `GET ${url}\n${response.status} ${response.statusText}\n\n${shown}`;
    } catch (e) {
      out.textContent = `GET ${url}\n${e}`;
    }
  });
  return el("div", {}, button, out);
};

const row = (name, type, text, extra = "") =>
  el("tr", {}, el("td", {}, el("code", { textContent: name })), el("td", { textContent: type }), el("td", {}, text || "", extra));

const resolve = (spec, schema) =>
  schema?.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : schema || {};

const typeName = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const type = [schema.type].flat().filter((t) => t && t !== "null").join(" or ");
  return type === "array" ? `list of ${typeName(schema.items)}` : schema.format ? `${type} (${schema.format})` : type;
};

const fields = (spec, schema) => {
  const object = resolve(spec, schema.type?.includes?.("array") ? schema.items : schema);
  return el("table", {}, ...Object.entries(object.properties || {}).map(([name, s]) => row(name, typeName(s), s.description)));
};

const example = (spec, schema, depth) => {
  const s = resolve(spec, schema);
  if (depth > 4) return "…";
  if (s.examples?.length) return s.examples[0];
  if (s.enum) return s.enum[0];
  const type = [s.type].flat().find((t) => t !== "null");
  switch (type) {
    case "object": return Object.fromEntries(Object.entries(s.properties || {}).map(([k, v]) => [k, example(spec, v, depth + 1)]));
    case "array": return [example(spec, s.items, depth + 1)];
    case "integer": case "number": return 0;
    case "boolean": return true;
    case "string": return s.format === "date-time" ? "2026-01-01T00:00:00Z" : s.format === "binary" ? "<bytes>" : "";
    default: return null;
  }
};

main().catch((e) => { document.getElementById("description").textContent = `The description cannot be loaded: ${e}`; });
