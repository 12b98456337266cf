"use strict";

// Keeps the part of a page that is marked with data-live up to date, for as long as it is marked.
{
  const PAUSE = 2000; // milliseconds

  const refresh = async () => {
    const part = document.querySelector("[data-live]");
    if (!part) {
      location.reload(); // what one may do about it is another now
      return;
    }
    try {
      const answer = document.hidden ? null : await fetch(part.dataset.live);
      if (answer?.redirected || answer?.status === 404) return; // signed out, or it is gone
      if (answer?.ok) part.outerHTML = await answer.text();
    } catch {
      // The network is away for a moment.
    }
    setTimeout(refresh, PAUSE);
  };

  if (document.querySelector("[data-live]")) setTimeout(refresh, PAUSE);
}
