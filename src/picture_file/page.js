// The whole way to a card on hover and focus, zoom, arrow keys, groups that open where they are named, copy.
"use strict";
(() => {
  const all = (selector, root) => [...root.querySelectorAll(selector)];
  const figure = document.getElementById("picture");
  const view = figure.querySelector(".view"), svg = view.querySelector("svg");
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const cards = all(".card", svg), byId = new Map(cards.map((card) => [card.dataset.id, card]));
  const parents = (card) => card.dataset.up.split(" ").filter(Boolean);

  const light = (card) => {
    all(".on", svg).forEach((element) => element.classList.remove("on"));
    svg.classList.toggle("lit", Boolean(card));
    if (!card) return;
    const on = new Set(), waiting = [card.dataset.id];
    while (waiting.length) {
      const id = waiting.pop();
      if (on.has(id)) continue;
      on.add(id);
      byId.get(id).classList.add("on");
      waiting.push(...parents(byId.get(id)));
    }
    const pills = all(".pill", svg);
    all(".edges > g", svg).forEach((bundle, at) => {
      const ends = all("[data-to]", bundle).filter((edge) => on.has(bundle.dataset.from) && on.has(edge.dataset.to));
      if (ends.length) [bundle.firstElementChild, pills[at], ...ends].forEach((part) => part.classList.add("on"));
    });
  };

  let scale = 1;
  const output = figure.querySelector("output");
  const zoom = (to) => {
    const middle = [view.clientWidth / 2, view.clientHeight / 2];
    const at = [(view.scrollLeft + middle[0]) / scale, (view.scrollTop + middle[1]) / scale];
    scale = Math.min(3, Math.max(0.25, to));
    svg.setAttribute("width", width * scale);
    svg.setAttribute("height", height * scale);
    view.scrollLeft = at[0] * scale - middle[0];
    view.scrollTop = at[1] * scale - middle[1];
    output.value = Math.round(scale * 100) + " %";
  };
  const fit = (least) => zoom(Math.max(least, Math.min(1, view.clientWidth / width)));
  const acts = { in: () => zoom(scale * 1.25), out: () => zoom(scale / 1.25), fit: () => fit(0.25) };
  figure.querySelector(".zoom").hidden = false;
  all("[data-zoom]", figure).forEach((button) => button.addEventListener("click", () => acts[button.dataset.zoom]()));
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(scale * Math.exp(-event.deltaY / 300));
  }, { passive: false });

  // One stop of the tabulator; arrows go from card to card.
  const columns = new Map();
  cards.forEach((card) => columns.set(card.dataset.hop, [...(columns.get(card.dataset.hop) || []), card]));
  let at = cards[0];
  const go = (card) => {
    if (!card) return;
    at.setAttribute("tabindex", "-1");
    at = card;
    at.setAttribute("tabindex", "0");
    at.focus();
    at.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  cards.forEach((card) => {
    card.setAttribute("tabindex", card === at ? "0" : "-1");
    card.addEventListener("pointerenter", () => light(card));
    card.addEventListener("pointerleave", () => light(null));
    card.addEventListener("focus", () => { if (card.matches(":focus-visible")) light(card); });
    card.addEventListener("blur", () => light(null));
  });
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const column = columns.get(at.dataset.hop), place = column.indexOf(at);
    const to = {
      ArrowDown: () => column[place + 1],
      ArrowUp: () => column[place - 1],
      ArrowRight: () => cards.find((card) => parents(card).includes(at.dataset.id)),
      ArrowLeft: () => byId.get(parents(at)[0]),
      Home: () => cards[0],
      End: () => cards[cards.length - 1],
    }[event.key];
    if (to) {
      event.preventDefault();
      go(to());
    }
  });

  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.querySelector("summary").focus({ preventScroll: true });
    }
    if (target) target.scrollIntoView({ block: target.tagName === "DETAILS" ? "start" : "center" });
  };
  addEventListener("hashchange", unfold);
  // A card that is chosen again changes no address.
  svg.addEventListener("click", (event) => {
    const card = event.target.closest("a.card");
    if (card && card.getAttribute("href") === location.hash) unfold();
  });

  all(".copy", document).forEach((button) => {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1200);
    });
  });

  if (cards.length) {
    fit(0.82);
    const card = at.getBoundingClientRect(), frame = view.getBoundingClientRect();
    if (card.bottom > frame.bottom) view.scrollTop += card.top - frame.top - view.clientHeight / 2;
  }
  unfold();
})();
