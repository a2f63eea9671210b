"use strict";
// Marking spans. The server draws the text so that each code point has its place: as itself, or as
// one element of class "mark". Offsets here count code points, as they do on the server; what is
// sent has the covered text beside them, which the server compares.

const box = document.getElementById("text");
const field = document.getElementById("spans");
const list = document.getElementById("spans-list");
const told = document.getElementById("spans-said");
const overlap = field.dataset.overlap === "yes";
const buttons = [...document.querySelectorAll("[data-label]")];
const classes = new Map(buttons.map((button, n) => [button.dataset.label, `c${n % 8}`]));

const chars = []; // one string each code point
const marks = new Map(); // offset -> the element that stands for it
for (const node of box.childNodes) {
  if (node.nodeType === Node.TEXT_NODE) chars.push(...node.data);
  else {
    marks.set(chars.length, node);
    chars.push(String.fromCodePoint(parseInt(node.dataset.c, 16)));
  }
}

let spans = [];
let chosen = [0, 0]; // the selection in the text, which a click elsewhere may clear

function textOf(start, end) {
  return chars.slice(start, end).join("");
}

function runs(start, end) {
  const nodes = [];
  let from = start;
  for (let at = start; at <= end; at++) {
    if (at < end && !marks.has(at)) continue;
    if (at > from) nodes.push(document.createTextNode(textOf(from, at)));
    if (at < end) nodes.push(marks.get(at));
    from = at + 1;
  }
  return nodes;
}

function draw() {
  const edges = new Set([0, chars.length]);
  for (const span of spans) edges.add(span.start).add(span.end);
  const places = [...edges].sort((a, b) => a - b);
  const nodes = [];
  for (let n = 0; n + 1 < places.length; n++) {
    const [start, end] = [places[n], places[n + 1]];
    const covering = spans.filter((span) => span.start <= start && end <= span.end);
    if (!covering.length) { nodes.push(...runs(start, end)); continue; }
    const part = document.createElement("span");
    part.className = `span ${classes.get(covering[0].label) || ""}`;
    part.append(...runs(start, end));
    const ending = covering.filter((span) => span.end === end).map((span) => span.label);
    if (ending.length) {
      part.classList.add("last-part");
      part.dataset.label = ending.join(", ");
    }
    nodes.push(part);
  }
  box.replaceChildren(...nodes);
  field.value = JSON.stringify(spans);
  drawList();
}

function drawList() {
  list.replaceChildren(...spans.map((span) => {
    const entry = document.createElement("li");
    const said = document.createElement("bdi");
    const remove = document.createElement("button");
    said.textContent = `${span.text} — ${span.label}`;
    remove.type = "button";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${span.text}, ${span.label}`);
    remove.addEventListener("click", () => { take([span]); box.focus(); });
    entry.append(said, remove);
    return entry;
  }));
}

function lengthOf(node) {
  if (node.nodeType === Node.TEXT_NODE) return [...node.data].length;
  if (marks.size && node.classList.contains("mark")) return 1;
  return [...node.childNodes].reduce((sum, child) => sum + lengthOf(child), 0);
}

function offsetOf(node, offset) {
  const mark = (node.nodeType === Node.TEXT_NODE ? node.parentNode : node).closest(".mark");
  let total = 0;
  if (mark) {
    total = offset > 0 ? 1 : 0;
    node = mark;
  } else if (node.nodeType === Node.TEXT_NODE) {
    total = [...node.data.slice(0, offset)].length;
  } else {
    for (const child of [...node.childNodes].slice(0, offset)) total += lengthOf(child);
  }
  for (; node !== box; node = node.parentNode) {
    for (let before = node.previousSibling; before; before = before.previousSibling) {
      total += lengthOf(before);
    }
  }
  return total;
}

function caretAt(offset) {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  let left = offset;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const inMark = node.parentNode.classList.contains("mark");
    const size = inMark ? 1 : lengthOf(node);
    if (!inMark && left <= size) {
      getSelection().collapse(node, [...node.data].slice(0, left).join("").length);
      return;
    }
    left -= size;
  }
}

function add(label) {
  look();
  let [start, end] = chosen;
  while (start < end && /^\s$/u.test(chars[start])) start++;
  while (end > start && /^\s$/u.test(chars[end - 1])) end--;
  if (start === end) return say("Mark a part of the text first.");
  const span = { start, end, label, text: textOf(start, end) };
  const same = (one) => one.start === start && one.end === end && (!overlap || one.label === label);
  const others = spans.filter((one) => !same(one));
  const clash = !overlap && others.find((one) => one.start < end && start < one.end);
  if (clash) return say(`It overlaps “${clash.text}”; remove that first.`);
  spans = [...others, span].sort((a, b) => a.start - b.start || a.end - b.end);
  draw();
  caretAt(end);
  return say(`Marked “${span.text}” as ${label}.`);
}

function take(gone) {
  spans = spans.filter((span) => !gone.includes(span));
  draw();
  say(gone.length ? `Removed ${gone.map((span) => `“${span.text}”`).join(", ")}.` : "No span is here.");
}

function say(text) {
  told.textContent = text;
}

// the event of a selection comes late, so that a quick key would miss it: the keys look, too
function look() {
  const selection = getSelection();
  if (!selection.rangeCount) return;
  const { startContainer, startOffset, endContainer, endOffset } = selection.getRangeAt(0);
  if (!box.contains(startContainer) || !box.contains(endContainer)) return;
  chosen = [offsetOf(startContainer, startOffset), offsetOf(endContainer, endOffset)];
}

document.addEventListener("selectionchange", look);

for (const button of buttons) button.addEventListener("click", () => add(button.dataset.label));

// an editable box has a caret and all the keys of selecting; what would change it is refused
box.contentEditable = "true";
box.spellcheck = false;
box.inputMode = "none";
box.setAttribute("role", "textbox");
box.setAttribute("aria-multiline", "true");
box.setAttribute("aria-readonly", "true");
box.setAttribute("aria-describedby", "spans-hint");
for (const mark of marks.values()) mark.contentEditable = "false";
box.addEventListener("beforeinput", (event) => event.preventDefault());
box.addEventListener("dragstart", (event) => event.preventDefault());
box.addEventListener("input", draw); // what an input method wrote all the same
box.addEventListener("keydown", (event) => {
  if (event.key !== "Backspace" && event.key !== "Delete") return;
  event.preventDefault();
  look();
  const [start, end] = chosen;
  take(spans.filter((span) => span.start <= end && start <= span.end));
});

try {
  const given = JSON.parse(field.value);
  const whole = (one) => Number.isInteger(one.start) && one.text === textOf(one.start, one.end);
  if (!Array.isArray(given) || !given.every(whole)) throw new Error("not spans of this text");
  spans = given;
  draw();
} catch {
  document.querySelector(".noscript").classList.remove("noscript"); // as written, to be mended
}
box.focus({ preventScroll: true });
caretAt(0);
