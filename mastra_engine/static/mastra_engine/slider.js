"use strict";

// Shows the value of each slider while it is moved; without scripts the page shows the last one.
for (const slider of document.querySelectorAll("input[type=range]")) {
  const output = document.querySelector(`output[for="${slider.id}"]`);
  if (output) slider.addEventListener("input", () => (output.value = slider.value));
}
