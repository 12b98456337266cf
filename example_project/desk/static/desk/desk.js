// Shows an answer while it is made, then replaces the page by the server's. Without this script, the
// form is submitted, and the next page has the whole answer.
"use strict";

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".question")) return;
  event.preventDefault();
  ask(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  if (!event.target.matches("#ask textarea")) return;
  event.preventDefault();
  event.target.form.requestSubmit();
});

document.addEventListener("click", (event) => {
  if (!event.target.matches(".example")) return;
  const form = document.querySelector("#ask");
  form.elements.question.value = event.target.textContent;
  form.requestSubmit();
});

async function ask(form) {
  const { question } = form.elements;
  if (form.dataset.busy || !question.value.trim()) return;
  form.dataset.busy = "yes";
  const body = new FormData(form);
  const status = document.querySelector("[role=status]");
  status.textContent = "Looking for an answer …";
  const items = document.querySelector(".items");
  const added = [];
  if (form.id === "ask") {
    added.push(add(items, "user", question.value));
    question.value = "";
  }
  const answer = add(items, "assistant", "");
  added.push(answer);
  try {
    for await (const event of events(form.action, body)) {
      if (event.error) throw new Error(event.error);
      answer.textContent += event.text;
      answer.scrollIntoView({ block: "end" });
    }
    await show(form.action);
  } catch (error) {
    // The form still has the key of this turn: a question that is sent again is not saved twice.
    status.textContent = `${error.message} Your question is still there; try again.`;
    added.forEach((item) => item.remove());
    question.value = body.get("question");
    delete form.dataset.busy;
  }
}

function add(items, role, text) {
  const item = document.createElement("li");
  item.className = `${role} plain`;
  item.textContent = text;
  items.append(item);
  return item;
}

async function* events(url, body) {
  const response = await fetch(url, { method: "POST", body, headers: { Accept: "text/event-stream" } });
  if (response.redirected) throw new Error("You are logged out.");
  if (!response.ok) throw new Error(`The server answered with ${response.status}.`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part.slice("data: ".length));
  }
}

async function show(url) {
  const response = await fetch(url);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.querySelector("#page").replaceWith(page.querySelector("#page"));
  document.title = page.title;
  history.replaceState(null, "", url);
  document.querySelector("#ask textarea").focus({ preventScroll: true });
  document.querySelector(".items").lastElementChild.scrollIntoView({ block: "end" });
}
