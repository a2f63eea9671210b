"use strict";
// Keys: an element's data-key is what to type for it, one stroke or several. Everything a key does,
// a button, link or field of the page does without this file.

const root = document.documentElement;
const typed = document.getElementById("typed");
let strokes = "";
let forget = 0;

root.classList.add("js");

function isTyping(target) {
  if (target.id === "text") return false; // of spans: its text cannot be changed
  return target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox])");
}

function isShown(element) {
  const folded = element.closest("details:not([open])");
  return (!folded || element.matches("details, summary, .more *")) && !element.closest(".away");
}

function show(text) {
  strokes = text;
  if (typed) typed.textContent = text;
  clearTimeout(forget);
  if (text) forget = setTimeout(() => show(""), 2500);
}

function act(element) {
  show("");
  const details = element.closest("details");
  if (element.matches("details")) {
    element.open = !element.open;
    if (element.open) element.querySelector("summary").focus();
    return;
  }
  if (details) details.open = true;
  if (element.dataset.opens) document.getElementById(element.dataset.opens).showModal();
  else if (isTyping(element)) element.focus();
  else element.click();
}

function press(key) {
  const now = strokes + key;
  const known = [...document.querySelectorAll("[data-key]")].filter(
    (element) => element.dataset.key && element.dataset.key.startsWith(now) && isShown(element));
  const exact = known.find((element) => element.dataset.key === now);
  if (exact) act(exact);
  else if (known.length) show(now);
  else if (strokes) { show(""); return press(key); }
  return known.length > 0;
}

document.addEventListener("keydown", (event) => {
  const store = document.querySelector("#decide .store");
  if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (store) { event.preventDefault(); store.click(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    show("");
    if (isTyping(event.target)) event.target.blur();
    return;
  }
  if (isTyping(event.target) || root.classList.contains("keys-off")) return;
  if (event.key === "Enter" && store && (event.target === document.body || event.target.id === "text")) {
    event.preventDefault();
    store.click();
  } else if (event.key.length === 1 && event.key !== " " && press(event.key.toLowerCase())) {
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
});

// a long list of labels is narrowed by typing a part of a name; Enter takes the only one left
const finder = document.getElementById("finder");
if (finder) {
  const choices = [...document.querySelectorAll("[data-find]")];
  const left = () => choices.filter((choice) => !choice.classList.contains("away"));
  finder.addEventListener("input", () => {
    const wanted = finder.value.trim().toLowerCase();
    for (const choice of choices) {
      choice.classList.toggle("away", !choice.dataset.find.toLowerCase().includes(wanted));
    }
  });
  finder.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (left().length === 1) left()[0].click();
  });
}

// single keys can be turned off, for people who dictate
const keysOn = document.getElementById("keys-on");
if (keysOn) {
  keysOn.checked = localStorage.getItem("prelabel-keys") !== "off";
  const follow = () => root.classList.toggle("keys-off", !keysOn.checked);
  keysOn.addEventListener("change", () => {
    localStorage.setItem("prelabel-keys", keysOn.checked ? "on" : "off");
    follow();
  });
  follow();
}

// on a narrow page the guideline begins folded, so that the form is near
const definitions = document.getElementById("definitions");
if (definitions && matchMedia("(max-width: 60rem)").matches) definitions.open = false;
