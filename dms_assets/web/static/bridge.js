document.addEventListener("click", (event) => {
  const link = event.target instanceof Element && event.target.closest("a[href]");
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || link.target === "_blank") return;
  const url = new URL(link.href, location.href);
  if (url.origin === location.origin && /^\/platform(\/|$)/.test(url.pathname)) {
    event.preventDefault();
    event.stopPropagation();
    location.assign(url.href);
  }
}, true);
