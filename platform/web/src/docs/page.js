"use strict";

const METHODS = ["get", "put", "post", "patch", "delete"];
/** Deeper than this a schema is named and not unfolded; schemas may hold themselves. */
const DEPTH_MAX = 4;

let contract;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

function resolve(value) {
  if (!value || !value.$ref) return value;
  return value.$ref
    .slice(2)
    .split("/")
    .reduce((inside, part) => inside && inside[part.replace(/~1/g, "/").replace(/~0/g, "~")], contract);
}

function nameOf(schema) {
  return schema && schema.$ref ? schema.$ref.split("/").pop() : "";
}

/** A schema as the JSON it describes, with types where values would be. */
function outline(schema, depth = 0) {
  const name = nameOf(schema);
  const real = resolve(schema);
  if (!real || real === true) return "any";
  if (depth > DEPTH_MAX) return name || "…";
  if (real.enum) return real.enum.join(" | ");
  if (real.const !== undefined) return String(real.const);
  const parts = real.oneOf || real.anyOf;
  if (parts) {
    const seen = parts.map((part) => outline(part, depth + 1));
    return seen.every((part) => typeof part === "string") ? seen.join(" | ") : seen.find((part) => part !== "null");
  }
  if (real.allOf) return Object.assign({}, ...real.allOf.map((part) => outline(part, depth)));
  if (real.properties) {
    const required = real.required || [];
    return Object.fromEntries(
      Object.entries(real.properties).map(([key, value]) => [
        required.includes(key) ? key : `${key}?`,
        outline(value, depth + 1),
      ]),
    );
  }
  const type = [].concat(real.type || "any");
  if (type.includes("array")) return [outline(real.items, depth + 1)];
  return type.join(" | ") + (real.format ? ` (${real.format})` : "");
}

/** A first body to edit. */
function sample(schema, depth = 0) {
  const real = resolve(schema);
  if (!real || depth > DEPTH_MAX) return null;
  if (real.example !== undefined) return real.example;
  if (real.default !== undefined) return real.default;
  if (real.enum) return real.enum[0];
  const parts = real.oneOf || real.anyOf;
  if (parts) return sample(parts.find((part) => part.type !== "null") || parts[0], depth + 1);
  if (real.allOf) return Object.assign({}, ...real.allOf.map((part) => sample(part, depth)));
  if (real.properties) {
    const required = real.required || [];
    return Object.fromEntries(required.map((key) => [key, sample(real.properties[key], depth + 1)]));
  }
  const type = [].concat(real.type || [])[0];
  return { array: [], object: {}, integer: 0, number: 0, boolean: false, string: "" }[type] ?? null;
}

function schemaBlock(schema) {
  return make("pre", { tabindex: "0" }, JSON.stringify(outline(schema), null, 2));
}

