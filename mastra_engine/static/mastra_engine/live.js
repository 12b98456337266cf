"use strict";

// Reloads the part of a page with the attribute data-live every PAUSE, as long as it has it.
{
  const PAUSE = 2000; // milliseconds

  const refresh = async () => {
    const part = document.querySelector("[data-live]");
    if (!part) {
      location.reload(); // the links of the page depend on the state that ended
      return;
    }
    try {
      const response = document.hidden ? null : await fetch(part.dataset.live);
      if (response?.redirected || response?.status === 404) return; // signed out, or deleted
      if (response?.ok) part.outerHTML = await response.text();
    } catch {
      // The network failed; the next attempt may succeed.
    }
    setTimeout(refresh, PAUSE);
  };

  if (document.querySelector("[data-live]")) setTimeout(refresh, PAUSE);
}