function parametersTable(parameters) {
  const rows = parameters.map((parameter) =>
    make(
      "tr",
      {},
      make("td", {}, make("code", {}, parameter.name), parameter.required ? " *" : ""),
      make("td", {}, parameter.in),
      make("td", {}, make("code", {}, String(outline(parameter.schema)))),
      make("td", {}, parameter.description || ""),
    ),
  );
  const head = make("tr", {}, ...["Name", "In", "Type", "Meaning"].map((text) => make("th", { scope: "col" }, text)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

function responses(operation) {
  return Object.entries(operation.responses || {}).flatMap(([status, reference]) => {
    const response = resolve(reference) || {};
    const kinds = Object.entries(response.content || {});
    const title = make("h3", {}, `Answer ${status} `, make("span", { class: "quiet" }, response.description || ""));
    if (status === "default") return [title];
    return [title, ...kinds.map(([kind, content]) => make("div", {}, make("code", {}, kind), schemaBlock(content.schema)))];
  });
}

function tryIt(method, path, parameters, body) {
  const answer = make("pre", { tabindex: "0", hidden: "" });
  const fields = parameters.map((parameter) => {
    const input = make("input", { class: "code", name: parameter.name, required: parameter.required });
    return { parameter, input, row: make("label", {}, `${parameter.name} `, input) };
  });
  const text = body && make("textarea", { "aria-label": "Body", spellcheck: "false" });
  if (text) text.value = JSON.stringify(sample(body.schema), null, 2);
  const send = async (event) => {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, input.value.split("/").map(encodeURIComponent).join("/"));
      else if (!input.value) continue;
      else if (parameter.in === "query") query.append(parameter.name, input.value);
      else headers[parameter.name] = input.value;
    }
    const key = document.getElementById("key").value;
    if (key) headers["X-API-Key"] = key;
    if (text) headers["Content-Type"] = body.kind;
    if ([...query].length) url += `?${query}`;
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const begun = performance.now();
      const response = await fetch(url, { method: method.toUpperCase(), headers, body: text ? text.value : undefined });
      const said = await response.text();
      const took = Math.round(performance.now() - begun);
      answer.textContent = `${response.status} ${response.statusText} · ${took} ms · ${response.headers.get("x-request-id")}\n\n${pretty(said)}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  };
  return make("form", { onsubmit: send }, make("h3", {}, "Try it"), ...fields.map((field) => field.row), text, make("p", {}, make("button", {}, "Send")), answer);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text.slice(0, 20000);
  }
}

function inside(method, path, item, operation) {
  const parameters = [...(item.parameters || []), ...(operation.parameters || [])].map(resolve);
  const content = resolve(operation.requestBody)?.content || {};
  const [kind, media] = Object.entries(content)[0] || [];
  const streams = path === "/events";
  return make(
    "div",
    { class: "inside" },
    operation.description && make("p", {}, operation.description),
    parameters.length ? parametersTable(parameters) : null,
    kind && make("div", {}, make("h3", {}, "Body ", make("code", {}, kind)), schemaBlock(media.schema)),
    ...responses(operation),
    streams ? null : tryIt(method, path, parameters, kind && { kind, schema: media.schema }),
  );
}

function card(method, path, item, operation) {
  const summary = make(
    "summary",
    {},
    make("span", { class: "method" }, method.toUpperCase()),
    make("code", {}, path),
    make("span", { class: "quiet" }, operation.summary || ""),
  );
  const details = make("details", { id: operation.operationId }, summary);
  details.dataset.words = `${method} ${path} ${operation.summary || ""} ${operation.description || ""} ${(operation.tags || []).join(" ")}`.toLowerCase();
  // Built when first opened: a contract holds hundreds of schemas.
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(inside(method, path, item, operation));
  });
  return details;
}

function show() {
  document.getElementById("version").textContent = contract.info.version;
  document.getElementById("about").textContent = contract.info.description || "";
  const groups = new Map();
  for (const [path, item] of Object.entries(contract.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const tag = (operation.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(card(method, path, item, operation));
    }
  }
  const tags = [...groups.keys()].sort();
  const sections = tags.map((tag) => make("section", { id: `part-${tag}` }, make("h2", {}, tag), ...groups.get(tag)));
  document.getElementById("operations").replaceChildren(...sections);
  document.getElementById("places").replaceChildren(...tags.map((tag) => make("a", { href: `#part-${tag}` }, tag)));
}

function find(event) {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("main section")) {
    let shown = 0;
    for (const details of section.querySelectorAll("details")) {
      details.hidden = !words.every((word) => details.dataset.words.includes(word));
      shown += details.hidden ? 0 : 1;
    }
    section.hidden = shown === 0;
  }
}

async function load() {
  const main = document.getElementById("operations");
  const key = document.getElementById("key").value;
  try {
    const response = await fetch("/api/v1/openapi.json", { headers: key ? { "X-API-Key": key } : {} });
    contract = await response.json();
    if (!response.ok) throw new Error(contract.title);
    show();
    const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (place) {
      place.open = true;
      place.scrollIntoView();
    }
  } catch (error) {
    main.replaceChildren(make("p", {}, `The contract could not be read: ${error.message}`));
  }
}

document.getElementById("find").addEventListener("input", find);
document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
// In production the contract itself needs a key.
document.getElementById("key").addEventListener("change", () => contract?.paths || load());
load();
